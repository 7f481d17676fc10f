"""`scale.csv`: one row per member of every family and per published network, every column documented in `COLUMNS`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mvsearch.report.number_columns import ARCH_ID, COUNTED, FLAGS, number_cells, number_text, uncertain_columns
from mvsearch.scaling.view import Member, PublishedMember, ScalingView
from mvsearch.spec.record import Evaluation

COLUMNS: tuple[tuple[str, str], ...] = (
    ARCH_ID,
    ("family", "rule that made the network (width, depth, resolution, compound), or the series of a published one"),
    ("number", "place in its family, from 0, the cheapest first by what was asked"),
    ("name", "published name, at the resolution that it was published for; else empty"),
    ("is_base", "1 for the network that was scaled"),
    ("factor", "by which the rule scaled; 2^phi for compound; empty for a published network"),
    ("width", "factor of all channels and transformer widths, before rounding"),
    ("depth", "factor of all layers and blocks, before rounding"),
    ("resolution_factor", "factor of the image's side"),
    ("resolution", "side of the square image in pixels"),
    *COUNTED.items(),
    *uncertain_columns("predicted or estimated"),
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
    FLAGS,
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
        "factor": number_text(member.factor),
        "width": number_text(member.width),
        "depth": number_text(member.depth),
        "resolution_factor": number_text(member.resolution),
    }
    if (m := member.marginal) is not None:
        cells |= {
            "gained_points": number_text(m.points.value),
            "gained_points_low": number_text(m.points.low),
            "gained_points_high": number_text(m.points.high),
            "gained_probability": number_text(m.probability),
            "added_ms": number_text(m.added_ms),
            "points_per_ms": number_text(m.points_per_ms.value) if m.points_per_ms else "",
            "pays": int(m.pays),
        }
    return cells


def _published_cells(p: PublishedMember, number: int) -> dict[str, Any]:
    return {
        "family": p.series,
        "number": number,
        "name": p.name,
        "is_base": 0,
        "published_top1": number_text(p.top1.value) if p.top1 else "",
    }


def _evaluation_cells(e: Evaluation, confidence: float) -> dict[str, Any]:
    return {**number_cells(e, confidence), "blocks": " ".join(e.spec.blocks)}
