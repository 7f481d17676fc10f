from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest

from mvsearch.errors import InputError
from mvsearch.export import shelf
from mvsearch.export.library import load, save_entry
from mvsearch.export.shelf import Library, checked_tag
from mvsearch.models import build
from tests.export.nets import NETS, RESOLUTION, evaluation_of, save, shake
from tests.export.test_library import contents, flip_a_bit

V1, V2 = NETS["v1"], NETS["v2"]


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("entries")
    save(folder / "v1", V1)
    save(folder / "v2", V2)
    save_entry(folder / "trained", V1, RESOLUTION, shake(build(V1)).eval(), evaluation_of(V1), provenance={}, weights="trained")
    return folder


def test_entries_are_added_and_found(tmp_path: Path, entries: Path) -> None:
    library = Library(tmp_path / "deep" / "library")
    first, new = library.add(entries / "v1", ["phone", "small one"])
    assert new and first.tags == ("phone", "small one") and first.folder == f"mobilevit_{V1.arch_id}"
    second, _ = library.add(entries / "v2")
    trained, new = library.add(entries / "trained")
    assert new, "other weights are another entry"
    assert [e.folder for e in library.entries()] == [first.folder, second.folder, trained.folder]
    assert contents(library.path(first)) == contents(entries / "v1")
    assert library.find(V2.arch_id[:5]) == second
    assert library.find(first.folder) == first
    for key, message in ((V1.arch_id, "stands for 2 entries"), ("nothing", "has no entry `nothing`")):
        with pytest.raises(InputError, match=message):
            library.find(key)
    assert sum(p.numel() for p in load(library.path(second)).parameters())


def test_network_that_is_added_twice_is_one_entry(tmp_path: Path, entries: Path) -> None:
    library = Library(tmp_path / "library")
    library.add(entries / "v1", ["a"])
    save(tmp_path / "again", V1)
    kept, new = library.add(tmp_path / "again", ["b", "a"])
    assert not new and kept.tags == ("a", "b")
    assert len(library.entries()) == 1
    assert sorted(p.name for p in library.folder.iterdir()) == [".lock", "index.json", kept.folder]


def add(library: Path, entry: Path) -> None:
    Library(library).add(entry)


def test_writers_take_turns(tmp_path: Path, entries: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add, args=(tmp_path / "library", entries / n)) for n in ("v1", "v2")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert {e.arch_id for e in Library(tmp_path / "library").entries()} == {V1.arch_id, V2.arch_id}


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_half_an_entry_is_never_listed(
    tmp_path: Path, entries: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    library = Library(tmp_path / "library")
    library.add(entries / "v1")
    before = contents(tmp_path)
    honest = shutil.copytree

    def failing(source: Path, target: Path, **options: object) -> None:
        (Path(target) / "config.json").write_bytes((Path(source) / "config.json").read_bytes())
        raise fault

    monkeypatch.setattr(shelf.shutil, "copytree", failing)
    with pytest.raises(InputError if isinstance(fault, OSError) else KeyboardInterrupt):
        library.add(entries / "v2")
    assert contents(tmp_path) == before
    monkeypatch.setattr(shelf.shutil, "copytree", honest)
    assert library.add(entries / "v2")[1]


def test_entry_that_does_not_load_is_not_taken(tmp_path: Path, entries: Path) -> None:
    library = Library(tmp_path / "library")
    shutil.copytree(entries / "v1", tmp_path / "bad")
    flip_a_bit(tmp_path / "bad")
    with pytest.raises(InputError, match="is not the file that the entry was written with"):
        library.add(tmp_path / "bad")
    assert not library.folder.exists()


def test_index_is_put_right(tmp_path: Path, entries: Path) -> None:
    library = Library(tmp_path / "library")
    broken, _ = library.add(entries / "v1", ["tag"])
    good, _ = library.add(entries / "v2", ["kept"])
    flip_a_bit(library.path(broken))
    shutil.copytree(entries / "trained", library.folder / "brought")
    whole, faults = library.verify()
    assert [e.folder for e in whole] == [good.folder, "brought"] and whole[0].tags == ("kept",)
    assert [(f.folder, f.mended, f.lost) for f in faults] == [(broken.folder, True, True), ("brought", True, False)]
    assert library.entries() == whole
    assert library.path(broken).exists(), "nothing is deleted"
    whole, faults = library.verify()
    assert [(f.folder, f.mended, f.lost) for f in faults] == [(broken.folder, False, True)]
    shutil.rmtree(library.path(good))
    assert [f.folder for f in library.verify()[1]] == [good.folder, broken.folder]
    (library.folder / "index.json").write_text("{")
    whole, faults = library.verify()
    assert [e.folder for e in whole] == ["brought"] and faults[0].folder == "index.json"


def test_deleted_entry_makes_room(tmp_path: Path, entries: Path) -> None:
    library = Library(tmp_path / "library")
    first, _ = library.add(entries / "v1")
    shutil.rmtree(library.path(first))
    again, new = library.add(entries / "v1")
    assert new and again.folder == first.folder and library.entries() == (again,)


@pytest.mark.parametrize("name", ["../entry", "/etc", "", "..", "a\\b"])
def test_index_cannot_lead_out_of_the_library(tmp_path: Path, entries: Path, name: str) -> None:
    library = Library(tmp_path / "library")
    library.add(entries / "v1")
    path = library.folder / "index.json"
    data = json.loads(path.read_text())
    data["entries"][0]["folder"] = name
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="the index names the folder"):
        library.entries()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is not the index of a library"),
        ('{"format": "mvsearch-library", "schema_version": 2, "entries": []}', "has schema `2`"),
        ('{"format": "mvsearch-library", "schema_version": 1, "entries": [{}]}', "`entry.folder` is missing"),
        ('{"format": "mvsearch-library", "schema_version": 1, "entries": {}}', "is not the index of a library"),
    ],
)
def test_bad_index_is_said(tmp_path: Path, entries: Path, text: str, message: str) -> None:
    library = Library(tmp_path / "library")
    library.add(entries / "v1")
    (library.folder / "index.json").write_text(text)
    before = contents(library.folder)
    with pytest.raises(InputError, match=message):
        library.entries()
    with pytest.raises(InputError, match=message):
        library.add(entries / "v2")
    assert contents(library.folder) == before


def test_folder_with_other_things_is_no_library(tmp_path: Path, entries: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    (tmp_path / "file").write_bytes(b"")
    before = contents(tmp_path)
    for folder, message in (
        (tmp_path / "photos", "holds `cat.jpg` and is no library"),
        (tmp_path / "file", "is a file"),
        (entries / "v1", "is an entry, not a library"),
    ):
        with pytest.raises(InputError, match=message):
            Library(folder).add(entries / "v2")
    with pytest.raises(InputError, match="there is no library"):
        Library(tmp_path / "none").entries()
    with pytest.raises(InputError, match="there is no library"):
        Library(tmp_path / "none").verify()
    assert contents(tmp_path) == before


def test_tags() -> None:
    assert checked_tag(" fast ") == "fast"
    for tag in ("", " ", "a,b", "a\nb", "x" * 61):
        with pytest.raises(InputError, match="tag `"):
            checked_tag(tag)
