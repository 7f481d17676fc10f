"""`mvsearch run --data`, from a folder of images to the report, through whatever may come in between."""

import csv
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mvsearch
from mvsearch.api import TrainOptions
from tests.e2e.here import call_here
from tests.interrupts import hear_interrupts
from tests.small_space import write_small_space

MVSEARCH = [sys.executable, "-m", "mvsearch"]
SHORT = ["--train-steps", "3", "--train-resolution", "32", "--train-batch", "8", "--train-candidates", "3"]
RUN = ["run", "--budget", "1.4M-params", "--space", "small.yaml", "--trials", "10", "--export", "onnx"]
TRAIN = [*RUN, "--data", "photos", *SHORT]
CLASSES = ("cat", "dog", "fox")


def call(*arguments, cwd, timeout=300):
    return subprocess.run(
        [*MVSEARCH, *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False
    )


def make_photos(folder, classes=CLASSES, count=24, side=40):
    """A folder per class, each of another tint."""
    random = np.random.default_rng(0)
    for k, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 120, (side, side, 3)) + 100 * np.eye(3, dtype=int)[k]
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i:03}.png")
    return folder


def add_odd_photos(folder):
    """Two that can be used, and two that cannot."""
    Image.new("L", (50, 40), 90).save(folder / "cat" / "grey.png")
    Image.new("CMYK", (40, 50), (9, 80, 80, 20)).save(folder / "fox" / "printed.jpg")
    Image.new("RGB", (60, 60), (200, 0, 0)).save(folder / "cat" / "torn.jpg")
    whole = (folder / "cat" / "torn.jpg").read_bytes()
    (folder / "cat" / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "dog" / "notes.txt").write_text("the dog by the lake\n")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with images and a run `a` that trained on them; what that said."""
    folder = tmp_path_factory.mktemp("training")
    write_small_space(folder)
    add_odd_photos(make_photos(folder / "photos"))
    done = call(*TRAIN, "--in-process", "--out", "a", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def untrained(finished, request):
    """The run `a` in a folder of its own, as it was before the first training; its path."""
    return copy_of(finished[0], request.node.name, trained=False)


def copy_of(folder, name, trained):
    copy = folder / name
    shutil.copytree(folder / "a", copy)
    if not trained:
        for file in ("training.jsonl", "training.csv", "report.html"):
            (copy / file).unlink()
        with sqlite3.connect(copy / "trials.sqlite") as db:
            assert db.execute("DELETE FROM meta WHERE key = 'training_plan'").rowcount == 1
    return copy


@contextmanager
def hidden(*paths):
    """As if they had been deleted."""
    for path in paths:
        path.rename(path.with_name(path.name + ".hidden"))
    try:
        yield
    finally:
        for path in paths:
            path.with_name(path.name + ".hidden").rename(path)


def records(run):
    return [json.loads(line) for line in (run / "training.jsonl").read_text().splitlines()]


def key(record):
    return record["arch_id"], record["images"], record["recipe"], record["seed"]


def plan_of(run):
    with sqlite3.connect(f"file:{run / 'trials.sqlite'}?mode=ro", uri=True) as db:
        return json.loads(db.execute("SELECT value FROM meta WHERE key = 'training_plan'").fetchone()[0])


@contextmanager
def in_training(run, *options):
    """The run going on, once it has finished a training; killed at the end if it is still there."""
    command = [*MVSEARCH, *TRAIN, "--out", run.name, "--resume", *options]
    process = subprocess.Popen(
        command, cwd=run.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    )
    try:
        end = time.monotonic() + 200
        file = run / "training.jsonl"
        while not (file.exists() and file.read_text().endswith("\n")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end, "nothing was trained"
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_run_trains_members_of_its_front(finished):
    folder, done = finished
    found = records(folder / "a")
    by_id = {r["arch_id"] for r in found}
    assert len({key(r) for r in found}) == len(found)
    assert len(by_id) == 3 and {r["steps"] for r in found} == {1, 3}
    assert not any(r["failure"] for r in found)
    assert "training 3 members of the front on" in done.stderr
    assert re.search(r"Training is shown and not used: not validated: `--validate-proxy`", done.stdout)
    assert f"{len(found)} trainings of 3 networks, none failed" in done.stdout

    with (folder / "a" / "training.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert next(iter(table[0])) == "arch_id"
    assert {(r["arch_id"], r["recipe"], int(r["seed"])) for r in table} == {
        (r["arch_id"], r["recipe"], r["seed"]) for r in found
    }
    assert "<h2>What training says</h2>" in (folder / "a" / "report.html").read_text(encoding="utf-8")

    record = json.loads((folder / "a" / "run.json").read_text())
    assert record["settings"]["train"] == {
        "data": str(folder / "photos"), "images": found[0]["images"], "resolution": 32, "candidates": 3, "steps": 3,
        "batch_size": 8, "seeds": 2, "multi_scale": False, "validate_proxy": False, "trust": False,
    }  # fmt: skip
    assert record["images"]["num_train"] + record["images"]["num_val"] == 3 * 24 + 2


def test_odd_files_are_used_or_named(finished):
    folder, done = finished
    skipped = dict(json.loads((folder / "a" / "run.json").read_text())["images"]["skipped"])
    assert set(skipped) == {"cat/torn.jpg", "dog/notes.txt"}
    assert "2 files skipped" in done.stderr
    for name, why in skipped.items():
        assert f"skipped `{name}`: {why}" in done.stderr


@pytest.mark.browser
def test_the_page_opens(finished, browser):
    folder, _ = finished
    browser.get_log("browser")
    browser.get((folder / "a" / "report.html").as_uri())
    for name in ("training-change", "training-rung-0", "training-rung-1", "training-curves"):
        assert browser.execute_script(f"return document.querySelectorAll('#{name} svg.main-svg').length") > 0, name
    assert browser.get_log("browser") == []


def test_the_report_needs_neither_images_nor_their_cache(finished):
    folder, done = finished
    copy = copy_of(folder, "reported", trained=True)
    for file in ("training.csv", "front.csv", "report.html"):
        (copy / file).unlink()
    with hidden(folder / "photos", Path(os.environ["MVSEARCH_CACHE"]) / "images"):
        again = call("report", "reported", cwd=folder)
    assert again.returncode == 0, again.stderr
    for file in ("training.csv", "front.csv"):
        assert (copy / file).read_bytes() == (folder / "a" / file).read_bytes(), file
    assert section_of(copy / "report.html") == section_of(folder / "a" / "report.html")
    assert again.stdout.replace("reported/", "a/") in done.stdout


def section_of(page):
    return re.search(r"<h2>What training says</h2>.*?(?=<h2>)", page.read_text(encoding="utf-8"), re.S)[0]


def test_a_killed_run_goes_on_without_its_images(finished, untrained):
    folder, _ = finished
    with in_training(untrained, "--in-process") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = records(untrained)
    assert len(before) < len(records(folder / "a")), "killed in time"
    plan = plan_of(untrained)
    with hidden(folder / "photos"):
        done = call(*TRAIN, "--in-process", "--out", untrained.name, "--resume", cwd=folder)
    assert done.returncode == 0, done.stderr
    after = records(untrained)
    assert after[: len(before)] == before
    assert [(key(r), r["val_loss"]) for r in after] == [(key(r), r["val_loss"]) for r in records(folder / "a")]
    assert plan_of(untrained) == plan == plan_of(folder / "a")
    assert (untrained / "front.csv").read_bytes() == (folder / "a" / "front.csv").read_bytes()


def test_a_search_that_had_no_images_may_get_some_and_an_interrupt_says_how_to_go_on(untrained):
    whole = json.loads((untrained / "run.json").read_text())
    bare = {**whole, "images": None, "settings": {**whole["settings"], "train": None}}
    (untrained / "run.json").write_text(json.dumps(bare))
    with in_training(untrained, "--in-process") as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    again = said.rstrip().splitlines()[-1]
    assert "--data photos" in again and "--train-steps 3" in again and f"--out {untrained.name} --resume" in again
    left = json.loads((untrained / "run.json").read_text())
    assert left["finished"] is False and left["settings"] == whole["settings"]
    done = call(*RUN, "--in-process", "--out", untrained.name, "--resume", cwd=untrained.parent)
    refused(done, f"train.data: `{untrained.parent / 'photos'}` then, none now")


def test_a_run_survives_the_loss_of_a_worker_that_trains(untrained):
    with in_training(untrained, "--workers", "2") as process:
        os.kill(a_worker_of(process.pid), signal.SIGKILL)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    found = records(untrained)
    assert not any(r["failure"] for r in found)
    assert len({key(r) for r in found}) == len(found)
    assert {r["arch_id"] for r in found if r["steps"] == 1} == set(plan_of(untrained)["members"])
    assert len([r for r in found if r["steps"] == 3]) == 4, "two finalists with two seeds each"


def a_worker_of(pid):
    """A Ray worker below a process, one that is busy if any is."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True).stdout
    parents, names = {}, {}
    for line in listed.splitlines():
        child, parent, name = line.split(None, 2)
        parents[int(child)], names[int(child)] = int(parent), name

    def is_below(child):
        while child in parents:
            child = parents[child]
            if child == pid:
                return True
        return False

    workers = [p for p, name in names.items() if name.startswith("ray::Worker") and is_below(p)]
    assert workers
    return max(workers, key=lambda p: ".call" in names[p])


def test_a_finished_run_can_be_validated_and_trusted(finished):
    folder, _ = finished
    copy = copy_of(folder, "trusted", trained=True)
    done = call(*TRAIN, "--in-process", "--out", copy.name, "--resume", "--validate-proxy", "--trust-training", cwd=folder)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert re.search(r"Training (has earned the right to be believed|is used because you insist)", said)
    assert "Published networks trained at rung 1: 10." in said
    assert "mobilevitv3_xs" in said
    assert records(copy)[: len(records(folder / "a"))] == records(folder / "a"), "nothing was trained again"
    train = json.loads((copy / "run.json").read_text())["settings"]["train"]
    assert train["validate_proxy"] and train["trust"]
    assert plan_of(copy)["members"] == plan_of(folder / "a")["members"]


def test_from_python(finished, monkeypatch):
    folder, _ = finished
    copy = copy_of(folder, "python", trained=True)
    monkeypatch.chdir(folder)
    assert mvsearch.TrainOptions is TrainOptions
    options = TrainOptions(steps=3, resolution=32, batch_size=8, candidates=3)
    result = mvsearch.search(
        "1.4M-params",
        space="small.yaml",
        trials=10,
        in_process=True,
        data="photos",
        training=options,
        out=copy,
        resume=True,
        exports="onnx",
    )
    assert result.trained is not None
    assert result.trained.marriage.sentence.startswith("Training is shown and not used")
    assert {r.arch_id for r in result.trained.records} == {r["arch_id"] for r in records(folder / "a")}
    assert result.trained.verified.members


NEW = [*RUN, "--in-process", "--out", "new"]
BAD = {
    "nowhere": ([*NEW, "--data", "bad/nowhere"], "bad/nowhere` do not exist"),
    "nothing in it": ([*NEW, "--data", "bad/empty"], "bad/empty` holds nothing"),
    "one class": ([*NEW, "--data", "bad/one"], "holds one class only, `cat`"),
    "an empty class": ([*NEW, "--data", "bad/hollow"], "bad/hollow/dog`"),
    "no images": ([*NEW, "--data", "bad/texts"], "bad/texts` cannot be used"),
    "no data": ([*NEW, "--train-steps", "5", "--validate-proxy"], "`--train-steps`, `--validate-proxy` without `--data`"),
    "no steps": ([*NEW, "--data", "photos", "--train-steps", "0"], "`--train-steps` is `0`"),
    "too small": ([*NEW, "--data", "photos", "--train-resolution", "8"], "`--train-resolution` is `8`"),
    "a batch of one": ([*NEW, "--data", "photos", "--train-batch", "1"], "`--train-batch` is `1`"),
    "a run already": ([*TRAIN, "--in-process", "--out", "a"], "`a` holds a run already"),
}


@pytest.fixture(scope="module")
def bad(finished):
    folder, _ = finished
    make_photos(folder / "bad" / "one", ["cat"], 3)
    make_photos(folder / "bad" / "hollow", ["cat", "dog"], 3)
    for file in (folder / "bad" / "hollow" / "dog").iterdir():
        file.unlink()
    (folder / "bad" / "empty").mkdir()
    for name in ("cat", "dog"):
        (folder / "bad" / "texts" / name).mkdir(parents=True)
        for i in range(3):
            (folder / "bad" / "texts" / name / f"{i}.txt").write_text("meow\n")
    return folder


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_clear_message(bad, arguments, said):
    refused(call_here(*arguments, cwd=bad), said)
    assert not (bad / "new").exists()


OTHER = {
    "steps": (["--train-steps", "9"], "\n  train.steps: `3` then, `9` now\n"),
    "resolution": (["--train-resolution", "64"], "\n  train.resolution: `32` then, `64` now\n"),
    "images": (["--data", "others"], "others` are not those that the run began with"),
}


@pytest.mark.parametrize(("changed", "said"), OTHER.values(), ids=OTHER.keys())
def test_a_run_is_gone_on_with_as_it_began(finished, changed, said):
    folder, _ = finished
    if not (folder / "others").exists():
        make_photos(folder / "others", count=6)
    before = (folder / "a" / "run.json").read_bytes()
    refused(call_here(*TRAIN, *changed, "--in-process", "--out", "a", "--resume", cwd=folder), said)
    assert (folder / "a" / "run.json").read_bytes() == before


def refused(done, said):
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(re.findall("^error: ", done.stderr, re.M)) == 1
    assert len(re.findall("^hint: ", done.stderr, re.M)) == 1
    assert said in done.stderr
    assert re.search(r"`[^`]+`", done.stderr.split("hint: ")[0])


def test_help_has_a_section_of_its_own_in_80_columns():
    done = subprocess.run(
        [*MVSEARCH, "run", "--help"], capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"}
    )
    head, section = done.stdout.split("\nTraining on your images:\n")
    assert max(map(len, done.stdout.splitlines())) <= 80
    for option in ("--data", "--train-steps", "--train-resolution", "--validate-proxy", "--trust-training"):
        assert option in section and f"{option} " not in head
