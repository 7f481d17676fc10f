"""What published designs say of how error falls with size, for laws of a handful of points."""

from __future__ import annotations

import csv
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from mvsearch.accuracy.anchors import Anchor, load_anchors
from mvsearch.scaling.power_law import Prior
from mvsearch.scaling.view import LawInput

DATA = Path(__file__).parent / "data"
SERIES_FILE = DATA / "series.csv"
PRIOR_FILE = DATA / "prior.json"
PRIOR_INPUTS: tuple[LawInput, ...] = ("params", "macs", "activations")
"""What error has been seen to fall with, over whole series; they are all at one resolution."""


@lru_cache(maxsize=1)
def load_series() -> dict[str, tuple[Anchor, ...]]:
    """Series of published sizes, none of them a MobileViT, by name; each by rising parameters."""
    anchors = {a.name: a for a in load_anchors()}
    found: dict[str, list[Anchor]] = {}
    for row in rows(SERIES_FILE):
        found.setdefault(row["series"], []).append(anchors[row["network"]])
    return {name: tuple(sorted(sizes, key=lambda a: a.params)) for name, sizes in found.items()}


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of a data file; lines that begin with `#` say what it is."""
    lines = (line for line in path.read_text(encoding="utf8").splitlines() if not line.startswith("#"))
    return list(csv.DictReader(lines))


@lru_cache(maxsize=1)
def _file() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PRIOR_FILE.read_text(encoding="utf8"))
    return found


def load_prior(x: LawInput) -> Prior:
    """The prior of error (100 - top-1, in %) against this; in the units of `Costs`.

    Raises:
        KeyError: no series vary in it.
    """
    return Prior(**_file()["priors"][x])
