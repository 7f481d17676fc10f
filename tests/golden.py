"""The counts of the official networks in `tests/data`, as test parameters."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

from mvsearch.spec.arch import ArchSpec, MobileViTStage
from mvsearch.spec.published import network

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Golden:
    """One row: a network, a resolution, and what the official code costs there."""

    name: str
    spec: ArchSpec
    resolution: int
    params: int
    macs: int


def official() -> list[Golden]:
    """Every published variant that the official code builds."""
    return [
        Golden(
            f"{row['network']}@{row['resolution']}",
            network(row["network"]),
            int(row["resolution"]),
            int(row["params"]),
            int(row["macs"]),
        )
        for row in _rows("golden_costs.csv")
    ]


def ablation() -> list[Golden]:
    """All combinations of the four switches at three sizes, on the widths of v1 and of v3."""
    return [
        Golden(
            "-".join([row["size"], row["widths"], *(s for s in _SWITCHES if row[s] == "1")]),
            _switched(row),
            256,
            int(row["params"]),
            int(row["macs"]),
        )
        for row in _rows("golden_v3_ablation.csv")
    ]


_SWITCHES = ("dw_local", "fuse_1x1", "concat_local", "residual")


def _switched(row: dict[str, str]) -> ArchSpec:
    base = network({"v1widths": "mobilevit_", "v3widths": "mobilevitv3_"}[row["widths"]] + row["size"])
    switches = {s: row[s] == "1" for s in _SWITCHES}
    stages = tuple(replace(s, **switches) if isinstance(s, MobileViTStage) else s for s in base.stages)
    return replace(base, stages=stages)


def _rows(name: str) -> list[dict[str, str]]:
    lines = (DATA / name).read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
