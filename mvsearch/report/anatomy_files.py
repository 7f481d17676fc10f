"""Where costs go as files: `by_stage.csv`, `by_kind.csv`, `by_op.csv`, and a picture."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mvsearch.errors import InputError
from mvsearch.report.anatomy import ABOUT, BY, CONSTANT, MEMORY, By, lines
from mvsearch.targets.anatomy import Anatomy

NAMES: dict[By, str] = {"stage": "part", "kind": "kind", "op": "module"}


def columns(by: By) -> tuple[str, ...]:
    """`arch_id`, the network's name, what the row is of, then its costs; `ms` is empty where a latency cannot be split."""
    return ("arch_id", "network", NAMES[by], *ABOUT[by], "ms", "macs", "params", MEMORY[by][0])


def rows(arch_id: str, name: str, anatomy: Anatomy, by: By) -> Iterator[list[str]]:
    """Every line of one network, and the constant."""
    for line in lines(anatomy, by):
        key = line.key.rpartition(" ")[0] if by == "op" else line.key
        yield [arch_id, name, key, *line.about, _ms(line.ms), str(line.macs), str(line.params), str(line.bytes)]
    if anatomy.constant_ms is not None:
        yield [arch_id, name, CONSTANT, *("" for _ in ABOUT[by]), _ms(anatomy.constant_ms), "0", "0", "0"]


def write_anatomy(
    folder: Path, arch_ids: Sequence[str], names: Sequence[str], anatomies: Sequence[Anatomy], by: By, latency_note: str
) -> tuple[Path, ...]:
    """Write the three tables, and `anatomy.svg` and `anatomy.png`; other files in the folder stay as they are.

    Args:
        folder: made if it is not there.
        arch_ids: of the networks.
        names: of the networks.
        anatomies: in the same order.
        by: what the picture shows.
        latency_note: where the milliseconds come from, e.g. `predicted on iphone12`.

    Returns:
        The files written.

    Raises:
        InputError: the folder cannot be written.
    """
    from mvsearch.report.anatomy_picture import draw_anatomy

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Written beside its place and then moved there, so that nobody ever meets half a file.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".describe-") as drafts:
            tables = [Path(drafts) / f"by_{kind}.csv" for kind in BY]
            for path, kind in zip(tables, BY, strict=True):
                _write_rows(path, arch_ids, names, anatomies, kind)
            pictures = [Path(drafts) / "anatomy.svg", Path(drafts) / "anatomy.png"]
            draw_anatomy(names, anatomies, by, latency_note, pictures)
            return tuple(draft.replace(folder / draft.name) for draft in (*tables, *pictures))
    except OSError as error:
        raise InputError(
            f"cannot write into `{folder}`: {error.strerror or error}", "give an `--out` folder that can be written"
        ) from None


def _write_rows(path: Path, arch_ids: Sequence[str], names: Sequence[str], anatomies: Sequence[Anatomy], by: By) -> None:
    """Write the lines of these networks, one after the other."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns(by))
        for arch_id, name, anatomy in zip(arch_ids, names, anatomies, strict=True):
            writer.writerows(rows(arch_id, name, anatomy, by))


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.7g}"
