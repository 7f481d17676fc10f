"""What `--data` may be: the same images give the same training whatever they are packed in; anything else is refused."""

import os
import zipfile

import numpy as np
import pytest

from mvsearch.accuracy.images import load_images, prepare_images
from mvsearch.accuracy.images.shards import expand
from mvsearch.errors import InputError
from tests.accuracy.images.make import files, png, samples, tarred, write, zipped


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "cache"))


def loaded(data):
    return load_images(prepare_images(data, 16))


def refusal(data, resolution=16):
    with pytest.raises(InputError) as error:
        prepare_images(data, resolution)
    assert error.value.hint
    return error.value.message


def same(one, other):
    return one.classes == other.classes and all(
        np.array_equal(a.pixels, b.pixels) and np.array_equal(a.labels, b.labels)
        for a, b in ((one.train, other.train), (one.val, other.val))
    )


LITTER = {"cat/.DS_Store": b"x", "__MACOSX/cat/._000.png": b"x", ".git/config": b"x", "dog/Thumbs.db": b"x"}


def test_folder_zip_and_tar_of_the_same_images_give_the_same_pixels_and_split(tmp_path):
    made = files(10)
    plain = loaded(write(tmp_path / "data", made))
    assert (len(plain.train), len(plain.val), plain.side) == (16, 4, 10)
    for data in (
        write(tmp_path / "littered", made | LITTER),
        zipped(tmp_path / "a.zip", made | LITTER),
        zipped(tmp_path / "wrapped.zip", {f"pets/{n}": c for n, c in made.items()}),
        tarred(tmp_path / "a.tar", {f"./{n}": c for n, c in made.items()}),
    ):
        assert same(loaded(data), plain), data
        assert not prepare_images(data, 16).skipped


def test_a_zip_with_splits(tmp_path):
    data = zipped(tmp_path / "a.zip", files(5, prefix="train/") | files(3, prefix="test/"))
    cache = prepare_images(str(data), 16)
    assert cache.note == "10 training and 6 validation images of 2 classes; stored at 10 px"


def test_the_pixels_are_those_of_the_files(tmp_path):
    from PIL import Image

    made = files(6, size=(14, 14))
    images = loaded(write(tmp_path / "data", made))
    decoded = {label: [np.asarray(Image.open(tmp_path / "data" / n)) for n in made if n.startswith(name)]
               for label, name in enumerate(images.classes)}  # fmt: skip
    for split in (images.train, images.val):
        for pixels, label in zip(split.pixels, split.labels, strict=True):
            assert any(np.array_equal(pixels, d) for d in decoded[int(label)])


def test_a_relative_path_is_kept_as_an_absolute_one(tmp_path, monkeypatch):
    write(tmp_path / "data", files(4))
    monkeypatch.chdir(tmp_path)
    assert prepare_images("data", 16).data == str(tmp_path / "data")
    write(tmp_path / "procedural", files(4))
    assert prepare_images("./procedural", 16).classes == ("cat", "dog")


def test_links_are_followed_and_circles_end(tmp_path):
    real = write(tmp_path / "real", files(5))
    data = write(tmp_path / "data", {"cat/1.png": png(1), "cat/2.png": png(2)})
    (data / "dog").symlink_to(real / "dog")
    (data / "cat" / "up").symlink_to(data)
    cache = prepare_images(data, 16)
    assert cache.classes == ("cat", "dog") and cache.num_train + cache.num_val == 7


def test_a_link_to_nothing_is_skipped_and_a_pipe_is_not_waited_for(tmp_path):
    data = write(tmp_path / "data", files(30))
    (data / "cat" / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(data / "dog" / "pipe.png")
    assert sorted(prepare_images(data, 16).skipped) == [
        ("cat/gone.png", "a link to nothing"), ("dog/pipe.png", "not a regular file"),
    ]  # fmt: skip


def test_what_is_not_there_or_of_another_kind(tmp_path):
    assert "`" + str(tmp_path / "no") + "` do not exist" in refusal(tmp_path / "no")
    assert "do not exist" in refusal("")
    assert "another kind" in refusal(write(tmp_path, {"a.txt": b"x"}) / "a.txt")
    assert "another kind" in refusal(write(tmp_path, {"a.png": png()}) / "a.png")
    assert "compressed as a whole" in refusal(write(tmp_path, {"a.tar.gz": b"x"}) / "a.tar.gz")
    assert "as a zip archive" in refusal(write(tmp_path, {"a.zip": b"x"}) / "a.zip")
    assert "as a tar file" in refusal(write(tmp_path, {"a.tar": b"x" * 600}) / "a.tar")
    assert "holds nothing" in refusal(write(tmp_path, {"empty": None}) / "empty")
    assert "neither a folder nor a file" in refusal("/dev/null")


def test_an_unreadable_folder_is_named(tmp_path, monkeypatch):
    data = write(tmp_path / "data", files(4))
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert f"`{data / 'dog'}` cannot be read: Permission denied" in refusal(data)


@pytest.mark.parametrize("resolution", [0, -1, 5000])
def test_resolutions_that_cannot_be(tmp_path, resolution):
    assert f"`{resolution}`" in refusal(write(tmp_path / "data", files(4)), resolution)


def test_damage_in_a_zip_costs_one_file(tmp_path):
    data = zipped(tmp_path / "a.zip", files(30))
    with zipfile.ZipFile(data) as archive:
        at = archive.getinfo("cat/007.png").header_offset + 60
    content = bytearray(data.read_bytes())
    content[at] ^= 0xFF
    data.write_bytes(bytes(content))
    ((name, why),) = prepare_images(data, 16).skipped
    assert name == "cat/007.png" and "damaged in the archive" in why


def test_a_cut_off_zip_is_refused(tmp_path):
    data = zipped(tmp_path / "a.zip", files(5))
    data.write_bytes(data.read_bytes()[:-100])
    assert "cannot be read as a zip archive" in refusal(data)


def test_shards_in_a_folder_by_pattern_and_alone(tmp_path):
    folder = tmp_path / "shards"
    for i in range(3):
        tarred(folder / f"imgs-{i:04d}.tar", samples(20 * i, 20 * i + 20))
    by_folder = loaded(folder)
    assert by_folder.classes == ("cat", "dog") and (len(by_folder.train), len(by_folder.val)) == (48, 12)
    assert same(loaded(str(folder / "imgs-{0000..0002}.tar")), by_folder)
    alone = loaded(folder / "imgs-0001.tar")
    assert (len(alone.train), len(alone.val)) == (16, 4)
    assert f"the shard `{folder / 'imgs-0003.tar'}`" in refusal(str(folder / "imgs-{0000..0003}.tar"))


def test_labels_of_shards_are_those_beside_the_images(tmp_path):
    from PIL import Image

    shades = {f"{i:03d}": Image.new("RGB", (8, 8), (20 * (i % 12),) * 3) for i in range(48)}
    content = {}
    for i, (key, image) in enumerate(shades.items()):
        content |= write_sample(key, image, i % 12)
    images = loaded(tarred(tmp_path / "a.tar", content))
    assert images.classes == tuple(str(i) for i in range(12))  # As numbers: 10 comes after 9.
    for split in (images.train, images.val):
        assert np.array_equal(split.pixels[:, 0, 0, 0], 20 * split.labels)


def write_sample(key, image, label):
    from tests.accuracy.images.make import encoded

    return {f"a/{key}.png": encoded(image), f"a/{key}.cls": str(label).encode(), f"a/{key}.json": b"{}"}


def test_shards_named_by_their_use(tmp_path):
    for use, first in (("train", 0), ("val", 40)):
        tarred(tmp_path / "d" / f"imagenet-{use}-000000.tar", samples(first, first + 20))
    cache = prepare_images(tmp_path / "d", 16)
    assert (cache.num_train, cache.num_val) == (20, 20) and "held out" not in cache.note
    folders = tmp_path / "f"
    tarred(folders / "train" / "0.tar", samples(0, 20))
    tarred(folders / "val" / "0.tar", samples(20, 30))
    cache = prepare_images(folders, 16)
    assert (cache.num_train, cache.num_val) == (20, 10)


def test_samples_without_a_label_are_skipped(tmp_path):
    content = samples(0, 60)
    del content["0007.cls"]
    content["0008.cls"] = b"\xff\xff"
    content["0009.cls"] = b""
    del content["0010.png"]
    cache = prepare_images(tarred(tmp_path / "a.tar", content), 16)
    assert dict(cache.skipped).keys() == {"0007.png", "0008.png", "0009.png", "0010.cls"}
    assert cache.num_train + cache.num_val == 56 and "4 files skipped" in cache.note
    for i in range(20):
        content.pop(f"{i:04d}.cls", None)
    assert "no `.cls` beside it" in refusal(tarred(tmp_path / "b.tar", content))


def test_shards_that_cannot_be_used(tmp_path):
    assert "no image with a label" in refusal(tarred(tmp_path / "a.tar", {"1.cls": b"1", "2.cls": b"2"}))
    assert "one class only, `cat`" in refusal(tarred(tmp_path / "b.tar", samples(0, 9, ("cat",))))
    assert "fewer than 2 images of `dog`" in refusal(tarred(tmp_path / "c.tar", samples(0, 3)))


@pytest.mark.parametrize("place", ["data", "header", "boundary", "damage"])
def test_an_incomplete_shard_is_refused(tmp_path, place):
    import tarfile

    data = tarred(tmp_path / "a.tar", samples(0, 40))
    with tarfile.open(data) as tar:
        member = tar.getmembers()[40]
    whole = data.read_bytes()
    if place == "damage":
        data.write_bytes(whole[: member.offset] + b"x" * 512 + whole[member.offset + 512 :])
    else:
        data.write_bytes(
            whole[: {"data": member.offset_data + 1, "header": member.offset + 300, "boundary": member.offset}[place]]
        )
    assert "cannot be read as a tar file" in refusal(data)


def test_brace_patterns():
    assert expand("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert expand("{train,val}-{0..1}.tar") == ["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]
    assert expand("plain.tar") == ["plain.tar"]
    for pattern in ("a-{3..1}.tar", "a-{x}.tar", "{0..999999999}.tar"):
        with pytest.raises(InputError, match="no range"):
            expand(pattern)
