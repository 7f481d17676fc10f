"""`training.csv`: one row per training, every column documented in `TRAINING_COLUMNS`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mvsearch.accuracy.marriage import Marriage, Married
from mvsearch.accuracy.trained import TrainingRecord

_TRAINING = (
    ("arch_id", "content hash of the network, the same in every file and run"),
    ("name", "what the network is called in the report"),
    ("rung", "of the training, from 0"),
    ("steps", "optimiser steps"),
    ("seed", "of the initial weights and of the order and views of the images"),
    ("val_loss", "cross-entropy in nats of the averaged weights on the validation images; empty if the training failed"),
    ("val_loss_se", "its standard error over the images"),
    ("val_top1", "top-1 in % on the same images; not ImageNet's"),
    ("num_val", "validation images"),
    ("resolution", "side of the images in pixels"),
    ("images", "key of the images"),
    ("recipe", "key of the recipe; losses of one key compare"),
    ("images_per_second", "of the training steps alone"),
    ("seconds", "of the whole training"),
    ("device", "what it ran on"),
    ("precision", "of the matrix products"),
    ("taken_at", "UTC"),
    ("failure", "why there is no score, `kind: message`"),
    ("curve", "step:validation loss, separated by spaces"),
)
_NETWORK = (
    ("top1_before", "ImageNet top-1 of the network in %, estimated without training; the same in all rows of a network"),
    ("top1_before_low", "lower end of its interval"),
    ("top1_before_high", "upper end of its interval"),
    ("top1_trained", "ImageNet top-1 in % that the network's training implies; empty if it implies nothing"),
    ("top1_trained_sigma", "its standard deviation in points"),
    ("top1_trained_rung", "rung that it is read off"),
    ("top1_after", "estimate and training combined; the estimate where training is not used"),
    ("top1_after_low", "lower end of its interval"),
    ("top1_after_high", "upper end of its interval"),
    ("top1_published", "ImageNet top-1 in % that its authors report; empty for a candidate"),
)
TRAINING_COLUMNS: tuple[tuple[str, str], ...] = (*_TRAINING, *_NETWORK)
"""(column, meaning), in order."""


def training_rows(marriage: Marriage, records: Sequence[TrainingRecord], names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """One row per training, by network, rung and seed.

    Args:
        marriage: estimates and trainings.
        records: all trainings.
        names: arch_id -> what the network is called; one that is missing is called by its arch_id.
    """
    rungs = {s.recipe: s.rung for s in marriage.scales}
    for r in sorted(records, key=lambda r: (r.arch_id, rungs.get(r.recipe, len(rungs)), r.steps, r.seed)):
        network = marriage.by_id.get(r.arch_id)
        yield {
            "arch_id": r.arch_id,
            "name": names.get(r.arch_id, r.arch_id),
            "rung": rungs.get(r.recipe, ""),
            "steps": r.steps,
            "seed": r.seed,
            "val_loss": _number(r.val_loss),
            "val_loss_se": _number(r.val_loss_se),
            "val_top1": _number(r.top1),
            "num_val": r.num_val,
            "resolution": r.resolution,
            "images": r.images,
            "recipe": r.recipe,
            "images_per_second": _number(r.images_per_second),
            "seconds": _number(r.seconds),
            "device": r.device,
            "precision": r.precision,
            "taken_at": r.taken_at,
            "failure": f"{r.failure.kind}: {r.failure.message}" if r.failure else "",
            "curve": " ".join(f"{p.step}:{_number(p.val_loss)}" for p in r.curve),
            **(_of_network(network) if network else {}),
        }


def write_training_csv(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write rows under the documented columns; what a row lacks stays empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [name for name, _ in TRAINING_COLUMNS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _of_network(n: Married) -> dict[str, Any]:
    t = n.trained
    return {
        "top1_before": _number(n.before.value),
        "top1_before_low": _number(n.before.low),
        "top1_before_high": _number(n.before.high),
        "top1_trained": _number(t.top1 if t else None),
        "top1_trained_sigma": _number(t.sigma if t else None),
        "top1_trained_rung": t.rung if t else "",
        "top1_after": _number(n.after.value),
        "top1_after_low": _number(n.after.low),
        "top1_after_high": _number(n.after.high),
        "top1_published": _number(n.published),
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
