"""The tables that the iPhone predictor is fitted on: published latencies, and operations by network."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from functools import lru_cache
from importlib.resources import files

from mvsearch.targets.predictor.features import OpCost
from mvsearch.targets.predictor.regression import LatencyRow

DATA = files("mvsearch.targets.predictor") / "data"
LATENCIES, OPERATIONS = TABLES = ("published_iphone12.csv", "coreml_ops.csv")


def load_rows() -> tuple[LatencyRow, ...]:
    """The published rows that the fit uses."""
    with (DATA / LATENCIES).open("r", encoding="utf-8") as f:
        return tuple(
            LatencyRow(r["network"], r["family"], r["protocol"], float(r["latency_ms"]))
            for r in csv.DictReader(f)
            if r["use"] == "yes"
        )


@lru_cache(maxsize=1)
def load_ops() -> dict[str, tuple[OpCost, ...]]:
    """Operations of every network of the table, by name."""
    ops: dict[str, list[OpCost]] = defaultdict(list)
    with (DATA / OPERATIONS).open("r", encoding="utf-8") as f:
        for r in csv.DictReader(f):
            ops[r["network"]] += [(r["kind"], int(r["macs"]), int(r["bytes"]), int(r["weight_bytes"]))] * int(r["count"])
    return {k: tuple(v) for k, v in ops.items()}


def data_hash() -> str:
    """Hash of the tables that a fit rests on."""
    digest = hashlib.sha256()
    for name in TABLES:
        digest.update((DATA / name).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:16]
