"""Latency: predicted from operations, measured where the device is here. One catalogue of devices."""

from mvsearch.targets.catalog import get_target, target_names
from mvsearch.targets.cpu import CpuCalibration, CpuTarget, calibrate_here
from mvsearch.targets.target import Capability, StopPolicy, Target, TargetSpec

__all__ = [
    "Capability",
    "CpuCalibration",
    "CpuTarget",
    "StopPolicy",
    "Target",
    "TargetSpec",
    "calibrate_here",
    "get_target",
    "target_names",
]
