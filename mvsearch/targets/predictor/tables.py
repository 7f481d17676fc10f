"""The tables that the phones' predictors are fitted on: published latencies, and operations by network."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from mvsearch.targets.predictor.features import OpCost
from mvsearch.targets.predictor.phones import get_phone

DATA = files("mvsearch.targets.predictor") / "data"
LATENCIES, OPERATIONS = TABLES = ("published_coreml.csv", "coreml_ops.csv")
OFF_NEURAL_ENGINE = "an operation fell off the Neural Engine"


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One published latency.

    Attributes:
        network: timm name or ours, with its resolution: `mobilevit_xs@256`.
        family: networks that share what the features do not see.
        device: as published.
        protocol: who measured, and how.
        latency_ms: as printed; None where the source says that none came about.
        unused: why the fit leaves it out; empty if it does not.
        source: paper or page.
    """

    network: str
    family: str
    device: str
    protocol: str
    latency_ms: float | None
    unused: str
    source: str


def published_rows(phone: str) -> tuple[PublishedRow, ...]:
    """Every row of a phone, those that the fit leaves out included.

    Raises:
        TargetError: there is no table for it.
    """
    devices = get_phone(phone).devices
    return tuple(r for r in _all_rows() if r.device in devices)


@lru_cache(maxsize=1)
def _all_rows() -> tuple[PublishedRow, ...]:
    with (DATA / LATENCIES).open("r", encoding="utf-8") as f:
        return tuple(
            PublishedRow(
                r["network"], r["family"], r["device"], r["protocol"], float(r["latency_ms"]) if r["latency_ms"] else None,
                "" if r["use"] == "yes" else r["use"].removeprefix("no: "), r["source"],
            )
            for r in csv.DictReader(f)
        )  # fmt: skip


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
