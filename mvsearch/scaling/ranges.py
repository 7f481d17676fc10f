"""Ranges of sizes as users write them: `1M..8M`, `200M..2G`, `1..6`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from mvsearch.errors import InputError
from mvsearch.scaling.view import RULES, CostMetric, Rule
from mvsearch.spec.budget import Budget, format_value, parse_budgets

MAX_RATIO = 1000.0
"""Between the ends of a range; between MobileViT-XXS and the largest vision model there is less."""

OPTIONS: dict[CostMetric, str] = {"params": "--params", "macs": "--macs", "latency": "--ms"}
_EXAMPLES: dict[CostMetric, str] = {"params": "1M..8M", "macs": "200M..2G", "latency": "1..6"}
_WORDS: dict[CostMetric, str] = {"params": " params", "macs": " MACs", "latency": ""}
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_END = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SizeRange:
    """What sizes are asked for.

    Attributes:
        metric: of which.
        low, high: ends, in a count or in ms; 0 < low < high.
    """

    metric: CostMetric
    low: float
    high: float

    @property
    def text(self) -> str:
        """E.g. `1.00 M to 8.00 M params`."""
        return f"{format_value(self.metric, self.low)} to {format_value(self.metric, self.high)}{_WORDS[self.metric]}"

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def parse_range(metric: CostMetric, text: str) -> SizeRange:
    """Read `LOW..HIGH`.

    Raises:
        InputError: not two numbers, a unit that is none here, zero or less, reversed, or wider than a factor of 1000.
    """
    option, hint = OPTIONS[metric], f"LOW..HIGH, e.g. `{OPTIONS[metric]} {_EXAMPLES[metric]}`"
    ends = text.strip().split("..")
    if len(ends) != 2 or not all(e.strip() for e in ends):
        raise InputError(f"`{option}` is `{text}`, which is no range", hint)
    low, high = (_end(metric, e.strip(), option, text) for e in ends)
    if low <= 0:
        raise InputError(f"`{option} {text}` begins at zero or below", f"sizes are above zero: {hint}")
    if low == high:
        raise InputError(f"`{option} {text}` is a single size", f"a family needs a range: {hint}")
    if low > high:
        raise InputError(f"`{option} {text}` is reversed", f"the smaller end first: `{option} {ends[1]}..{ends[0]}`")
    if high / low > MAX_RATIO:
        raise InputError(f"`{option} {text}` spans a factor of {high / low:.3g}", f"at most {MAX_RATIO:,.0f}; {hint}")
    return SizeRange(metric, low, high)


def _end(metric: CostMetric, text: str, option: str, whole: str) -> float:
    match = _END.fullmatch(text)
    if not match:
        raise InputError(f"`{option} {whole}`: cannot read `{text}` as a number", f"e.g. `{option} {_EXAMPLES[metric]}`")
    unit = match[2].lower()
    if metric == "latency":
        factor = {"": 1.0, "ms": 1.0}.get(unit)
        known = "`ms`, or nothing"
    else:
        factor = _FACTORS.get(unit)
        known = "`k`, `M`, `G` (or `B`), or nothing"
    if factor is None:
        raise InputError(
            f"`{option} {whole}` has unknown unit `{match[2]}`", f"use {known}, e.g. `{option} {_EXAMPLES[metric]}`"
        )
    value = float(match[1]) * factor
    if not math.isfinite(value):
        raise InputError(f"`{option} {whole}`: `{text}` is too large", f"e.g. `{option} {_EXAMPLES[metric]}`")
    return value


def one_range(params: str | None, macs: str | None, ms: str | None) -> SizeRange:
    """The range that was asked for.

    Raises:
        InputError: none, or more than one; or it cannot be read.
    """
    texts: dict[CostMetric, str | None] = {"params": params, "macs": macs, "latency": ms}
    given: list[tuple[CostMetric, str]] = [(metric, text) for metric, text in texts.items() if text is not None]
    if len(given) != 1:
        what = "no range of sizes" if not given else f"{len(given)} ranges: {', '.join(f'`{OPTIONS[m]}`' for m, _ in given)}"
        raise InputError(what, "one of `--params 1M..8M`, `--macs 200M..2G` or `--ms 1..6`")
    return parse_range(*given[0])


def parse_rules(text: str | None) -> tuple[Rule, ...]:
    """Rules separated by commas, in the order of `RULES`; all of them for None.

    Raises:
        InputError: an unknown rule, or none.
    """
    if text is None:
        return RULES
    names = [n for part in text.split(",") if (n := part.strip())]
    unknown = [n for n in names if n not in RULES]
    if unknown or not names:
        what = f"unknown scaling rule `{unknown[0]}`" if unknown else "`--rules` is empty"
        raise InputError(what, f"one or more of {', '.join(RULES)}, separated by commas")
    return tuple(r for r in RULES if r in names)


def parse_compound_budget(text: str) -> Budget:
    """The cost at which compound exponents are compared: MACs or ms.

    Raises:
        InputError: it cannot be read, or is of something that a dimension leaves as it is.
    """
    budget, *others = parse_budgets([text])
    if others:
        raise InputError(f"`--budget {text}` holds {1 + len(others)} budgets", "one, e.g. `--budget 5ms`")
    if budget.metric not in ("macs", "latency"):
        hint = "MACs or ms, e.g. `--budget 1G-macs` or `--budget 5ms`: larger images change no parameters"
        raise InputError(f"`--budget {text}` cannot be shared out between width, depth and resolution", hint)
    return budget
