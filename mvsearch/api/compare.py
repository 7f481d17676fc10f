"""Several runs compared: each read from its store alone, on a copy, so that nothing in the runs' folders changes."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.api.report import read_run
from mvsearch.errors import InputError
from mvsearch.search.folder import RunFolder
from mvsearch.spec.run import RunView

if TYPE_CHECKING:
    from mvsearch.report.compare_data import Comparison


@dataclass(frozen=True, slots=True)
class CompareResult:
    """A comparison and the folder that holds its page."""

    comparison: Comparison
    folder: Path


def compare_runs(paths: Sequence[str | Path]) -> Comparison:
    """Runs side by side, grouped by their settings; runs that differ only in their seed are one group.

    Args:
        paths: run folders, two at least; of runs that go on too.

    Raises:
        InputError: fewer than two, one of them twice, or one that is no run folder or cannot be read.
    """
    from mvsearch.report.compare_data import ComparedRun
    from mvsearch.report.compare_fronts import compared

    folders = [Path(p) for p in paths]
    if len(folders) < 2:
        raise InputError(f"`{len(folders)}` runs to compare", "name two run folders at least")
    _check_distinct(folders)
    names = _names(folders)
    views = [_read(folder) for folder in folders]
    return compared([ComparedRun(n, v, _machine(v)) for n, v in zip(names, views, strict=True)])


def write_comparison(paths: Sequence[str | Path], out: str | Path | None = None) -> CompareResult:
    """Compare runs and write page, pictures and tables into a folder of their own.

    Args:
        paths: run folders.
        out: new, empty, or of a comparison before, which is replaced; a new `reports/compare-TIME` by default.

    Raises:
        InputError: see `compare_runs`; or the folder holds something else, or cannot be written. Nothing is changed then.
    """
    from mvsearch.report.compare import check_place, write_compare

    folder = Path(out) if out is not None else Path("reports") / f"compare-{time.strftime('%Y%m%d-%H%M%S')}"
    check_place(folder)
    comparison = compare_runs(paths)
    write_compare(comparison, folder)
    return CompareResult(comparison, folder)


def _check_distinct(folders: Sequence[Path]) -> None:
    seen: dict[Path, Path] = {}
    for folder in folders:
        before = seen.setdefault(folder.resolve(), folder)
        if before is not folder:
            same = f"`{folder}` is named twice" if str(before) == str(folder) else f"`{before}` and `{folder}` are one folder"
            raise InputError(same, "name every run once; runs that differ only in their seed are one group")


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell all of them apart."""
    parts = [f.resolve().parts for f in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-length:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("distinct paths differ somewhere")


def _read(path: Path) -> RunView:
    """A run as its store has it now, from a copy: opening a store writes to its folder, and migrates an old one."""
    folder = RunFolder(path)
    folder.read()
    with tempfile.TemporaryDirectory(prefix="mvsearch-") as temporary:
        copy = RunFolder(Path(temporary) / "run")
        try:
            _copy(folder, copy)
            return read_run(copy.path).view
        except InputError as error:
            raise InputError(_at_home(error.message, copy, folder), _at_home(error.hint, copy, folder)) from None
        except OSError as error:
            raise InputError(f"`{path}` cannot be read: {error.strerror or error}", "give a folder that can be read") from None


def _at_home(text: str, copy: RunFolder, folder: RunFolder) -> str:
    return text.replace(str(copy.path), str(folder.path))


def _copy(folder: RunFolder, copy: RunFolder) -> None:
    copy.path.mkdir()
    for item in folder.path.iterdir():
        if item.is_file() and item.suffix in (".json", ".jsonl"):
            shutil.copyfile(item, copy.path / item.name)
    if not folder.store.exists():
        return
    shared = folder.store.with_name(f"{folder.store.name}-shm")
    if not shared.exists():
        log = folder.store.with_name(f"{folder.store.name}-wal")
        shutil.copyfile(folder.store, copy.store)
        if log.exists():
            shutil.copyfile(log, copy.store.with_name(log.name))
    if shared.exists():
        # Another process writes the run just now, or was killed at it.
        _copy_live(folder.store, copy.store)


def _copy_live(source: Path, place: Path) -> None:
    """A consistent copy of a store that is in use; SQLite is kept from writing beside it."""
    for stale in place.parent.glob(f"{place.name}*"):
        stale.unlink()
    address = f"{source.resolve().as_uri()}?mode=ro&readonly_shm=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as live, closing(sqlite3.connect(place)) as mine:
            live.backup(mine)
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"`{source}` cannot be read: {error}", "wait until nothing writes the run, or put back a copy"
        ) from None


def _machine(view: RunView) -> str:
    """On which machine a run's latencies depend; empty for a device whose latencies are predicted by what ships."""
    from mvsearch.targets import get_target
    from mvsearch.targets.host.machine import MachineTarget

    return view.machine if isinstance(get_target(view.settings.target), MachineTarget) else ""
