"""Latency: predicted from operations, measured where the device is here. One catalogue of devices."""

from mvsearch.targets.catalog import get_target, target_names
from mvsearch.targets.target import Capability, StopPolicy, Target, TargetSpec

__all__ = ["Capability", "StopPolicy", "Target", "TargetSpec", "get_target", "target_names"]
