"""A library: many entries in one folder, with an index to find them by.

    LIBRARY/index.json      what is in it: written last, so that it never lists half an entry
    LIBRARY/NAME/           an entry, as `mvsearch.export.library` writes it

The index only repeats what the entries say, and can be made anew from them (`verify`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mvsearch.errors import InputError, MvsearchError
from mvsearch.export.entry import CONFIG, METRICS, WEIGHTS, load, read_config, read_json, read_metrics, spec_of
from mvsearch.export.subject import identifier
from mvsearch.export.weights import sha256
from mvsearch.files import kind_of, staged
from mvsearch.spec.plain import read_plain, shown
from mvsearch.spec.record import Measurement

FORMAT, SCHEMA_VERSION = "mvsearch-library", 1
INDEX, LOCK = "index.json", ".lock"
LOCK_SECONDS = 60.0
_MAKE_ANEW = "delete it, and `mvsearch library verify DIR` makes it anew"
MAX_TAG = 60


@dataclass(frozen=True, slots=True)
class Shelved:
    """A line of the index.

    Attributes:
        folder: of the entry, within the library.
        arch_id: content hash of the network.
        name: its published name; empty if it has none.
        resolution: side of its images in pixels.
        classes: outputs of its classifier.
        weights: `initial` or `trained`.
        sha256: of its weights.
        tags: as the user gave them.
    """

    folder: str
    arch_id: str
    name: str
    resolution: int
    classes: int
    weights: str
    sha256: str
    tags: tuple[str, ...] = ()

    def is_same(self, other: Shelved) -> bool:
        """Whether they are one network for the same images; initial weights of any seed are as good as each other."""
        if (self.arch_id, self.resolution, self.weights) != (other.arch_id, other.resolution, other.weights):
            return False
        return self.weights == "initial" or self.sha256 == other.sha256


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a library that is not as it should be.

    Attributes:
        folder: of the entry, within the library.
        message: what is wrong.
        mended: whether the index has been put right by it.
        lost: whether an entry cannot be loaded.
    """

    folder: str
    message: str
    mended: bool
    lost: bool = False


class Library:
    """One library on disk.

    Args:
        folder: of the library; it is made with the first entry.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def entries(self) -> tuple[Shelved, ...]:
        """What the index lists, in the order of its adding.

        Raises:
            InputError: the folder is no library, or its index cannot be read.
        """
        if not self.folder.is_dir():
            raise InputError(f"there is no library `{self.folder}`", "`mvsearch export NAME --library DIR` begins one")
        path = self.folder / INDEX
        if not path.exists():
            raise InputError(f"`{self.folder}` is no library: it has no `{INDEX}`", "`mvsearch library verify DIR` makes one")
        data = read_json(path)
        if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("entries"), list):
            raise InputError(f"`{path}` is not the index of a library", _MAKE_ANEW)
        if data.get("schema_version") != SCHEMA_VERSION:
            raise InputError(
                f"`{path}` has schema `{shown(data.get('schema_version'))}`", f"this version reads {SCHEMA_VERSION}"
            )
        try:
            entries = tuple(read_plain(Shelved, e, "entry") for e in data["entries"])
        except ValueError as error:
            raise InputError(f"`{path}`: {error}", _MAKE_ANEW) from error
        for e in entries:
            _check_folder_name(e.folder)
        return entries

    def path(self, entry: Shelved) -> Path:
        """Where an entry lies."""
        return self.folder / entry.folder

    def find(self, key: str) -> Shelved:
        """The entry with this folder, published name or `arch_id` (or the beginning of one).

        Raises:
            InputError: none, or several.
        """
        entries = self.entries()
        for fits in (lambda e: e.folder == key, lambda e: key in (e.name, e.arch_id), lambda e: e.arch_id.startswith(key)):
            found = [e for e in entries if fits(e)]
            if len(found) == 1:
                return found[0]
            if found:
                raise InputError(
                    f"`{shown(key)}` stands for {len(found)} entries", f"one of {', '.join(f'`{e.folder}`' for e in found[:8])}"
                )
        some = ", ".join(f"`{e.folder}`" for e in entries[:8])
        raise InputError(f"`{self.folder}` has no entry `{shown(key)}`", some or "it is empty")

    def same_as(self, line: Shelved) -> Shelved | None:
        """The entry of this network, if the library has it."""
        entries = self.entries() if (self.folder / INDEX).exists() else ()
        return next((e for e in entries if e.is_same(line) and self.path(e).is_dir()), None)

    def add(self, folder: str | Path, tags: Sequence[str] = ()) -> tuple[Shelved, bool]:
        """Copy an entry into the library.

        Args:
            folder: of the entry.
            tags: to find it by.

        Returns:
            Its line of the index, and whether it is new; a network that is there keeps its entry, and gets the tags.

        Raises:
            InputError: no entry, or one whose files do not fit together.
        """
        source = Path(folder)
        load(source)
        line, tags = _line(source), tuple(map(checked_tag, tags))
        with self._locked():
            entries = self.entries() if (self.folder / INDEX).exists() else ()
            same = self.same_as(line)
            if same:
                kept = replace(same, tags=tuple(dict.fromkeys((*same.tags, *tags))))
                self._write([kept if e == same else e for e in entries])
                return kept, False
            named = replace(line, folder=identifier(spec_of(source, read_config(source))))
            line = replace(line, folder=self._free_name(named, entries), tags=tags)
            _copy(source, self.folder / line.folder)
            # An entry that has been deleted by hand makes room for one of its name.
            self._write([*(e for e in entries if e.folder != line.folder), line])
            return line, True

    def verify(self) -> tuple[tuple[Shelved, ...], tuple[Fault, ...]]:
        """Load every entry, and put the index right.

        Returns:
            What the library holds now, and what was wrong. An entry that does not load is no longer listed; its files stay.
        """
        faults: list[Fault] = []
        with self._locked(create=False):
            try:
                listed = self.entries() if (self.folder / INDEX).exists() else ()
            except InputError as error:
                listed = ()
                faults.append(Fault(INDEX, error.message, True))
            whole: list[Shelved] = []
            for entry in listed:
                try:
                    now = replace(self._loaded(entry.folder), tags=entry.tags)
                    if now != entry:
                        faults.append(Fault(entry.folder, "is not what the index said", True))
                    whole.append(now)
                except MvsearchError as error:
                    faults.append(Fault(entry.folder, f"{error.message}; no longer listed", True, lost=True))
            known = {e.folder for e in listed}
            for path in sorted(
                p for p in self.folder.iterdir() if p.is_dir() and p.name not in known and (p / CONFIG).exists()
            ):
                if path.name.startswith("."):
                    continue
                try:
                    whole.append(self._loaded(path.name))
                    faults.append(Fault(path.name, "was not listed; now it is", True))
                except MvsearchError as error:
                    faults.append(Fault(path.name, error.message, False, lost=True))
            self._write(whole)
        return tuple(whole), tuple(faults)

    def _loaded(self, name: str) -> Shelved:
        load(self.folder / name)
        return _line(self.folder / name)

    def _free_name(self, line: Shelved, entries: Sequence[Shelved]) -> str:
        taken = {e.folder for e in entries if self.path(e).exists()}
        names = (line.folder, f"{line.folder}-{line.resolution}px", f"{line.folder}-{line.resolution}px-{line.sha256[:8]}")
        name = next((n for n in names if n not in taken and not (self.folder / n).exists()), None)
        if name is None:
            raise InputError(f"`{self.folder / line.folder}` is in the way", "`mvsearch library verify DIR` lists or names it")
        return name

    def _write(self, entries: Sequence[Shelved]) -> None:
        data = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "entries": [asdict(e) for e in entries]}
        temporary = self.folder / f".{INDEX}.new"
        try:
            temporary.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
            temporary.replace(self.folder / INDEX)
        except OSError as error:
            raise InputError(
                f"`{self.folder / INDEX}` could not be written: {error.strerror}", "the index is as it was"
            ) from error

    @contextmanager
    def _locked(self, create: bool = True) -> Iterator[None]:
        """One writer at a time."""
        from filelock import FileLock, Timeout

        if not create and not self.folder.is_dir():
            raise InputError(f"there is no library `{self.folder}`", "`mvsearch export NAME --library DIR` begins one")
        self.require_usable()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / LOCK, timeout=LOCK_SECONDS):
                yield
        except Timeout:
            raise InputError(f"`{self.folder}` is being written to by another process", "try again when it has ended") from None
        except OSError as error:
            raise InputError(
                f"`{self.folder}` cannot be written: {error.strerror or error}", "choose a folder that you may write to"
            ) from error

    def require_usable(self) -> None:
        """Refuse a folder that holds other things, or is an entry.

        Raises:
            InputError: it is no place for a library.
        """
        if kind_of(self.folder) in ("file", "other"):
            raise InputError(f"`{self.folder}` is a file", "choose another folder for the library")
        if not self.folder.is_dir() or (self.folder / INDEX).exists():
            return
        names = sorted(p.name for p in self.folder.iterdir() if not p.name.startswith("."))
        if (self.folder / CONFIG).exists():
            raise InputError(f"`{self.folder}` is an entry, not a library of entries", "choose another folder for the library")
        strange = [n for n in names if not (self.folder / n / CONFIG).exists()]
        if strange:
            raise InputError(
                f"`{self.folder}` holds `{shown(strange[0])}` and is no library",
                "choose a new or an empty folder for the library",
            )


def line_of(folder: Path, config: dict[str, Any], digest: str) -> Shelved:
    """The line of the index for an entry with this configuration."""
    spec = spec_of(folder, config)
    return Shelved(
        folder=folder.resolve().name,
        arch_id=spec.arch_id,
        name=config["name"] or "",
        resolution=config["input"]["shape"][-1],
        classes=spec.num_classes,
        weights=config["weights"]["status"],
        sha256=digest,
    )


def measurements_of(folder: Path) -> dict[str, Measurement]:
    """The numbers of an entry by metric.

    Raises:
        InputError: they cannot be read.
    """
    try:
        return {k: Measurement.from_json(m) for k, m in read_metrics(folder)["measurements"].items()}
    except ValueError as error:
        raise InputError(f"`{folder / METRICS}`: {error}", "the file was edited; write the entry anew") from error


def checked_tag(tag: str) -> str:
    """The tag, if it can be one.

    Raises:
        InputError: it is empty, too long, or holds a comma or what cannot be seen.
    """
    if not tag.strip() or len(tag) > MAX_TAG or "," in tag or not tag.isprintable():
        raise InputError(f"tag `{shown(tag)}`", f"a word or two without commas, up to {MAX_TAG} characters")
    return tag.strip()


def _line(folder: Path) -> Shelved:
    config = read_config(folder)
    line = line_of(folder, config, config["weights"].get("sha256") or sha256(folder / WEIGHTS))
    try:
        return read_plain(Shelved, asdict(line), "entry")
    except ValueError as error:
        raise InputError(f"`{folder / CONFIG}`: {error}", "the file was edited; write the entry anew") from error


def _copy(source: Path, target: Path) -> None:
    with staged(target) as temporary:
        shutil.copytree(source, temporary, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git", ".cache"))


def _check_folder_name(name: str) -> None:
    """An index is a stranger's file: its folders lie within the library."""
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise InputError(f"the index names the folder `{shown(name)}`", "folders of entries lie directly in the library")
