"""The fits that are shipped: `shipped_model("iphone12")`; reading one needs no numpy."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from mvsearch.errors import TargetError
from mvsearch.targets.predictor.latency_model import LatencyModel
from mvsearch.targets.predictor.phones import PHONES, get_phone

DATA = files("mvsearch.targets.predictor") / "data"


def phone_names() -> tuple[str, ...]:
    """Phones with a predictor, by name."""
    return tuple(name for name in PHONES if not refusal(name))


def refusal(name: str) -> str:
    """Why a phone with published latencies has no predictor; empty if it has one.

    Raises:
        TargetError: no latency on it is published.
    """
    return str(_shipped(get_phone(name).name).get("refused", ""))


@lru_cache(maxsize=8)
def shipped_model(name: str) -> LatencyModel:
    """The fit in `data/NAME.json`.

    Raises:
        TargetError: no latency on this phone is published, or too few to predict from; with the reason.
    """
    if reason := refusal(name):
        others = " or ".join(f"`{n}`" for n in phone_names())
        raise TargetError(
            f"`{name}` has no predictor: the published latencies on {get_phone(name).title} do not suffice ({reason})",
            f"predict for {others}; `mvsearch validate --target {name}` shows the figures",
        )
    return LatencyModel.from_json(_shipped(name))


@lru_cache(maxsize=8)
def _shipped(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return data
