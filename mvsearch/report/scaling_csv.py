"""`scale.csv`: one row per member of every family and per published network, every column documented in `COLUMNS`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mvsearch.report.words import flags_of
from mvsearch.scaling.view import Member, PublishedMember, ScalingView
from mvsearch.spec.record import Evaluation

_COUNTED = {
    "params": "parameters, counted",
    "macs": "multiply-accumulates at batch size 1, counted",
    "flops": "floating-point operations, 2 x MACs, counted",
    "activations": "output elements of convolutions and linear layers, counted",
    "weight_bytes": "bytes of weights at float16, batch norm folded, counted",
    "peak_memory": "bytes of live activations at float16 in the hungriest operation, counted",
}
_UNCERTAIN = {"latency": ("latency_ms", "latency on the target in ms"), "top1": ("top1", "ImageNet top-1 in %")}


def _uncertain_columns() -> Iterator[tuple[str, str]]:
    for column, what in _UNCERTAIN.values():
        yield column, f"{what}; its kind is in {column}_kind"
        yield f"{column}_low", f"lower end of its interval at {column}_level"
        yield f"{column}_high", "upper end of its interval"
        yield f"{column}_level", "coverage that the interval is meant to have"
        yield f"{column}_kind", "predicted or estimated"


COLUMNS: tuple[tuple[str, str], ...] = (
    ("family", "rule that made the network (width, depth, resolution, compound), or the series of a published one"),
    ("number", "place in its family, from 0, the cheapest first by what was asked"),
    ("arch_id", "content hash of the network, the same in every file and run"),
    ("name", "published name, at the resolution that it was published for; else empty"),
    ("is_base", "1 for the network that was scaled"),
    ("factor", "by which the rule scaled; 2^phi for compound; empty for a published network"),
    ("width", "factor of all channels and transformer widths, before rounding"),
    ("depth", "factor of all layers and blocks, before rounding"),
    ("resolution_factor", "factor of the image's side"),
    ("resolution", "side of the square image in pixels"),
    *_COUNTED.items(),
    *_uncertain_columns(),
    ("lower_top1", "lower bound of top-1 in % at the confidence that was asked"),
    ("published_top1", "top-1 in % as its authors, or timm with their weights, report it; empty for others"),
    ("gained_points", "estimated top-1 gained over the member before, in points; empty for the first"),
    ("gained_points_low", "lower end of its 90 % interval"),
    ("gained_points_high", "upper end"),
    ("gained_probability", "probability that the step gains any accuracy"),
    ("added_ms", "predicted latency added over the member before"),
    ("points_per_ms", "the one by the other; empty where no latency is added"),
    ("pays", "1 if the step pays by the rule of the knee"),
    ("is_knee", "1 for the last member of its family that pays, where larger ones do not"),
    ("blocks", "blocks of the transformer stages in order"),
    ("flags", "claims attached to the numbers, `metric: flag`, separated by `; `"),
)
"""(column, meaning), in order."""


def write_scaling_csv(path: Path, view: ScalingView) -> None:
    """Write the rows under the documented columns; what a row lacks stays empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [name for name, _ in COLUMNS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(scaling_rows(view))


def scaling_rows(view: ScalingView) -> Iterator[dict[str, Any]]:
    """Members family by family, then the published networks."""
    for family in view.families:
        knee = family.knee.index if family.knee else None
        for number, member in enumerate(family.members):
            yield {
                "family": family.rule,
                "number": number,
                "is_knee": int(number == knee),
                **_member_cells(member),
                **_evaluation_cells(member.evaluation, view.confidence),
            }
    for series in dict.fromkeys(p.series for p in view.published):
        for number, p in enumerate(p for p in view.published if p.series == series):
            yield {**_published_cells(p, number), **_evaluation_cells(p.evaluation, view.confidence)}


def _member_cells(member: Member) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "name": member.name,
        "is_base": int(member.is_base),
        "factor": _number(member.factor),
        "width": _number(member.width),
        "depth": _number(member.depth),
        "resolution_factor": _number(member.resolution),
    }
    if (m := member.marginal) is not None:
        cells |= {
            "gained_points": _number(m.points.value),
            "gained_points_low": _number(m.points.low),
            "gained_points_high": _number(m.points.high),
            "gained_probability": _number(m.probability),
            "added_ms": _number(m.added_ms),
            "points_per_ms": _number(m.points_per_ms.value) if m.points_per_ms else "",
            "pays": int(m.pays),
        }
    return cells


def _published_cells(p: PublishedMember, number: int) -> dict[str, Any]:
    return {
        "family": p.series,
        "number": number,
        "name": p.name,
        "is_base": 0,
        "published_top1": _number(p.top1.value) if p.top1 else "",
    }


def _evaluation_cells(e: Evaluation, confidence: float) -> dict[str, Any]:
    found = e.measurements
    row: dict[str, Any] = {"arch_id": e.arch_id, "resolution": e.resolution, "blocks": " ".join(e.spec.blocks)}
    row |= {metric: int(found[metric].value) for metric in _COUNTED}
    for metric, (column, _) in _UNCERTAIN.items():
        m = found[metric]
        ends = {f"{column}_low": m.low, f"{column}_high": m.high, f"{column}_level": m.level}
        row |= {column: _number(m.value), f"{column}_kind": m.kind} | {k: _number(v) for k, v in ends.items()}
    row["lower_top1"] = _number(found["top1"].quantile(1 - confidence))
    row["flags"] = "; ".join(flags_of(e))
    return row


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.7g}"
