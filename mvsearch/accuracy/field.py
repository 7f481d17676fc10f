"""The networks that the field compares itself with, as published: top-1, size, and latency where a device has one.

All of it is quoted, none of it is ours: `data/field.csv` says by which rule a number is chosen where several are published.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mvsearch.accuracy.anchors import DATA, our_name
from mvsearch.targets.predictor.phones import PHONES, Phone
from mvsearch.targets.predictor.tables import published_rows

FIELD_FILE, LATENCY_FILE = DATA / "field.csv", DATA / "field_latency.csv"
NOT_A_STATEMENT = frozenset({"may be a quotation", "read in a summary only", "another export of the same network"})
"""Why a row of the predictor's table is no statement of its own about a network's latency."""


@dataclass(frozen=True, slots=True)
class FieldLatency:
    """One published latency of a network.

    Attributes:
        device: as published, e.g. `iPhone 12 Pro`.
        ms: as printed, or read off a figure where the source says so.
        protocol: who measured, and how; latencies of two protocols are not comparable.
        source: paper or page.
        is_reference: the protocol is the one that latencies are predicted for here.
    """

    device: str
    ms: float
    protocol: str
    source: str
    is_reference: bool


@dataclass(frozen=True, slots=True)
class FieldPoint:
    """One published network at one resolution, trained on ImageNet-1k alone.

    Attributes:
        network: as timm spells it, where timm has it.
        name: as papers do, e.g. `EfficientFormer-L1`.
        family: e.g. `MobileViTv2`.
        resolution: side of the image in pixels.
        top1: ImageNet-1k top-1, in %.
        params: parameters, rounded as printed.
        macs: multiply-accumulates, rounded as printed, counted by the source's rules; None where none are printed.
        is_distilled: trained with a teacher.
        source: of `top1`: paper and table, or repository.
        costs_source: of `params` and `macs`.
        note: what else is to be known.
        latencies: all that are published for the device that was asked for, the one to compare with first.
    """

    network: str
    name: str
    family: str
    resolution: int
    top1: float
    params: int
    macs: int | None
    is_distilled: bool
    source: str
    costs_source: str
    note: str
    latencies: tuple[FieldLatency, ...] = ()

    @property
    def our_name(self) -> str:
        """Name among `mvsearch.spec.published`, if the network is of the MobileViT families."""
        return our_name(self.network)

    @property
    def latency_ms(self) -> float | None:
        """The first of `latencies`."""
        return self.latencies[0].ms if self.latencies else None

    @property
    def protocol(self) -> str:
        """That `latency_ms` was taken under; empty without one."""
        return self.latencies[0].protocol if self.latencies else ""


def field_points(device: str | None = None) -> tuple[FieldPoint, ...]:
    """The field, family by family and smallest first.

    Of several latencies of a network the first is one of the protocol that is predicted for the device (`Phone.reference`),
    else one of recent software, else any; among equals the median, the lower one of two.

    Args:
        device: a phone as in `--target`, e.g. `iphone12`; for any other device, or None, no latency is given.
    """
    phone = PHONES.get(device.partition("@")[0]) if device else None
    latencies = _latencies(phone.name) if phone else {}
    return tuple(_point(row, latencies) for row in _rows(FIELD_FILE))


def _point(row: dict[str, str], latencies: dict[str, tuple[FieldLatency, ...]]) -> FieldPoint:
    return FieldPoint(
        network=row["network"],
        name=row["name"],
        family=row["family"],
        resolution=int(row["resolution"]),
        top1=float(row["top1"]),
        params=_millions(row["params_m"]),
        macs=_millions(row["macs_m"]) if row["macs_m"] else None,
        is_distilled=row["distilled"] == "yes",
        source=row["source"],
        costs_source=row["costs_source"] or row["source"],
        note=row["note"],
        latencies=latencies.get(f"{row['network']}@{row['resolution']}", ()),
    )


def _millions(text: str) -> int:
    return round(1e6 * float(text))


@lru_cache(maxsize=8)
def _latencies(name: str) -> dict[str, tuple[FieldLatency, ...]]:
    """By `network@resolution`, the one to compare with first."""
    phone = PHONES[name]
    found: dict[str, list[FieldLatency]] = defaultdict(list)
    for row in published_rows(name):
        if row.latency_ms is not None and row.unused not in NOT_A_STATEMENT:
            found[row.network].append(_latency(phone, row.device, row.latency_ms, row.protocol, row.source))
    for line in _rows(LATENCY_FILE):
        if line["device"] in phone.devices:
            latency = _latency(phone, line["device"], float(line["latency_ms"]), line["protocol"], line["source"])
            found[line["network"]].append(latency)
    return {network: _in_order(rows, phone) for network, rows in found.items()}


def _latency(phone: Phone, device: str, ms: float, protocol: str, source: str) -> FieldLatency:
    return FieldLatency(device, ms, protocol, source, protocol in phone.reference)


def _in_order(rows: list[FieldLatency], phone: Phone) -> tuple[FieldLatency, ...]:
    rows = sorted(rows, key=lambda r: (_age(r, phone), r.ms, r.protocol, r.source))
    equals = [r for r in rows if _age(r, phone) == _age(rows[0], phone)]
    first = equals[(len(equals) - 1) // 2]
    return (first, *(r for r in rows if r is not first))


def _age(row: FieldLatency, phone: Phone) -> int:
    return 0 if row.is_reference else 2 if row.protocol in phone.old else 1


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))
