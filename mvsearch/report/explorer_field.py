"""The networks of the field for the explorer: all numbers as published, never mixed with ours unmarked."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mvsearch.accuracy.field import FieldPoint, field_points
from mvsearch.spec.published import published_networks

MAIN_FAMILIES = (
    "EfficientFormer", "EfficientFormerV2", "MobileNetV1", "MobileNetV2", "MobileNetV3", "MobileNetV4", "DeiT", "PiT",
    "Mobile-Former", "EdgeNeXt", "FastViT", "MobileOne",
)  # fmt: skip
"""Shown from the start: those that the MobileViT papers and their successors compare with. The others wait in the key."""


def field_of(device: str) -> tuple[FieldPoint, ...]:
    """The field without the published MobileViTs, which the page judges by its own models; main families first.

    Args:
        device: as in `--target`; its published latencies come with the networks.
    """
    own = published_networks()
    points = [p for p in field_points(device) if p.our_name not in own]
    place = {family: i for i, family in enumerate(MAIN_FAMILIES)}
    return tuple(sorted(points, key=lambda p: (place.get(p.family, len(place)), p.family.lower())))


def field_rows(points: tuple[FieldPoint, ...]) -> list[dict[str, Any]]:
    """Rows for the page's script; a number that is not published is left out."""
    rows = []
    for p, name in zip(points, _names(points), strict=True):
        numbers = {"top1": p.top1, "params": p.params, "macs": p.macs, "latency": p.latency_ms}
        taken = p.latencies[0] if p.latencies else None
        others = len(p.latencies) - 1
        rows.append(
            {
                "name": name,
                "family": p.family,
                "facts": _facts(
                    resolution=f"{p.resolution} px",
                    training="distilled, with a teacher" if p.is_distilled else "",
                    latency=f"{taken.device}: {taken.protocol}{f'; {others} more published' if others else ''}"
                    if taken
                    else "",
                    note=p.note,
                    source=p.source,
                    sizes=p.costs_source if p.costs_source != p.source else "",
                ),
                **{key: value for key, value in numbers.items() if value is not None},
            }
        )
    return rows


def _names(points: tuple[FieldPoint, ...]) -> list[str]:
    """As papers call them, `*` for one that was distilled; the resolution where that does not tell two apart."""
    names = [f"{p.name}{'*' if p.is_distilled else ''}" for p in points]
    seen = Counter(names)
    return [f"{name} {p.resolution} px" if seen[name] > 1 else name for p, name in zip(points, names, strict=True)]


def _facts(**facts: str) -> list[list[str]]:
    return [[name, text] for name, text in facts.items() if text]
