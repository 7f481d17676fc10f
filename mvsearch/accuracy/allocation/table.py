"""The results of the design as a table: one row per finished training."""

from __future__ import annotations

import csv
import io
import math
import os
from dataclasses import dataclass, fields
from pathlib import Path

from mvsearch.accuracy.trained import TrainingRecord
from mvsearch.errors import InputError

SHIPPED = Path(__file__).parent.parent / "data" / "allocation.csv"
"""The table that comes with mvsearch."""


@dataclass(frozen=True, slots=True)
class Result:
    """One finished training.

    Attributes:
        name: of the candidate.
        arch_id: of the network that was trained.
        seed: of weights, order and views.
        resolution: side of the images in pixels.
        steps: optimiser steps.
        val_loss: cross-entropy in nats on the validation images.
        val_loss_se: its standard error over the validation images.
        top1: in % on the same images.
        num_val: validation images.
        images_per_second: of the training steps.
        seconds: of the whole training.
        recipe: key of the recipe.
        images: key of the images.
        device: what trained.
        torch: its version.
    """

    name: str
    arch_id: str
    seed: int
    resolution: int
    steps: int
    val_loss: float
    val_loss_se: float
    top1: float
    num_val: int
    images_per_second: float
    seconds: float
    recipe: str
    images: str
    device: str
    torch: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What was trained, on what, how, with which seed."""
        return self.arch_id, self.images, self.recipe, self.seed


COLUMNS = tuple(f.name for f in fields(Result))
_TYPES = {"str": str, "int": int, "float": float}


def result_of(name: str, record: TrainingRecord) -> Result:
    """A row for a training that did not fail."""
    assert record.val_loss is not None and record.val_loss_se is not None and record.top1 is not None
    return Result(
        name=name,
        arch_id=record.arch_id,
        seed=record.seed,
        resolution=record.resolution,
        steps=record.steps,
        val_loss=round(record.val_loss, 5),
        val_loss_se=round(record.val_loss_se, 5),
        top1=round(record.top1, 3),
        num_val=record.num_val,
        images_per_second=round(record.images_per_second, 1),
        seconds=round(record.seconds, 1),
        recipe=record.recipe,
        images=record.images,
        device=record.device,
        torch=dict(record.versions)["torch"],
    )


def append_result(path: Path, result: Result) -> None:
    """Add a row, and a header to a file that is new; the row is on the disk when this returns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        writer.writerow(COLUMNS)
    writer.writerow([getattr(result, c) for c in COLUMNS])
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())


def read_results(path: Path) -> tuple[Result, ...]:
    """Read a table of results.

    Raises:
        InputError: no file, other columns, a value that is no number or that no training gives, or a training
            that stands there twice; with the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read `{path}`: {getattr(error, 'strerror', None) or error}", "a table of trained candidates"
        ) from None
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    rows = list(csv.reader(line for _, line in numbered))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(
            f"`{path}` has the columns `{','.join(rows[0]) if rows else ''}`", f"the first line is `{','.join(COLUMNS)}`"
        )
    results: dict[tuple[str, str, str, int], Result] = {}
    for (number, _), row in zip(numbered[1:], rows[1:], strict=True):
        result = _parse(row, f"{path}, line {number}")
        if result.key in results:
            raise InputError(
                f"{path}, line {number}: `{result.name}` with seed `{result.seed}` stands there twice", "one row per training"
            )
        results[result.key] = result
    return tuple(results.values())


def _parse(row: list[str], where: str) -> Result:
    if len(row) != len(COLUMNS):
        raise InputError(f"{where}: `{len(row)}` values", f"{len(COLUMNS)} values, one per column")
    values: dict[str, str | int | float] = {}
    for field, text in zip(fields(Result), row, strict=True):
        try:
            values[field.name] = _TYPES[str(field.type)](text)
        except ValueError:
            raise InputError(f"{where}: `{field.name}` is `{text}`", "a number") from None
    result = Result(**values)  # type: ignore[arg-type]
    allowed = {
        "name": bool(result.name),
        "arch_id": bool(result.arch_id),
        "val_loss": 0 < result.val_loss < math.inf,
        "val_loss_se": 0 <= result.val_loss_se < math.inf,
        "top1": 0 <= result.top1 <= 100,
        "num_val": result.num_val > 1,
        "steps": result.steps > 0,
    }
    for name, ok in allowed.items():
        if not ok:
            raise InputError(f"{where}: `{name}` is `{getattr(result, name)}`", "a value that a finished training gives")
    return result
