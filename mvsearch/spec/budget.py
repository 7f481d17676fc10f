"""Budgets as users write them: `2M-params`, `600M-macs`, `1.2G-flops`, `5ms`, `4MB`."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mvsearch.errors import InputError

BudgetMetric = Literal["params", "macs", "flops", "latency", "weight_bytes"]
_UNITS: dict[str, BudgetMetric] = {"params": "params", "macs": "macs", "flops": "flops", "ms": "latency", "mb": "weight_bytes"}
_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_EXAMPLES = "`2M-params`, `600M-macs`, `1.2G-flops`, `5ms` or `4MB`"
_PATTERN = re.compile(r"(?P<number>[-+.\w]*?\d[\d.]*(?:e[-+]?\d+)?|nan|inf|-inf)(?P<rest>.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Budget:
    """An upper limit on one metric.

    Attributes:
        metric: `params`, `macs`, `flops`, `latency` (ms) or `weight_bytes` (float16, batch norm folded).
        limit: the largest value allowed, in the metric's unit (a count, ms, bytes).
        text: as the user wrote it.
    """

    metric: BudgetMetric
    limit: float
    text: str

    @property
    def is_counted(self) -> bool:
        """Whether the metric is known exactly from the architecture alone."""
        return self.metric != "latency"


def parse_budgets(texts: Iterable[str]) -> tuple[Budget, ...]:
    """Read budgets; each text may hold several, separated by commas.

    Raises:
        InputError: all faults at once; or no budget at all; or two for one metric.
    """
    parts = [p.strip() for text in texts for p in text.split(",")]
    if not any(parts):
        raise InputError("the budget is empty", f"e.g. {_EXAMPLES}")
    budgets: list[Budget] = []
    faults: list[InputError] = []
    for part in parts:
        try:
            budgets.append(_parse(part))
        except InputError as error:
            faults.append(error)
    for metric in dict.fromkeys(b.metric for b in budgets):
        same = [b.text for b in budgets if b.metric == metric]
        if len(same) > 1:
            faults.append(InputError(f"{len(same)} budgets for one metric: `{'`, `'.join(same)}`", "keep the tighter one"))
    if len(faults) > 1:
        raise InputError("\n".join(f.message for f in faults), f"e.g. {_EXAMPLES}")
    if faults:
        raise faults[0]
    return tuple(budgets)


def _parse(text: str) -> Budget:
    match = _PATTERN.fullmatch(text)
    if not match:
        raise InputError(f"budget `{text}` has no number", f"e.g. {_EXAMPLES}")
    try:
        number = float(match["number"])
    except ValueError:
        raise InputError(f"budget `{text}`: cannot read `{match['number']}` as a number", f"e.g. {_EXAMPLES}") from None
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"budget `{text}` is not above zero", "a budget is an upper limit, e.g. `2M-params`")
    scale, unit = _split_unit(match["rest"])
    if unit not in _UNITS:
        near = difflib.get_close_matches(unit, _UNITS, n=1) if text.endswith(f"-{unit}") and scale != 1.0 else []
        said = f"has unknown unit `{unit}`" if unit else "has no unit"
        hint = f"did you mean `{text[: len(text) - len(unit)]}{near[0]}`? " if near and unit else ""
        raise InputError(f"budget `{text}` {said}", f"{hint}use `params`, `macs`, `flops`, `ms` or `MB`, e.g. {_EXAMPLES}")
    metric = _UNITS[unit]
    return Budget(metric, number * scale * (1e6 if metric == "weight_bytes" else 1.0), text)


def _split_unit(rest: str) -> tuple[float, str]:
    """(factor, unit) of what follows the number: `M-params`, `-macs`, `ms`, `MB`."""
    rest = rest.strip().lower()
    prefix, dash, unit = rest.partition("-")
    if dash and prefix in _PREFIXES and unit not in ("ms", "mb"):
        return _PREFIXES[prefix], unit
    return 1.0, "" if rest in _PREFIXES else rest


def format_count(value: float) -> str:
    """A count with three significant digits: `1.25 M`, `407 M`, `2.03 G`."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            scaled = value / factor
            return f"{scaled:.{max(0, 2 - int(math.log10(abs(scaled))))}f} {letter}"
    return f"{value:.0f}"


def format_value(metric: str, value: float) -> str:
    """A number with its unit, short enough for a table."""
    if metric == "latency":
        return f"{value:.2f} ms"
    if metric == "top1":
        return f"{value:.1f} %"
    if metric in ("weight_bytes", "peak_memory"):
        return f"{value / 1e6:.2f} MB"
    return format_count(value)
