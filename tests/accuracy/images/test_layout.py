"""Which file is what follows from the names alone, and from nothing else."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.accuracy.images import layout
from mvsearch.accuracy.images.layout import arrange, hold_out
from mvsearch.accuracy.images.listing import Entry
from mvsearch.errors import InputError


def listed(names, folders=()):
    return [Entry(n, 1, "", n) for n in names], list(folders)


def arranged(names, folders=()):
    return arrange(*listed(names, folders), "data")


def of(split, label=None):
    return sorted(s.entry.name for s in split if label is None or s.label == label)


def tree(counts, prefix=""):
    return [f"{prefix}{name}/{i}.jpg" for name, n in counts.items() for i in range(n)]


COUNTS = st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), st.integers(2, 60), min_size=2, max_size=8)


@given(COUNTS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_split_is_stratified_and_does_not_depend_on_the_order(counts, shuffle):
    names = tree(counts)
    found = arranged(names)
    assert found.classes == tuple(sorted(counts))
    assert not set(of(found.train)) & set(of(found.val))
    assert sorted(of(found.train) + of(found.val)) == sorted(names)
    for label, name in enumerate(found.classes):
        assert len(of(found.val, label)) == max(1, int(0.2 * counts[name]))
        assert all(n.startswith(f"{name}/") for n in of(found.val, label) + of(found.train, label))
    shuffle.shuffle(names)
    again = arranged(names)
    assert (again.train, again.val) == (found.train, found.val)


@given(COUNTS)
@settings(max_examples=30, deadline=None)
def test_a_wrapping_folder_changes_nothing(counts):
    plain, wrapped = arranged(tree(counts)), arranged(tree(counts, "imagenet/v1/"))
    assert [(s.name, s.label) for s in wrapped.val] == [(s.name, s.label) for s in plain.val]
    assert [(s.name, s.label) for s in wrapped.train] == [(s.name, s.label) for s in plain.train]
    assert wrapped.classes == plain.classes


def test_the_validation_images_are_no_more_than_the_limit(monkeypatch):
    monkeypatch.setattr(layout, "MAX_VAL", 20)
    found = arranged(tree({"a": 100, "b": 300, "c": 2}))
    assert [len(of(found.val, label)) for label in range(3)] == [4, 14, 1]


def test_the_split_is_a_fair_sample():
    """A hash that followed the numbers in the names would hold out one end of a video."""
    found = arranged([f"a/{i:05d}.jpg" for i in range(2000)] + ["b/1", "b/2"])
    held_out = [int(n[2:7]) for n in of(found.val, 0)]
    assert abs(sum(held_out) / len(held_out) - 1000) < 100


def test_the_order_mixes_the_classes():
    labels = [s.label for s in arranged(tree({"a": 500, "b": 500})).train]
    assert 30 <= sum(labels[:100]) <= 70


@pytest.mark.parametrize("val", ["val", "valid", "validation", "test", "Test", "VAL"])
@pytest.mark.parametrize("train", ["train", "Training"])
def test_given_splits_are_kept(train, val):
    found = arranged(tree({"cat": 3, "dog": 2}, f"{train}/") + tree({"cat": 1, "dog": 1}, f"{val}/"))
    assert of(found.train) == sorted(tree({"cat": 3, "dog": 2}, f"{train}/"))
    assert of(found.val) == sorted(tree({"cat": 1, "dog": 1}, f"{val}/"))
    assert found.remarks == ()


def test_val_goes_before_test_and_the_rest_is_left_aside():
    names = [n for split in ("train", "val", "test") for n in tree({"cat": 2, "dog": 2}, f"d/{split}/")] + [
        "d/notes.txt",
        "d/a.jpg",
    ]
    found = arranged(names)
    assert {s.entry.name.split("/")[1] for s in found.val} == {"val"}
    assert found.remarks == ("`test` left aside",)
    assert [n for n, _ in found.strays] == ["d/notes.txt"] and [n for n, _ in found.unlabelled] == ["d/a.jpg"]


def test_train_alone_is_split():
    found = arranged([*tree({"cat": 5, "dog": 5}, "train/"), "LICENSE"])
    assert (len(found.train), len(found.val)) == (8, 2) and layout.HELD_OUT in found.remarks
    assert found.val[0].name.split("/")[0] in ("cat", "dog")


def test_a_class_may_be_called_train():
    assert arranged(tree({"bus": 3, "train": 3, "tram": 3})).classes == ("bus", "train", "tram")


def test_images_deeper_in_a_class_belong_to_it():
    found = arranged(["cat/2020/a.jpg", "cat/2021/a.jpg", "dog/images/b.jpg", "dog/c.jpg"])
    assert found.classes == ("cat", "dog") and len(found.train) + len(found.val) == 4


def test_a_class_that_bears_the_name_of_its_wrapper():
    assert {s.name.split("/")[0] for s in arranged(tree({"a": 3, "b": 3}, "a/")).train} == {"a", "b"}


@pytest.mark.parametrize(
    ("names", "folders", "message"),
    [
        ([], [], "`data` holds nothing"),
        (["a.jpg", "b.jpg"], [], "`data` holds images, but no class folders"),
        (["a.txt"], [], "`data` holds no images"),
        (tree({"cat": 5}), [], "one class only, `cat`"),
        (tree({"cat": 5, "dog": 5}), ["fox"], "class folder is empty: `data/fox`"),
        (tree({"cat": 5, "dog": 5}), ["fox/deeper", "hen"], "class folders are empty: `data/fox`, `data/hen`"),
        (tree({"cat": 5, "dog": 1}), [], "fewer than 2 images of `dog`"),
        ([*tree({"cat": 5, "dog": 5}, "train/"), "val/1.jpg"], [], "`data/val` holds images, but no class folders"),
        (tree({"a": 5, "b": 5}, "train/") + tree({"a": 5, "c": 5}, "val/"), [],
         "only `data/train` has `b`; only `data/val` has `c`"),
        (tree({"a": 5, "b": 5}, "train/") + tree({"a": 5}, "val/"), ["val/b"], "class folder is empty: `data/val/b`"),
        (tree({"a": 5, "b": 5}, "train/") + tree({"bus": 5}), [], "which are the classes is not clear"),
    ],
)  # fmt: skip
def test_refusals_name_the_thing(names, folders, message):
    with pytest.raises(InputError) as error:
        arranged(names, folders)
    assert message in error.value.message and error.value.hint


def test_many_missing_classes_are_counted():
    many = {f"c{i:02d}": 2 for i in range(12)}
    with pytest.raises(InputError, match="`c06` and 5 more"):
        arranged(tree(many, "train/") + tree({"c00": 2, "c01": 2}, "val/"))


def test_hold_out_leaves_something_to_learn_from():
    found = arranged(tree({"a": 2, "b": 2}))
    shuffled = list(found.train + found.val)
    random.Random(1).shuffle(shuffled)
    train, val = hold_out(shuffled)
    assert {s.label for s in train} == {s.label for s in val} == {0, 1}
