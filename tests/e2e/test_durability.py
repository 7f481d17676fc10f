"""Runs that are killed at any moment, and go on: nothing that was finished is lost or done again."""

import csv
import json
import multiprocessing
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from mvsearch.search.folder import RunFolder
from mvsearch.search.store import Store
from mvsearch.spec.space_file import load_space
from tests import durability_driver
from tests.small_space import write_small_space

MVSEARCH = [sys.executable, "-m", "mvsearch"]
# One process loads everything, and every search is a fork of it: it can be killed at no cost.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.durability_driver"])


def log_of(folder):
    if not (folder / "log").exists():
        return []
    return [line.split(" ") for line in (folder / "log").read_text().splitlines()]


def kill_at_random(folder, trials, seed, rng, steps):
    """Run the search until it has done up to so many steps more, and kill it; whether it was alive until then."""
    folder.mkdir(exist_ok=True)
    end = len(log_of(folder)) + rng.randint(1, steps)
    process = PROCESSES.Process(target=durability_driver.search, args=(str(folder), trials, seed))
    process.start()
    while process.is_alive() and len(log_of(folder)) < end:
        time.sleep(0.0005)
    # Not always just after a line of the log.
    time.sleep(rng.choice((0.0, rng.uniform(0, 0.05))))
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def run_to_the_end(folder, trials, seed):
    folder.mkdir(exist_ok=True)
    process = PROCESSES.Process(target=durability_driver.search, args=(str(folder), trials, seed))
    process.start()
    process.join(300)
    assert process.exitcode == 0


def check_kills(tmp_path, kills, trials, seed):
    """Kill a search so many times, let it end, and compare it with one that was left alone."""
    rng = random.Random(seed)
    # A trial is two steps, its evaluation and its being written. The last kill comes well before the end, even though a
    # whole generation may be evaluated before this process sees how far the other one is.
    steps = trials // (2 * kills)
    folder = tmp_path / "killed"
    killed = sum(kill_at_random(folder, trials, seed, rng, steps) for _ in range(kills))
    assert killed >= 0.8 * kills, "the searches ended before they were killed: nothing was tried"
    at_the_last_kill = len(durability_driver.trials_in(folder))
    assert at_the_last_kill > 0
    run_to_the_end(folder, trials, seed)
    run_to_the_end(tmp_path / "alone", trials, seed)

    found, wanted = durability_driver.trials_in(folder), durability_driver.trials_in(tmp_path / "alone")
    log = log_of(folder)
    stored = {t.evaluation.arch_id for t in found}
    finished = [arch_id for what, *rest in log if what == "finished" for arch_id in rest]
    lost = set(finished) - stored
    done, again = set(), []
    for what, *rest in log:
        if what == "finished":
            done.add(rest[0])
        elif what == "evaluated" and rest[0] in done:
            again.append(rest[0])
    print(
        f"{killed} kills of {kills} while it ran, {at_the_last_kill} of {trials} trials by then; finished trials lost: "
        f"{len(lost)}; evaluated twice: {len(again)}; evaluated but not yet written at a kill: "
        f"{sum(what == 'evaluated' for what, *_ in log) - len(stored)}"
    )
    assert lost == set()
    assert again == []
    assert len(finished) == len(set(finished))
    assert len(found) == len(wanted) == trials
    assert [replace(t, evaluation=replace(t.evaluation, seconds=0.0)) for t in found] == [
        replace(t, evaluation=replace(t.evaluation, seconds=0.0)) for t in wanted
    ]
    assert durability_driver.front_in(folder) == durability_driver.front_in(tmp_path / "alone")


def test_a_search_that_is_killed_loses_nothing_and_repeats_nothing(tmp_path):
    check_kills(tmp_path, kills=4, trials=600, seed=0)


@pytest.mark.full
def test_a_search_that_is_killed_thirty_times(tmp_path):
    check_kills(tmp_path, kills=30, trials=2000, seed=1)


@pytest.fixture
def command(tmp_path):
    space = write_small_space(tmp_path)
    return [
        "run",
        "--budget",
        "1.4M-params",
        "--space",
        str(space),
        "--trials",
        "40",
        "--seed",
        "3",
        "--in-process",
        "--export",
        "onnx",
    ]


def call(*arguments, cwd):
    return subprocess.run(
        [*MVSEARCH, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False
    )


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


@pytest.mark.full
def test_a_whole_run_that_is_killed_at_any_moment(tmp_path, command):
    """Also while its front is verified, the winner exported and the report written."""
    start = time.monotonic()
    alone = call(*command, "--out", "alone", cwd=tmp_path)
    seconds = time.monotonic() - start
    assert alone.returncode == 0, alone.stderr
    rng, killed = random.Random(0), 0
    for _ in range(8):
        resume = ["--resume"] if (tmp_path / "killed" / "run.json").exists() else []
        process = subprocess.Popen(
            [*MVSEARCH, *command, "--out", "killed", *resume],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(rng.uniform(0, 0.8 * seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += process.wait() == -signal.SIGKILL
    assert killed >= 3
    done = call(*command, "--out", "killed", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("trials.csv", "front.csv"):
        kept = [[r["arch_id"] for r in rows(tmp_path / run / name)] for run in ("alone", "killed")]
        assert kept[0] == kept[1], name
    records = [json.loads((tmp_path / run / "run.json").read_text()) for run in ("alone", "killed")]
    assert records[0]["winner"] == records[1]["winner"]
    assert records[1]["finished"] is True


def test_two_runs_on_one_folder_and_a_lock_of_one_that_was_killed(tmp_path, command):
    def start(*more):
        return subprocess.Popen(
            [*MVSEARCH, *command, "--out", "run", *more], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def has_trials():
        return (tmp_path / "run" / "trials.sqlite").exists() and len(stored()) > 0

    def stored():
        space = load_space(str(tmp_path / "small.yaml"))
        store = Store(tmp_path / "run" / "trials.sqlite", space, 256)
        return store.trials()

    def wait_for(condition, process):
        end = time.monotonic() + 60
        while not condition() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        assert condition()

    first = start()
    try:
        # The search ends at once; the front is being verified while the other one tries.
        wait_for(has_trials, first)
        second = call(*command, "--out", "run", "--resume", cwd=tmp_path)
        assert first.poll() is None
        assert second.returncode == 2
        assert "another process is writing `run`" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        first.kill()
        first.wait()
    before = stored()
    with RunFolder(tmp_path / "run").lock():
        pass
    assert stored() == before
