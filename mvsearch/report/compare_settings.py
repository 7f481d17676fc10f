"""In what the settings of several runs differ, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mvsearch.spec.run import RunSettings, RunView

_SAID = {
    "trials": "{} trials",
    "resolution": "{} px",
    "measure_trials": "{} measured trials",
    "latency": "latency {}",
    "mvsearch": "mvsearch {}",
    "calibration": "calibration {}",
    "anchors": "anchors {}",
    "train.data": "trained on {}",
}
"""How a value is said without the setting's name."""
_SWITCHES = {
    "screened": ("screened", "no screen"),
    "stop_flat": ("stops when flat", "does not stop when flat"),
}
LONGEST = 40
"""Characters of a value in a label; a longer one keeps its end, where paths differ."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is not the same in all groups.

    Attributes:
        name: of the setting.
        values: one per group, in words (a stranger's text).
        short: the same as parts of the groups' labels.
    """

    name: str
    values: tuple[str, ...]
    short: tuple[str, ...]


def differences(runs: Sequence[tuple[RunView, str]]) -> tuple[tuple[Difference, ...], tuple[tuple[str, str], ...]]:
    """(settings that differ, settings that all share) of one run per group.

    Args:
        runs: with the kind of their latencies.
    """
    rows = [_flat(view, kind) for view, kind in runs]
    names = list(dict.fromkeys(name for row in rows for name in row))
    unlike, shared = [], []
    for name in names:
        values = tuple(_text(name, row.get(name)) for row in rows)
        if len(set(values)) == 1:
            shared.append((name, values[0]))
        else:
            unlike.append(Difference(name, values, tuple(_short(name, row.get(name)) for row in rows)))
    return tuple(unlike), tuple((n, v) for n, v in shared if v != "none")


def group_label(unlike: Sequence[Difference], index: int, view: RunView) -> str:
    """What tells a group from the others; its budget where there are no others."""
    parts = [d.short[index] for d in unlike if d.name != "space_hash" or not any(o.name == "space" for o in unlike)]
    return ", ".join(filter(None, parts)) or ", ".join(b.text for b in view.settings.budgets)


def _flat(view: RunView, latency_kind: str) -> dict[str, Any]:
    s: RunSettings = view.settings
    data = {k: v for k, v in s.to_json().items() if k != "seed"}
    train = data.pop("train") or {}
    data["budgets"] = ", ".join(b.text for b in s.budgets)
    data |= {f"train.{k}": v for k, v in train.items() if k != "images"}
    return data | {"latency": latency_kind, "mvsearch": dict(view.versions).get("mvsearch", "")}


def _text(name: str, value: Any) -> str:
    if value in ("", None):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "confidence":
        return f"{100 * value:.0f} %"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _short(name: str, value: Any) -> str:
    if name in _SWITCHES:
        return _SWITCHES[name][0 if value else 1]
    text = _text(name, value)
    if text == "none":
        return f"no {name.removeprefix('train.')}" if name in ("calibration", "anchors", "train.data") else ""
    if name in ("calibration", "anchors", "space_hash"):
        text = text[:8]
    if len(text) > LONGEST:
        text = f"...{text[3 - LONGEST :]}"
    if name == "confidence":
        return f"{text} sure"
    if name in _SAID:
        return _SAID[name].format(text)
    return text if name in ("budgets", "target", "space", "sampler") else f"{name} {text}"
