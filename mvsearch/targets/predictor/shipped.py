"""The fits that are shipped: `shipped_model("iphone12")`; reading one needs no numpy."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files

from mvsearch.targets.predictor.latency_model import LatencyModel

DATA = files("mvsearch.targets.predictor") / "data"


@lru_cache(maxsize=8)
def shipped_model(name: str) -> LatencyModel:
    """The fit in `data/NAME.json`."""
    return LatencyModel.from_json(json.loads((DATA / f"{name}.json").read_text(encoding="utf-8")))
