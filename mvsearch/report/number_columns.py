"""What the tables of networks have in common: columns of counted costs, of latency and of top-1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mvsearch.report.words import flags_of
from mvsearch.spec.record import Evaluation

COUNTED = {
    "params": "parameters, counted",
    "macs": "multiply-accumulates at batch size 1, counted",
    "flops": "floating-point operations, 2 x MACs, counted",
    "activations": "output elements of convolutions and linear layers, counted",
    "weight_bytes": "bytes of weights at float16, batch norm folded, counted",
    "peak_memory": "bytes of live activations at float16 in the hungriest operation, counted",
}
"""Meaning by metric, which is the column's name."""
_UNCERTAIN = {"latency": ("latency_ms", "latency on the target in ms"), "top1": ("top1", "ImageNet top-1 in %")}
ARCH_ID = ("arch_id", "content hash of the network, the same in every file and run")
FLAGS = ("flags", "claims attached to the numbers, `metric: flag`, separated by `; `")


def uncertain_columns(kinds: str) -> Iterator[tuple[str, str]]:
    """(column, meaning) of latency and top-1; `kinds` names those that there are."""
    for column, what in _UNCERTAIN.values():
        yield column, f"{what}; its kind is in {column}_kind"
        yield f"{column}_low", f"lower end of its interval at {column}_level"
        yield f"{column}_high", "upper end of its interval"
        yield f"{column}_level", "coverage that the interval is meant to have"
        yield f"{column}_kind", kinds


def number_cells(evaluation: Evaluation, confidence: float) -> dict[str, Any]:
    """All these of a network, with `arch_id`, `resolution`, `flags`, and `lower_top1` at this confidence."""
    numbers = evaluation.measurements
    row: dict[str, Any] = {"arch_id": evaluation.arch_id, "resolution": evaluation.resolution}
    row |= {metric: int(numbers[metric].value) for metric in COUNTED if metric in numbers}
    for metric, (column, _) in _UNCERTAIN.items():
        if (m := numbers.get(metric)) is not None:
            ends = {f"{column}_low": m.low, f"{column}_high": m.high, f"{column}_level": m.level}
            row |= {column: number_text(m.value), f"{column}_kind": m.kind} | {k: number_text(v) for k, v in ends.items()}
    if "top1" in numbers:
        row["lower_top1"] = number_text(numbers["top1"].quantile(1 - confidence))
    return row | {"flags": "; ".join(flags_of(evaluation))}


def number_text(value: float | None) -> str:
    """Seven digits; empty for None."""
    return "" if value is None else f"{value:.7g}"
