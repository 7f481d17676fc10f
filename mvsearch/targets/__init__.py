"""Latency: predicted from operations, measured where the device is here. One catalogue of devices."""

from mvsearch.targets.cache import MeasurementCache
from mvsearch.targets.catalog import get_target, target_names
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.take import take
from mvsearch.targets.target import Artifact, Capability, StopPolicy, Target, TargetSpec

__all__ = [
    "Artifact",
    "Capability",
    "LatencyRecord",
    "MeasurementCache",
    "StopPolicy",
    "Target",
    "TargetSpec",
    "get_target",
    "take",
    "target_names",
]
