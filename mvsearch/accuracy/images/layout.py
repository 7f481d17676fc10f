"""Which of the files are training images and which validation images, and of which class. Pure functions of the names."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mvsearch.accuracy.images.listing import IMAGE_SUFFIXES, Entry, Folder, as_tree
from mvsearch.errors import InputError

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "valid", "validation", "test")
"""In the order in which they are taken; what is not taken is left aside."""
VAL_PART = 0.2
"""Of the images of each class, where there is no validation split."""
MAX_VAL = 10_000
"""Images that are held out at most: the standard error of a top-1 of 75 % is then 0.4 points."""
HELD_OUT = "validation images were held out by a hash of the file names"
ALLOWED = (
    "give a folder (or a `.zip`) with one folder per class, or with `train/` and `val/` that each hold one folder per class; "
    "WebDataset shards (`.tar`); or `procedural`"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A file that should be an image of a class.

    Attributes:
        name: path below the split's folder, `class/...`; the same in a folder and in an archive of it.
        label: index of the class.
        entry: the file.
    """

    name: str
    label: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Labelled:
    """Files with their use.

    Attributes:
        classes: names, sorted.
        train: in an order that mixes the classes.
        val: likewise.
        unlabelled: (file, reason) of images without a class.
        strays: (file, reason) of other files.
        remarks: what else the user should know, each a part of a sentence.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    unlabelled: tuple[tuple[str, str], ...] = ()
    strays: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()


def arrange(entries: Iterable[Entry], folders: Iterable[str], place: str) -> Labelled:
    """One folder per class, or `train/` and `val/` that hold the same classes; folders wrapped around that are passed through.

    Args:
        entries: all files, in any order.
        folders: all folders, also empty ones.
        place: as named to the user.

    Raises:
        InputError: neither of the two layouts, an empty class, one class only, too few images, classes that differ.
    """
    tree, outside = _unwrap(_Tree(as_tree(entries, folders), place, place))
    folder = tree.folder
    names = {name.lower(): name for name in sorted(folder.folders, reverse=True)}
    train_name = next((names[n] for n in TRAIN_NAMES if n in names and folder.folders[names[n]].folders), None)
    val_name = next((names[n] for n in VAL_NAMES if n in names), None)
    if train_name is None:
        return _one_tree(tree, outside)
    aside = sorted(n for n in folder.folders if n not in (train_name, val_name))
    if val_name is None and any(_are_images(folder.folders[n].every()) for n in aside):
        raise InputError(
            f"`{tree.path}` holds `{train_name}`, with folders in it, and beside it {listed(aside)}: "
            "which are the classes is not clear",
            f"give `{tree.path}/{train_name}`, or put the validation images into `val`",
        )
    outside += folder.files
    remarks = tuple(f"`{n}` left aside" for n in aside)
    if val_name is None:
        return _one_tree(tree.below(train_name), outside, remarks)
    return _two_trees(tree.below(train_name), tree.below(val_name), outside, remarks)


def hold_out(samples: Sequence[Sample]) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Split into training and validation images, class by class, by a hash of the name.

    The images of a class whose hashes are the smallest are held out: about 20 %, at least one, and at most 10,000 in
    total unless there are more classes than that. Nothing depends on the order of the samples.

    Args:
        samples: at least two of each class.

    Returns:
        (training, validation), each in an order that mixes the classes.
    """
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in mixed(samples):
        by_class[sample.label].append(sample)
    part = min(VAL_PART, MAX_VAL / len(samples))
    train: list[Sample] = []
    val: list[Sample] = []
    for members in by_class.values():
        count = max(1, int(part * len(members)))
        val += members[:count]
        train += members[count:]
    return mixed(train), mixed(val)


def mixed(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """In the order of a hash of their names: any part from the front is a fair sample of all."""
    return tuple(sorted(samples, key=lambda s: (_hash(s.name), s.name)))


def listing_key(labelled: Labelled, side: int, version: int) -> str:
    """What makes a cache another one: names, classes, use, sizes and marks of the files, the stored side, the format."""
    digest = hashlib.sha256(f"{version}\n{side}\n".encode())
    for name in labelled.classes:
        digest.update(f"{name}\n".encode())
    for samples in (labelled.train, labelled.val):
        digest.update(b"\n")
        for s in samples:
            digest.update(f"{s.name}\t{s.label}\t{s.entry.size}\t{s.entry.mark}\n".encode())
    return digest.hexdigest()[:16]


def check_two(classes: Sequence[str], samples: Iterable[Sample], place: str) -> None:
    """A class that is to be split needs two images.

    Raises:
        InputError: a class has one.
    """
    count = Counter(s.label for s in samples)
    if few := [name for label, name in enumerate(classes) if count[label] < 2]:
        raise InputError(
            f"`{place}` has fewer than 2 images of {listed(few)}",
            "give each class at least 2, better 50: some of them are held out",
        )


@dataclass(frozen=True, slots=True)
class _Tree:
    """A folder, its path as shown to the user, and the path of the whole that it lies in."""

    folder: Folder
    path: str
    place: str

    def below(self, name: str) -> _Tree:
        return _Tree(self.folder.folders[name], f"{self.path}/{name}", self.place)

    def classes(self) -> tuple[str, ...]:
        folders = self.folder.folders
        if not folders:
            files = self.folder.files
            held = "images, but no class folders" if _are_images(files) else "no images" if files else "nothing"
            raise InputError(f"`{self.path}` holds {held}", ALLOWED)
        if empty := [f"{self.path}/{n}" for n in sorted(folders) if next(folders[n].every(), None) is None]:
            plural = "folder is" if len(empty) == 1 else "folders are"
            raise InputError(f"class {plural} empty: {listed(empty)}", "put images into each, or delete it")
        if len(folders) == 1:
            raise InputError(
                f"`{self.path}` holds one class only, `{next(iter(folders))}`",
                "a network learns to tell classes apart: give a folder for each of two or more",
            )
        return tuple(sorted(folders))

    def samples(self, classes: Sequence[str]) -> list[Sample]:
        above = len(self.path) - len(self.place)
        folders = self.folder.folders
        return [Sample(e.name[above:], label, e) for label, name in enumerate(classes) for e in folders[name].every()]


def _unwrap(tree: _Tree) -> tuple[_Tree, list[Entry]]:
    outside: list[Entry] = []
    while len(tree.folder.folders) == 1 and not _are_images(tree.folder.files):
        inner = tree.below(next(iter(tree.folder.folders)))
        if not inner.folder.folders:
            break
        outside += tree.folder.files
        tree = inner
    return tree, outside


def _one_tree(tree: _Tree, outside: list[Entry], remarks: tuple[str, ...] = ()) -> Labelled:
    classes = tree.classes()
    samples = tree.samples(classes)
    check_two(classes, samples, tree.path)
    train, val = hold_out(samples)
    return Labelled(classes, train, val, *_left_over(outside + tree.folder.files), (HELD_OUT, *remarks))


def _two_trees(train: _Tree, val: _Tree, outside: list[Entry], remarks: tuple[str, ...]) -> Labelled:
    classes, others = train.classes(), val.classes()
    if classes != others:
        differences = ((train.path, set(classes) - set(others)), (val.path, set(others) - set(classes)))
        parts = (f"only `{path}` has {listed(sorted(own))}" for path, own in differences if own)
        raise InputError(
            f"the classes of training and validation differ: {'; '.join(parts)}", "both must hold the same class folders"
        )
    left_over = _left_over(outside + train.folder.files + val.folder.files)
    return Labelled(classes, mixed(train.samples(classes)), mixed(val.samples(classes)), *left_over, remarks)


def _left_over(entries: Iterable[Entry]) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    found = [(e.name, "lies in no class folder") for e in entries]
    images = tuple(x for x in found if _is_image(x[0]))
    return images, tuple(x for x in found if not _is_image(x[0]))


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _are_images(entries: Iterable[Entry]) -> bool:
    return any(_is_image(e.name) for e in entries)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names for a message, each in backticks, and how many more there are."""
    return ", ".join(f"`{n}`" for n in names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=8).digest()
