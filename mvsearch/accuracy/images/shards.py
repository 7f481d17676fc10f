"""WebDataset shards: tar files in which `key.jpg` and `key.cls` lie side by side.

Read with the standard library. The package `webdataset` is small, but it streams: it has no list of the samples, which
the split by names, the key of the cache and reading from many threads need, and it unpickles what a shard tells it to.
The layout is documented at https://github.com/webdataset/webdataset: the key of a file is its path up to the first dot
of its name, the rest is the extension, and `.cls` holds an integer.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from mvsearch.accuracy.images.archives import TarSource
from mvsearch.accuracy.images.layout import HELD_OUT, TRAIN_NAMES, VAL_NAMES, Labelled, Sample, check_two, hold_out, mixed
from mvsearch.accuracy.images.listing import IMAGE_SUFFIXES, Entry, Unreadable
from mvsearch.errors import InputError

LABEL = "cls"
MAX_SHARDS = 100_000
"""That one brace may stand for."""
_IMAGES = {suffix[1:] for suffix in IMAGE_SUFFIXES}
_BRACES = re.compile(r"^(.*?)\{([^{}]*)\}(.*)$")
_RANGE = re.compile(r"^(\d+)\.\.(\d+)$")


def expand(pattern: str) -> list[str]:
    """Names that a brace pattern stands for: `a-{00..02}.tar` gives three, `{a,b}.tar` two.

    Raises:
        InputError: a brace that is neither a range nor a list.
    """
    found = _BRACES.match(pattern)
    if not found:
        return [pattern]
    before, inside, after = found.groups()
    if span := _RANGE.match(inside):
        first, last = span.groups()
        width = len(first) if first.startswith("0") else 0
        values = [f"{i:0{width}d}" for i in range(int(first), min(int(last), int(first) + MAX_SHARDS) + 1)]
    else:
        values = inside.split(",")
    if not (1 if span else 2) <= len(values) <= MAX_SHARDS:
        raise InputError(f"`{{{inside}}}` in `{pattern}` is no range", "write e.g. `imgs-{0000..0007}.tar`")
    return [before + value + rest for value, rest in itertools.product(values, expand(after))]


def holds_shards(source: TarSource) -> bool:
    """Whether there are labels beside the images; without any, the tar files hold folders."""
    return any(_parts(entry.name)[1] == LABEL for entry in source.entries)


def arrange_shards(source: TarSource) -> Labelled:
    """Samples of shards with their classes.

    Shards whose paths hold the word `train` are for training and those with `val`, `valid`, `validation` or `test` for
    validation, if every shard is one of the two; otherwise some images of each class are held out by the hash of their
    names. Classes that are integers are sorted as such.

    Raises:
        InputError: one class only, too few images, classes that differ.
    """
    groups: dict[str, dict[str, Entry]] = {}
    for entry in sorted(source.entries, key=lambda e: e.name):
        key, extension = _parts(entry.name)
        groups.setdefault(key, {})[extension] = entry
    images: list[tuple[Entry, str]] = []
    unlabelled: list[tuple[str, str]] = []
    strays: list[tuple[str, str]] = []
    for parts in groups.values():
        image = next((e for extension, e in parts.items() if extension in _IMAGES), None)
        if image is None:
            strays += [(e.name, "no image beside it") for e in parts.values()]
            continue
        label, fault = _label(source, parts.get(LABEL))
        if fault:
            unlabelled.append((image.name, fault))
        else:
            images.append((image, label))
    names = {label for _, label in images}
    numbers = all(re.fullmatch(r"\d+", name) for name in names)
    classes = tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))
    if len(classes) < 2:
        found = f"one class only, `{classes[0]}`" if classes else "no image with a label"
        raise InputError(
            f"`{source.place}` holds {found}", "each `key.jpg` needs a `key.cls` beside it, and there must be two classes"
        )
    index = {name: i for i, name in enumerate(classes)}
    samples = [Sample(entry.name, index[label], entry) for entry, label in images]
    left_over = (tuple(unlabelled), tuple(strays))
    uses = [_use(s.name) for s in samples]
    if {"train", "val"} == set(uses):
        train, val = (mixed(s for s, use in zip(samples, uses, strict=True) if use == wanted) for wanted in ("train", "val"))
        return Labelled(classes, train, val, *left_over)
    check_two(classes, samples, source.place)
    return Labelled(classes, *hold_out(samples), *left_over, (HELD_OUT,))


def find(paths: list[Path], place: str, root: Path | None = None) -> TarSource:
    """The files in some tar files.

    Args:
        paths: of the tar files.
        place: as named to the user.
        root: folder that the names of the tar files start from; their own folder by default.

    Raises:
        InputError: one of them cannot be read.
    """
    names = [str(p.relative_to(root)) if root else p.name for p in paths]
    return TarSource(paths, place, names if len(paths) > 1 else [""])


def _parts(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    key, _, extension = file.partition(".")
    return folder + slash + key, extension.lower()


def _label(source: TarSource, entry: Entry | None) -> tuple[str, str]:
    """(label, fault): one of them is empty."""
    if entry is None:
        return "", f"no `.{LABEL}` beside it"
    try:
        text = source.read(entry).decode().strip()
    except (Unreadable, UnicodeDecodeError) as error:
        return "", f"its `.{LABEL}` cannot be read: {error}"
    if not text or len(text) > 200 or "\n" in text:
        return "", f"its `.{LABEL}` holds no class"
    return text, ""


def _use(name: str) -> str:
    words = set(re.split(r"[^a-z]+", name.lower().partition(".tar/")[0])) if ".tar/" in name.lower() else set()
    train, val = bool(words & set(TRAIN_NAMES)), bool(words & set(VAL_NAMES))
    return "train" if train and not val else "val" if val and not train else ""
