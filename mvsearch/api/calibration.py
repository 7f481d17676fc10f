"""A run's target, ready to predict; what a calibration measured, or the user's own file, is kept with the run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import InputError, TargetError
from mvsearch.files import read_bytes
from mvsearch.search.folder import RunFolder
from mvsearch.spec.run import RunSettings

if TYPE_CHECKING:
    from mvsearch.search.explore import Listener
    from mvsearch.search.store import Store
    from mvsearch.targets import Target


def ready_target_of(
    settings: RunSettings,
    folder: RunFolder,
    store: Store,
    listener: Listener | None = None,
    *,
    only_predicts: bool = False,
) -> Target:
    """The target with its predictor; what a calibration measured is kept in the store.

    Args:
        settings: of the run.
        folder: of the run; holds the user's calibration, if there is one.
        store: of the run.
        listener: hears of the progress.
        only_predicts: nothing is going to be measured, so that the run may be one of another machine.

    Raises:
        InputError: the user's calibration is missing from the folder, or is another one.
        TargetError: the target is not this machine, or cannot be calibrated here.
    """
    from mvsearch.targets.host.machine import Calibration
    from mvsearch.targets.prepare import ready_target

    def heard(done: int, total: int, measurement: Any) -> None:
        if listener and done == 1:
            listener.stage(f"measuring {total} networks on this machine, to predict from")
        if listener:
            listener.progress(done, total, f"{measurement.value:.2f} ms")

    saved = store.meta("calibration")
    if saved is not None:
        try:
            Calibration.from_json(saved)
        except ValueError as error:
            raise InputError(
                f"`{folder.store}` is damaged: its calibration: {error}", "put back a copy of the file, or start a new run"
            ) from None
    target, calibration = ready_target(settings.target, settings.resolution, saved, heard, only_predicts=only_predicts)
    if calibration is not None and saved is None:
        store.set_meta("calibration", calibration)
    if not settings.calibration:
        return target
    if hash_of(folder.calibration) != settings.calibration:
        raise InputError(f"`{folder.calibration}` is not the calibration of this run", "put back the file that it was run with")
    return calibrated(target, folder.calibration)


def calibrated(target: Target, path: Path) -> Target:
    """A phone, predicted by the user's own calibration.

    Raises:
        InputError: not such a file.
        TargetError: made for another target, or of no use for this one.
    """
    from mvsearch.api.calibrate import load_calibration
    from mvsearch.targets.coreml.phone import PhoneTarget

    if not isinstance(target, PhoneTarget):
        raise TargetError(
            f"`--calibration` with target `{target.name}`",
            "it is for phones; a search calibrates this machine's targets",
        )
    return target.calibrated(load_calibration(path, target.phone.name))


def hash_of(path: Path) -> str:
    """Hash of a file's content.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()[:16]
    except OSError as error:
        raise InputError(
            f"cannot read the calibration `{path}`: {error.strerror}", "`mvsearch calibrate --csv FILE` writes one"
        ) from None
