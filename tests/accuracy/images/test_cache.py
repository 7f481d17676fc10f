"""The cache is made once, whole or not at all, and outlives its data; unusable files are skipped, too many refused."""

import errno
import pickle
import shutil
import threading
from collections import namedtuple

import numpy as np
import pytest

from mvsearch.accuracy.images import build, load_images, prepare_images
from mvsearch.errors import InputError
from tests.accuracy.images.make import encoded, files, picture, png, write


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "data", files(20))


def made(caches):
    """What lies there, without locks."""
    return [p.name for p in caches.iterdir() if p.suffix != ".lock"] if caches.exists() else []


def refusal(*args, **options):
    with pytest.raises(InputError) as error:
        prepare_images(*args, **options)
    assert error.value.hint
    return error.value.message


def test_made_once(data, caches):
    calls = []
    cache = prepare_images(data, 16, progress=lambda *c: calls.append(c))
    assert calls == [(i + 1, 40) for i in range(40)]
    assert made(caches) == [cache.key] and cache.path == caches / cache.key
    again = prepare_images(str(data), 16, progress=lambda *c: pytest.fail("decoded again"))
    assert again == cache and pickle.loads(pickle.dumps(cache)) == cache


def test_what_a_worker_gets(data):
    cache = prepare_images(data, 16)
    images = load_images(cache)
    assert isinstance(images.train.pixels, np.memmap) and not images.train.pixels.flags.writeable
    assert (images.classes, images.key, images.note, images.side) == (cache.classes, cache.key, cache.note, cache.side)
    assert images.train.pixels.shape == (cache.num_train, 10, 10, 3) and len(images.val) == cache.num_val
    assert images.train.labels.dtype == np.int64


@pytest.mark.parametrize(("size", "resolution", "side"), [(32, 128, 32), (300, 128, 147), (300, 224, 256), (140, 128, 140)])
def test_stored_with_room_for_crops_but_no_larger_than_the_images(tmp_path, size, resolution, side):
    data = write(tmp_path / "d", files(2, size=(size + 20, size)))
    assert prepare_images(data, resolution).side == side


def test_smaller_images_than_most_are_enlarged(tmp_path):
    data = write(tmp_path / "d", files(5, size=(40, 40)) | {"cat/small.png": png(1, (5, 7))})
    assert prepare_images(data, 128).side == 40


def test_a_changed_file_makes_another_cache(data):
    key = prepare_images(data, 16).key
    write(data, {"cat/000.png": png(99)})
    assert prepare_images(data, 16).key != key


def test_unusable_files_are_skipped_and_recorded(data):
    whole = encoded(picture(size=(40, 40)), "JPEG")
    write(data, {"cat/cut.jpg": whole[: len(whole) // 2], "cat/notes.txt": b"hello", "README": b"hi", "dog/empty.jpg": b""})
    for _ in range(2):  # When it is made, and when it is found.
        cache = prepare_images(data, 16)
        assert {name: bool(why) for name, why in cache.skipped} == dict.fromkeys(
            ("cat/cut.jpg", "cat/notes.txt", "README", "dog/empty.jpg"), True
        )
        assert cache.num_train + cache.num_val == 40
        assert cache.note == (
            f"{cache.num_train} training and {cache.num_val} validation images of 2 classes; 4 files skipped; "
            "stored at 10 px; validation images were held out by a hash of the file names"
        )


def test_too_many_unusable_files_of_a_class(data, caches):
    write(data, {f"dog/bad{i}.jpg": b"x" for i in range(3)})
    message = refusal(data, 16)
    assert "23 files of class `dog`" in message and "  dog/bad" in message and "no image in a known format" in message
    assert made(caches) == []


def test_too_many_images_outside_the_classes(data, caches):
    write(data, {f"{i}.jpg": png(i) for i in range(6)})
    assert "46 files in" in refusal(data, 16) and made(caches) == []


def test_one_bad_file_of_a_small_class_is_not_too_many(tmp_path):
    assert len(prepare_images(write(tmp_path / "d", files(3) | {"cat/bad.png": b"x"}), 16).skipped) == 1


def test_a_class_left_without_validation_images(tmp_path, caches):
    data = write(tmp_path / "d", files(9, prefix="train/") | files(3, ("cat",), "val/") | {"val/dog/1.png": b"broken"})
    message = refusal(data, 16)
    assert "no usable validation image of `dog`" in message and "val/dog/1.png" in message
    assert made(caches) == []


def test_data_deleted_while_they_are_decoded(data, caches, monkeypatch):
    monkeypatch.setattr(build, "_BLOCK", 4)
    message = refusal(data, 16, progress=lambda done, total: shutil.rmtree(data, ignore_errors=True))
    assert "changed while it was read" in message and str(data) in message
    assert made(caches) == []


def test_data_deleted_after_they_were_decoded(data):
    cache = prepare_images(data, 16)
    shutil.rmtree(data)
    assert len(load_images(cache).train) == cache.num_train
    assert prepare_images(data, 16, known=cache) == cache
    assert "do not exist" in refusal(data, 16)


def test_data_and_cache_deleted_before_a_run_is_resumed(data, caches):
    cache = prepare_images(data, 16)
    shutil.rmtree(data)
    shutil.rmtree(caches)
    message = refusal(data, 16, known=cache)
    assert "neither the decoded images" in message and str(data) in message and cache.key in message


def test_a_cache_that_was_moved_is_found(data, caches, tmp_path, monkeypatch):
    cache = prepare_images(data, 16)
    shutil.rmtree(data)
    caches.parent.rename(tmp_path / "moved")
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "moved"))
    assert len(load_images(cache).train) == cache.num_train
    found = prepare_images(data, 16, known=cache)
    assert found.path == tmp_path / "moved" / "images" / cache.key


def test_a_resumed_run_refuses_other_images(data):
    cache = prepare_images(data, 16)
    assert prepare_images(data, 16, known=cache) == cache
    (data / "cat" / "000.png").unlink()
    assert "not those that the run began with" in refusal(data, 16, known=cache)
    assert "not those that the run began with" in refusal("procedural", 16, known=cache)


def test_a_machine_without_the_cache_makes_it(data, caches):
    cache = prepare_images(data, 16)
    before = np.array(load_images(cache).train.pixels)
    shutil.rmtree(caches)
    assert np.array_equal(load_images(cache).train.pixels, before) and made(caches) == [cache.key]


def test_a_machine_without_cache_and_without_the_same_data(data, caches):
    cache = prepare_images(data, 16)
    shutil.rmtree(caches)
    write(data, {"cat/new.png": png(5)})
    with pytest.raises(InputError, match="not those that the run began with"):
        load_images(cache)
    shutil.rmtree(caches)
    shutil.rmtree(data)
    with pytest.raises(InputError, match="neither the decoded images") as error:
        load_images(cache)
    assert str(data) in error.value.message and cache.key in error.value.message


@pytest.mark.parametrize("damage", ["cut", "about", "labels", "absent"])
def test_a_damaged_cache_is_made_anew(data, caches, damage):
    cache = prepare_images(data, 16)
    if damage == "cut":
        pixels = cache.path / "train_pixels.npy"
        pixels.write_bytes(pixels.read_bytes()[:-1])
    elif damage == "about":
        (cache.path / "about.json").write_text("{}")
    elif damage == "labels":
        np.save(cache.path / "val_labels.npy", np.zeros(1, np.int64))
    else:
        (cache.path / "val_pixels.npy").unlink()
    assert len(load_images(cache).train.pixels) == cache.num_train
    assert prepare_images(data, 16) == cache and made(caches) == [cache.key]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_leaves_nothing(data, caches, stop):
    def progress(done, total):
        if done == 7:
            raise stop

    with pytest.raises(stop):
        prepare_images(data, 16, progress=progress)
    assert made(caches) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]
    assert prepare_images(data, 16).num_train == 32


def test_what_a_killed_process_left_is_cleared(data, caches):
    cache = prepare_images(data, 16)
    shutil.rmtree(cache.path)
    write(caches, {f".{cache.key}-abc/train_pixels.npy": b"half"})
    prepare_images(data, 16)
    assert made(caches) == [cache.key]


def test_two_that_want_the_same_at_the_same_time(data, caches):
    found, second_calls, late = [], [], []

    def second():
        found.append(prepare_images(data, 16, progress=lambda *c: second_calls.append(c)))

    def progress(done, total):
        if done == 1:
            late.append(threading.Thread(target=second))
            late[0].start()
            late[0].join(0.3)
            assert late[0].is_alive()  # Waits for the first instead of decoding the same beside it.

    cache = prepare_images(data, 16, progress=progress)
    late[0].join()
    assert found == [cache] and second_calls == [] and made(caches) == [cache.key]


def test_a_disk_without_room_is_refused_before_anything_is_decoded(data, caches, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 40 * 308 - 1))
    message = refusal(data, 16, progress=lambda *c: pytest.fail("decoded"))
    assert "GB are free" in message and made(caches) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 40 * 308))
    prepare_images(data, 16)


def test_a_disk_that_fills_up_meanwhile(data, caches, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build._ArrayFile, "append", full)
    assert "No space left on device" in refusal(data, 16) and made(caches) == []


def test_a_cache_folder_that_cannot_be_made(data, tmp_path, monkeypatch):
    write(tmp_path, {"file": b""})
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "file"))
    assert "cannot be written" in refusal(data, 16)


def test_the_files_are_plain_numpy_files(data):
    cache = prepare_images(data, 16)
    pixels = np.load(cache.path / "train_pixels.npy")
    assert pixels.dtype == np.uint8 and len(pixels) == cache.num_train
    assert (cache.path / "train_pixels.npy").stat().st_size == 128 + pixels.nbytes
