"""A target made ready to predict: at once where a fit is shipped, after a calibration where this machine is the target."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from mvsearch.targets.cache import MeasurementCache
from mvsearch.targets.catalog import get_target
from mvsearch.targets.host.machine import Calibration, MachineTarget, calibrate_here
from mvsearch.targets.target import Target


def ready_target(
    name: str,
    resolution: int,
    saved: Any = None,
    on_measured: Callable[[int, int, Any], None] | None = None,
    *,
    only_predicts: bool = False,
) -> tuple[Target, Any]:
    """The target with a predictor, and plain data to make it again from.

    Args:
        name: as in `--target`.
        resolution: of the networks to be predicted, in pixels.
        saved: what a call before gave back; then nothing is measured again.
        on_measured: hears of the calibration's progress: (done, of, measurement).
        only_predicts: the target is not going to be measured, so that `saved` may be of another machine: its predictions
            are of that one.

    Raises:
        TargetError: unknown; or it cannot be calibrated here; or `saved` is of another machine.
    """
    target = get_target(name)
    if not isinstance(target, MachineTarget):
        return target, None
    if saved and only_predicts:
        predictor = copy(target)
        predictor.calibration = Calibration.from_json(saved)
        return predictor, saved
    calibration = (
        Calibration.from_json(saved)
        if saved
        else calibrate_here(target, resolution=resolution, on_measured=on_measured, cache=MeasurementCache())
    )
    return target.calibrated(calibration), calibration.to_json()
