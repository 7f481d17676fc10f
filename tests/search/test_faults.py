"""Disks that are full, folders that cannot be written, files that are damaged: one message, and what was finished is kept."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mvsearch.errors import InputError
from mvsearch.search.folder import RunFolder
from mvsearch.search.store import Store
from mvsearch.spec.space_file import load_space
from tests import durability_driver
from tests.search.test_store import SPACE, trial


def store_of(folder):
    return Store(folder / "trials.sqlite", SPACE, 256)


@pytest.fixture
def filled(tmp_path):
    """A store of 60 trials, closed well."""
    with closing(store_of(tmp_path)) as store:
        for i in range(60):
            store.add(trial(i))
    return tmp_path


FILLS_THE_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests import durability_driver as driver
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
driver.SPACE
try:
    driver.search({folder!r}, 400, 0)
except Exception as error:
    print(type(error).__name__, error)
"""


def search_with(limit, folder):
    """What a search says whose files may not become larger than this, in bytes."""
    code = FILLS_THE_DISK.format(root=str(Path(__file__).parents[2]), limit=limit, folder=str(folder))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_is_said_and_everything_finished_is_kept(tmp_path):
    said = search_with(300_000, tmp_path)
    assert said.startswith("InputError"), said
    assert "make room on the disk" in said
    log = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    finished = [line[1] for line in log if line[0] == "finished"]
    stored = [t.evaluation.arch_id for t in durability_driver.trials_in(tmp_path)]
    assert len(finished) > 20
    assert stored == finished
    # With room again it goes on.
    durability_driver.search(str(tmp_path), len(stored) + 10, 0)
    after = [t.evaluation.arch_id for t in durability_driver.trials_in(tmp_path)]
    assert after[: len(stored)] == stored
    assert len(after) == len(stored) + 10


def test_a_trial_that_could_not_be_written_leaves_nothing_of_itself(tmp_path):
    store = store_of(tmp_path)
    store.add(trial(0))
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(InputError, match="full") as error:
        for i in range(1, 100):
            store.add(trial(i))
    assert "--resume" in error.value.hint
    kept = store.trials()
    store._db.execute("PRAGMA max_page_count=100000")
    store.add(trial(99))
    assert store.trials() == [*kept, trial(99)]
    store.close()


def test_run_json_on_a_full_disk(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.run_file.write_text("before")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match="No space left on device") as error:
        folder.write({"a": 1})
    assert "--resume" in error.value.hint
    assert folder.run_file.read_text() == "before"


@pytest.fixture
def read_only(filled):
    """A folder that not even the administrator writes into."""
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if os.geteuid() == 0 and done.returncode:
        pytest.skip("an administrator writes everywhere, and nothing can be mounted here")
    return filled


READS_ONLY = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.search.test_store import SPACE
from mvsearch.errors import InputError
from mvsearch.search.folder import RunFolder
from mvsearch.search.store import Store
for act in (lambda: Store(Path({folder!r}) / "trials.sqlite", SPACE, 256), RunFolder(Path({folder!r})).lock,
            lambda: RunFolder(Path({folder!r})).write({{}})):
    try:
        act()
        print("no error")
    except InputError as error:
        print(str(error).replace(chr(10), " "))
"""


def test_a_folder_that_cannot_be_written(read_only):
    folder = str(read_only)
    code = READS_ONLY.format(root=str(Path(__file__).parents[2]), folder=folder)
    if os.geteuid() == 0:
        shell = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3"'
        command = ["unshare", "--mount", "sh", "-c", shell, "sh", folder, sys.executable, code]
    else:
        read_only.chmod(0o555)
        command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        read_only.chmod(0o755)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("cannot be written" in line or "cannot write into" in line for line in lines), lines
    assert store_of(read_only).trials() == [trial(i) for i in range(60)]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.99])
def test_a_store_that_is_cut_off(filled, share):
    path = filled / "trials.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    if share == 0.0:
        store = store_of(filled)
        assert "was empty" in store.notes[0]
        return
    with pytest.raises(InputError, match=r"is damaged|is not a run's store") as error, closing(store_of(filled)) as store:
        store.trials()
    assert "copy" in error.value.hint or "--out" in error.value.hint


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_garbage_in_the_middle_of_a_store(filled, at):
    path = filled / "trials.sqlite"
    content = bytearray(path.read_bytes())
    start = int(at * len(content))
    content[start : start + 3000] = os.urandom(3000)
    path.write_bytes(content)
    try:
        with closing(store_of(filled)) as store:
            assert store.trials() == [trial(i) for i in range(60)]  # What was hit holds no trial.
            store.screened(), store.verified()
    except InputError as error:
        assert "damaged" in error.message


def test_a_number_that_the_disk_has_changed_is_noticed(filled):
    db = sqlite3.connect(filled / "trials.sqlite")
    db.execute("UPDATE trials SET metrics = replace(metrics, '[9.0', '[8.0') WHERE number = 7")
    assert db.total_changes == 1
    db.commit()
    db.close()
    with pytest.raises(InputError, match="damaged: trial 7: its checksum"), closing(store_of(filled)) as store:
        store.trials()


def test_a_write_ahead_log_that_is_missing_loses_at_most_its_own_trials(tmp_path):
    store = store_of(tmp_path)
    for i in range(10):
        store.add(trial(i))
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for i in range(10, 15):
        store.add(trial(i))
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copyfile(tmp_path / "trials.sqlite", copy / "trials.sqlite")
    assert store_of(copy).trials() == [trial(i) for i in range(10)]


def test_a_store_with_a_trigger_is_refused(filled):
    db = sqlite3.connect(filled / "trials.sqlite")
    db.execute("CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM trials; END")
    db.close()
    with pytest.raises(InputError, match="more than these"):
        store_of(filled)


def test_a_run_whose_store_is_gone_is_not_begun_anew(tmp_path):
    from tests.search.test_folder import SETTINGS

    folder = RunFolder(tmp_path)
    folder.write({"settings": SETTINGS.to_json(), "winner": "0123456789ab"})
    with pytest.raises(InputError, match="missing or empty"):
        folder.read()
    folder.store.write_bytes(b"")
    with pytest.raises(InputError, match="missing or empty"):
        folder.read()


@pytest.mark.parametrize("size", [0, 1, 40, 200])
def test_run_json_that_is_cut_off(tmp_path, size):
    from tests.search.test_folder import SETTINGS

    folder = RunFolder(tmp_path)
    folder.write({"settings": SETTINGS.to_json()})
    folder.run_file.write_bytes(folder.run_file.read_bytes()[:size])
    with pytest.raises(InputError, match=r"run\.json` is damaged"):
        folder.read()


def test_run_json_of_the_first_schema_is_read_and_of_a_newer_one_refused(tmp_path):
    from tests.search.test_folder import SETTINGS

    folder = RunFolder(tmp_path)
    folder.write({"settings": SETTINGS.to_json()})
    data = json.loads(folder.run_file.read_text())
    folder.run_file.write_text(json.dumps({**data, "schema_version": 1}))
    assert folder.settings() == SETTINGS
    folder.run_file.write_text(json.dumps({**data, "schema_version": 99}))
    with pytest.raises(InputError, match="run schema `99`") as error:
        folder.read()
    assert "update mvsearch" in error.value.hint


@pytest.mark.parametrize("name", ["run.json.tmp", "trials.sqlite", ".lock", "coreml", "trials.csv", ".report.draft.html"])
def test_links_in_a_run_folder_are_not_followed(tmp_path, name):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / name).symlink_to(mine)
    with pytest.raises(InputError, match="is a link"):
        folder.read()
    with pytest.raises(InputError, match="is a link"):
        folder.lock()
    assert mine.read_text() == "mine"


def test_a_pipe_in_a_run_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(InputError, match="no plain file"):
        RunFolder(tmp_path).read()


def test_a_space_that_has_changed_since_is_said(tmp_path):
    from mvsearch.api.read import space_of
    from tests.search.test_folder import SETTINGS

    with pytest.raises(InputError, match="has changed since"):
        space_of(SETTINGS)
    assert load_space("tiny").content_hash != SETTINGS.space_hash
