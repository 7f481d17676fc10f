"""A run's target, ready to predict; what a calibration measured is kept with the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mvsearch.spec.run import RunSettings

if TYPE_CHECKING:
    from mvsearch.search.explore import Listener
    from mvsearch.search.store import Store
    from mvsearch.targets import Target


def ready_target_of(settings: RunSettings, store: Store, listener: Listener | None = None) -> Target:
    """The target with its predictor; what a calibration measured is kept in the store."""
    from mvsearch.targets.prepare import ready_target

    def heard(done: int, total: int, measurement: Any) -> None:
        if listener and done == 1:
            listener.stage(f"measuring {total} networks on this machine, to predict from")
        if listener:
            listener.progress(done, total, f"{measurement.value:.2f} ms")

    saved = store.meta("calibration")
    target, calibration = ready_target(settings.target, settings.resolution, saved, heard)
    if calibration is not None and saved is None:
        store.set_meta("calibration", calibration)
    return target
