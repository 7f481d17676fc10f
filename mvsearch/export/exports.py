"""Exports of one entry: what can be made of it, made and checked, and put into its place all at once."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mvsearch.errors import ExportError, InputError, MvsearchError
from mvsearch.export.exporter import Check, Subject
from mvsearch.export.registry import BRINGS, FILES, exporter
from mvsearch.files import share

if TYPE_CHECKING:
    from torch import nn

Status = Literal["written", "kept", "refused", "missing"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one export.

    Attributes:
        name: of the exporter.
        title: of the exporter.
        status: `written` and checked; `kept` since it was there; `refused`, for the library cannot express the network;
            `missing`, for something is not installed.
        why: of a refusal or something missing.
        hint: what to do then.
        info: what was written, for `metrics.json`.
        check: what came of rebuilding it.
        seconds: that it took.
    """

    name: str
    title: str
    status: Status
    why: str = ""
    hint: str = ""
    info: Mapping[str, Any] | None = None
    check: Check | None = None
    seconds: float = 0.0


class ExportListener(Protocol):
    """Hears of the progress."""

    def began(self, name: str, title: str) -> None:
        """An export is being made."""

    def ended(self, outcome: Outcome) -> None:
        """It is made, or will not be."""


class Silence:
    """Nobody listens."""

    def began(self, name: str, title: str) -> None:
        """See `ExportListener`."""

    def ended(self, outcome: Outcome) -> None:
        """See `ExportListener`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be made, and what will not."""

    names: tuple[str, ...]
    left_out: tuple[Outcome, ...]


def plan(names: Sequence[str], subject: Subject, leave_out: bool, have: Collection[str] = ()) -> Plan:
    """See what of this can be made, before anything is.

    Args:
        names: of exporters.
        subject: what is to be exported.
        leave_out: go without what cannot be made (the user has asked for all there is) instead of refusing. What an
            export brings along is never refused.
        have: what the entry has, which need not be brought along.

    Raises:
        InputError: a library cannot express the network, or is not installed, and was asked for by name; all of them at once.
    """
    able: list[str] = []
    left: list[Outcome] = []
    brought = [b for name in names for b in BRINGS.get(name, ()) if b not in (*names, *have)]
    for name in (*names, *brought):
        e = exporter(name)
        refusal = e.refuse(subject)
        why = f"{refusal.dimension}: {refusal.message}" if refusal else e.missing()
        if why is None:
            able.append(name)
        elif refusal:
            left.append(Outcome(name, e.title, "refused", why, refusal.hint))
        else:
            left.append(Outcome(name, e.title, "missing", why))
    faults = [o for o in left if o.name not in brought]
    if faults and not leave_out:
        said = "\n".join(f"`{o.name}` {_VERBS[o.status]}: {o.why}" for o in faults)
        raise InputError(said, "\n".join(filter(None, (o.hint for o in faults))) or "leave it out of `--to`")
    return Plan(tuple(able), tuple(left))


_VERBS = {"refused": "cannot express this network", "missing": "cannot be made here"}


def make(
    names: Sequence[str], subject: Subject, model: nn.Module, folder: Path, listener: ExportListener
) -> tuple[Outcome, ...]:
    """Write exports into an entry that is not yet at its place, and rebuild each from its files.

    One alone is made in this process, several by workers.

    Raises:
        ExportError: one cannot be written, or is not the network.
    """
    titles = {name: exporter(name).title for name in names}
    if len(names) == 1:
        listener.began(names[0], titles[names[0]])
        outcome = make_one(names[0], subject, model, folder)
        listener.ended(outcome)
        return (outcome,)
    from mvsearch.export.workers import made_by_workers

    made: dict[str, Outcome] = {}
    for answer in made_by_workers(names, folder, lambda name: listener.began(name, titles[name])):
        name, info = answer["name"], answer["info"]
        check = Check(info["check"]["difference"], info["check"]["by"], tuple(info["check"]["notes"]))
        made[name] = Outcome(name, titles[name], "written", info=info, check=check, seconds=answer["seconds"])
        listener.ended(made[name])
    return tuple(made[name] for name in names)


def make_one(name: str, subject: Subject, model: nn.Module, folder: Path) -> Outcome:
    """Write one export into an entry that is not yet at its place, and rebuild it from its files.

    Raises:
        ExportError: it cannot be written, or is not the network.
    """
    e = exporter(name)
    started = time.perf_counter()
    try:
        info = dict(e.write(subject, model, folder))
        check = e.check(subject, model, folder)
    except MvsearchError as error:
        raise ExportError(f"`{name}`: {error.message}", error.hint or "nothing was written to its place") from error
    files = [f for f in e.files if (folder / f).exists()]
    if not files:
        raise ExportError(f"`{name}` has written none of its files")
    info |= {"title": e.title, "files": files, "check": check.to_json(), "usage": e.usage(subject)}
    return Outcome(name, e.title, "written", info=info, check=check, seconds=time.perf_counter() - started)


def add(
    folder: Path,
    base_files: Sequence[str],
    names: Sequence[str],
    subject: Subject,
    model: nn.Module,
    listener: ExportListener,
    record: Callable[[Sequence[Outcome]], None],
) -> tuple[Outcome, ...]:
    """Make exports beside an entry, then move them into it; a failure on the way leaves the entry as it was.

    Args:
        folder: of the entry.
        base_files: what exporters find in it: configuration and weights.
        names: of exporters, what to make.
        subject: what the entry is.
        model: its network.
        listener: hears of the progress.
        record: lists what has been moved into the entry.

    Raises:
        InputError: the folder cannot be written.
        ExportError: see `make`.
    """
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.resolve().parent))
    except OSError as error:
        raise InputError(f"`{folder}` cannot be written: {error.strerror}", "choose a folder that you may write to") from error
    try:
        stage = work / "new"
        stage.mkdir()
        for name in base_files:
            shutil.copy2(folder / name, stage / name)
        outcomes = make(names, subject, model, stage, listener)
        share(stage)
        _install(stage, folder, [f for name in names for f in FILES[name]], work / "old", lambda: record(outcomes))
    except OSError as error:
        raise InputError(f"`{folder}` could not be written: {error.strerror or error}", "nothing was changed there") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return outcomes


def _install(stage: Path, folder: Path, files: Sequence[str], old: Path, record: Callable[[], None]) -> None:
    """Move what is new into the entry; what it replaces is put back if anything fails before all of it is recorded."""
    old.mkdir()
    moved: list[tuple[Path, Path]] = []
    try:
        for name in files:
            for source, target in ((folder / name, old / name), (stage / name, folder / name)):
                if os.path.lexists(source):
                    source.rename(target)
                    moved.append((target, source))
        record()
    except BaseException:
        for target, source in reversed(moved):
            with suppress(OSError):
                target.rename(source)
        raise
