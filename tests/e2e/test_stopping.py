"""Ctrl-C and SIGTERM: what is under way ends and is saved, a second signal stops at once, and the exit code says which."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.interrupts import hear_interrupts
from tests.small_space import write_small_space

# Its own process group, as in a terminal: Ctrl-C goes to all of it, Ray's processes included.
WORK = """
import sys, time
from mvsearch.cli.signals import Signals
from mvsearch.search.executor import InProcessExecutor

def work(x):
    time.sleep(x)
    return x

def items():
    yield from [0.1, 0.1] + [float(sys.argv[2])] * 50

signals = Signals(drain_s=float(sys.argv[3]))
signals.install()
executor = InProcessExecutor()
if sys.argv[1] == "ray":
    from mvsearch.search.ray import RayExecutor
    executor = RayExecutor(2)
left = items()
try:
    for number, _ in executor.feed(work, lambda: next(left, None)):
        print(number, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    executor.close()
    sys.exit(signals.exit_code)
"""


@contextmanager
def working(where, seconds, drain_s):
    """Two items done, another one under way that takes so many seconds."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, where, str(seconds), str(drain_s)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, preexec_fn=hear_interrupts,
    )  # fmt: skip
    try:
        assert [process.stdout.readline().strip() for _ in range(2)] == ["0", "1"], process.stderr.read()
        time.sleep(0.3)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_under_way_ends(number, code):
    with working("here", 1.0, 60) as process:
        process.send_signal(number)
        out, said = process.communicate(timeout=30)
    assert out.split() == ["2", "interrupted"], "the one under way, and no other"
    assert "stopping: what is under way has up to" in said
    assert process.returncode == code


def test_a_second_signal_stops_at_once():
    with working("here", 60, 60) as process:
        process.send_signal(signal.SIGTERM)
        assert "stopping" in process.stderr.readline() + process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert out.split() == ["interrupted"]
    assert process.returncode == 143, "of the first"


def test_what_takes_too_long_is_left():
    with working("here", 60, 0.5) as process:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert out.split() == ["interrupted"]
    assert process.returncode == 130


def test_rays_workers_do_not_hear_a_ctrl_c_and_end_what_they_have():
    with working("ray", 2.0, 60) as process:
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert sorted(out.split()) in (["2", "3", "interrupted"], ["2", "interrupted"]), "whoever had work"
    assert process.returncode == 130


def test_a_run_that_is_told_to_end_saves_and_says_how_to_go_on(tmp_path):
    space = write_small_space(tmp_path)
    command = [
        sys.executable, "-m", "mvsearch", "run", "--budget", "1.4M-params", "--space", str(space), "--in-process",
        "--export", "onnx", "--out", "a",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 120
        while not saved(tmp_path / "a" / "trials.sqlite"):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=90)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 143, said
    assert "Traceback" not in said
    again = said.rstrip().splitlines()[-1]
    assert again.startswith("  mvsearch run") and again.endswith("--out a --resume")
    assert saved(tmp_path / "a" / "trials.sqlite")


def saved(path):
    if not path.exists():
        return 0
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        try:
            return db.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
        except sqlite3.OperationalError:
            return 0
