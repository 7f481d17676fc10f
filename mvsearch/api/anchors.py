"""The user's own trained networks in a run: the fit of top-1 that they sharpen, kept with the run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.errors import InputError
from mvsearch.files import parse_json, read_bytes
from mvsearch.search.folder import RunFolder
from mvsearch.spec.run import RunSettings

if TYPE_CHECKING:
    from mvsearch.accuracy.estimator import Estimator


def fitted_estimator(anchors: str | Path) -> Estimator:
    """The fit of top-1 with the networks of a file of `mvsearch validate --accuracy --anchors`.

    Raises:
        InputError: every fault of the file at once.
    """
    from mvsearch.accuracy.validation import anchored_estimator
    from mvsearch.api.anchors_csv import read_anchors_csv

    return anchored_estimator(read_anchors_csv(anchors))


def to_text(estimator: Estimator) -> str:
    """What a run keeps of it."""
    return json.dumps(asdict(estimator), indent=1) + "\n"


def hash_of_estimator(estimator: Estimator | None) -> str:
    """What the settings keep of it; empty without one."""
    return "" if estimator is None else hashlib.sha256(to_text(estimator).encode()).hexdigest()[:16]


def kept_estimator(folder: RunFolder) -> Estimator | None:
    """The fit that a run was begun with; None if it was begun without own networks.

    Raises:
        InputError: a file that cannot be read as one.
    """
    from mvsearch.accuracy.estimator import estimator_from_json

    try:
        return estimator_from_json(parse_json(read_bytes(folder.estimator)))
    except FileNotFoundError:
        return None
    except ValueError:
        raise InputError(f"`{folder.estimator}` cannot be read", "put back the file that the run was begun with") from None


def estimator_of(settings: RunSettings, folder: RunFolder) -> Estimator | None:
    """The fit of a run; None for the one that ships.

    Raises:
        InputError: the file is missing from the folder, or is another one.
    """
    if not settings.anchors:
        return None
    estimator = kept_estimator(folder)
    if hash_of_estimator(estimator) != settings.anchors:
        raise InputError(f"`{folder.estimator}` is not the fit of this run", "put back the file that it was begun with")
    return estimator
