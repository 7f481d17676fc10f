"""The real command line, from a folder of its own."""

import csv
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time

import optuna
import pytest

from tests.e2e.here import call_here
from tests.interrupts import hear_interrupts
from tests.small_space import write_small_space

MVSEARCH = [sys.executable, "-m", "mvsearch"]
SMALL_RUN = [
    "run",
    "--budget",
    "1.4M-params",
    "--space",
    "tiny",
    "--trials",
    "60",
    "--seed",
    "3",
    "--in-process",
    "--export",
    "onnx",
]


def call(*arguments, cwd, timeout=300):
    return subprocess.run(
        [*MVSEARCH, *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    done = call(*SMALL_RUN, "--out", "a", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def test_a_run_leaves_everything_behind(finished):
    folder, done = finished
    names = {"run.json", "trials.sqlite", "trials.csv", "front.csv", "report.html", "pareto.svg", "winner"}
    assert names <= {p.name for p in (folder / "a").iterdir()}
    entry = {"config.json", "model.safetensors", "README.md", "metrics.json", "model.onnx"}
    assert entry <= {p.name for p in (folder / "a" / "winner").iterdir()}
    assert "predicted" in done.stdout
    assert "first front" not in done.stdout


def test_every_candidate_is_distinct_and_within_budget(finished):
    folder, done = finished
    trials = rows(folder / "a" / "trials.csv")
    assert len({t["arch_id"] for t in trials}) == len(trials)
    # A small space is soon searched to its end, and says so: nothing that is known to be dominated costs a trial.
    assert 10 < len(trials) < 60
    assert f"the search ended after {len(trials)} trials: nothing was found any more that would add to the front" in done.stderr
    assert all(float(t["params"]) <= 1.4e6 for t in trials)


def test_the_winner_loads_and_is_on_the_front(finished):
    import mvsearch

    folder, _ = finished
    record = json.loads((folder / "a" / "run.json").read_text())
    assert record["finished"] is True
    model = mvsearch.load(folder / "a" / "winner")
    assert sum(p.numel() for p in model.parameters()) <= 1_400_000
    assert record["winner"] in {r["arch_id"] for r in rows(folder / "a" / "front.csv")}


def test_front_members_stand_on_a_higher_rung(finished):
    folder, _ = finished
    rungs = {r["rung"] for r in rows(folder / "a" / "front.csv")}
    assert rungs <= {"built", "converted"}
    assert "converted" in rungs


def test_the_front_is_at_least_as_good_as_every_published_network_within_budget(finished):
    import mvsearch
    from mvsearch.spec.published import published_networks

    folder, _ = finished
    front = [(float(r["lower_top1"]), float(r["latency_ms"])) for r in rows(folder / "a" / "front.csv")]
    for name in published_networks():
        m = mvsearch.describe(name).evaluation.measurements
        if m["params"].value <= 1.4e6 and name in ("mobilevit_xxs", "mobilevitv3_xxs", "mobilevitv3_xxs_l2"):
            assert any(g >= m["top1"].quantile(0.2) - 1e-4 and c <= m["latency"].value + 1e-4 for g, c in front), name


def test_the_same_seed_gives_the_same_front_after_a_kill(finished):
    folder, _ = finished
    command = [*SMALL_RUN, "--out", "b"]
    killed = 0
    for after in (4.0, 5.0):
        resume = ["--resume"] if (folder / "b").exists() else []
        process = subprocess.Popen(
            [*MVSEARCH, *command, *resume], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_trials(folder / "b" / "trials.sqlite", 10, process, after * 10)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 1
    done = call(*command, "--resume", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [r["arch_id"] for r in rows(folder / "a" / "front.csv")] == [r["arch_id"] for r in rows(folder / "b" / "front.csv")]
    assert [r["arch_id"] for r in rows(folder / "a" / "trials.csv")] == [
        r["arch_id"] for r in rows(folder / "b" / "trials.csv")
    ]


def wait_for_trials(path, number, process, timeout):
    end = time.monotonic() + timeout
    while time.monotonic() < end and process.poll() is None:
        if path.exists():
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                try:
                    if db.execute("SELECT COUNT(*) FROM trials").fetchone()[0] >= number:
                        return
                except sqlite3.OperationalError:
                    pass
        time.sleep(0.02)


def test_an_interrupt_saves_and_says_how_to_go_on(finished):
    folder, _ = finished
    command = [*SMALL_RUN, "--out", "c"]
    process = subprocess.Popen(
        [*MVSEARCH, *command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    )
    wait_for_trials(folder / "c" / "trials.sqlite", 5, process, 60)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "--out c" in said
    assert "--resume" in said
    assert json.loads((folder / "c" / "run.json").read_text())["finished"] is False


def test_a_finished_run_can_be_reported_again(finished):
    folder, _ = finished
    before = (folder / "a" / "front.csv").read_bytes()
    (folder / "a" / "report.html").unlink()
    done = call_here("report", "a", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "a" / "report.html").exists()
    assert (folder / "a" / "front.csv").read_bytes() == before


def test_a_run_becomes_a_study_of_optunas(finished):
    folder, _ = finished
    done = call_here("report", "a", "--optuna", "sqlite:///study.db", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "optuna-dashboard sqlite:///study.db" in done.stdout
    trials = optuna.load_study(study_name="a", storage=f"sqlite:///{folder / 'study.db'}").trials
    written = rows(folder / "a" / "trials.csv")
    assert [t.user_attrs["arch_id"] for t in trials] == [r["arch_id"] for r in written]
    assert sum(t.user_attrs["role"] == "winner" for t in trials) == 1
    for t, r in zip(trials, written, strict=True):
        assert t.values == pytest.approx([float(r["lower_top1"]), float(r["latency_ms"])], rel=1e-4)
    before = (folder / "a" / "trials.sqlite").read_bytes()
    done = call_here("report", "a", "--optuna", "sqlite:///a/trials.sqlite", cwd=folder)
    assert done.returncode == 2
    assert "somebody else's database" in done.stderr
    assert (folder / "a" / "trials.sqlite").read_bytes() == before


def test_a_run_is_not_written_over(finished):
    folder, _ = finished
    before = (folder / "a" / "trials.sqlite").read_bytes()
    done = call_here(*SMALL_RUN, "--out", "a", cwd=folder)
    assert done.returncode == 2
    assert "--resume" in done.stderr
    assert (folder / "a" / "trials.sqlite").read_bytes() == before


def test_resuming_with_other_settings_lists_the_differences(finished):
    folder, _ = finished
    other = [x if x != "1.4M-params" else "1.3M-params" for x in SMALL_RUN]
    done = call_here(*other, "--confidence", "0.9", "--out", "a", "--resume", cwd=folder)
    assert done.returncode == 2
    assert "1.4M-params" in done.stderr
    assert "1.3M-params" in done.stderr
    assert "confidence" in done.stderr


BAD = [
    (["run", "--budget", "2M-prams"], 2, "prams"),
    (["run", "--budget", "2M"], 2, "no unit"),
    (["run", "--budget", "2M-params", "--target", "iphone99"], 2, "iphone99"),
    (["run", "--budget", "2M-params", "--space", "nonesuch"], 2, "nonesuch"),
    (["run", "--budget", "2M-params", "--space", "broken.yaml"], 2, "broken.yaml:3"),
    (["run", "--budget", "2M-params", "--space", "evil.yaml"], 2, "evil.yaml"),
    (["run", "--budget", "2M-params", "--out", "full"], 2, "full"),
    (["run", "--budget", "2M-params", "--out", "/proc/nope/x"], 2, "/proc/nope/x"),
    (["run", "--budget", "2M-params", "--trials", "0"], 2, "--trials"),
    (["run", "--budget", "2M-params", "--confidence", "1.5"], 2, "--confidence"),
    (["run", "--budget", "2M-params", "--time-limit", "soon"], 2, "--time-limit"),
    (["run", "--budget", "2M-params", "--resolution", "7"], 2, "resolution"),
    (["run", "--budget", "2M-params", "--resume"], 2, "--out"),
    (["run", "--budget", "1-params"], 3, "nearest"),
    (["run", "--budget", "1-params,0.1ms"], 3, "nearest"),
    (["describe", "mobilevit_huge"], 2, "mobilevit_huge"),
    (["describe", "mobilevit_xs@patch=0,0,0"], 2, "patch"),
    (["describe", "broken.yaml"], 2, "broken.yaml"),
    (["describe", "mobilevit_xs", "--resolution", "-1"], 2, "resolution"),
    (["report", "full"], 2, "full"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), BAD, ids=lambda x: " ".join(x) if isinstance(x, list) else None)
def test_bad_input_is_one_clear_message(tmp_path, arguments, code, said):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("keep")
    (tmp_path / "broken.yaml").write_text("name: x\ndims: [unclosed\n")
    (tmp_path / "evil.yaml").write_text('!!python/object/apply:os.system ["touch pwned"]\n')
    before = sorted(tmp_path.rglob("*"))
    done = call_here(*arguments, *(["--in-process"] if arguments[0] == "run" else []), cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "full" / "precious.txt").read_text() == "keep"


def test_a_latency_that_no_candidate_reaches_shows_the_nearest(tmp_path):
    done = call_here(
        "run", "--budget", "0.05ms", "--space", "tiny", "--trials", "20", "--in-process", "--out", "r", cwd=tmp_path
    )
    assert done.returncode == 3
    assert "nearest" in done.stderr
    assert "0.05ms" in done.stderr


def test_describe_as_json(tmp_path):
    done = call_here("describe", "mobilevit_xxs", "--json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert data["params"]["value"] == 1_272_024
    assert data["macs"]["value"] == 407_364_096
    assert data["flops"]["value"] == 2 * data["macs"]["value"]
    assert {m: data[m]["kind"] for m in ("params", "latency", "top1")} == {
        "params": "counted",
        "latency": "predicted",
        "top1": "estimated",
    }
    for metric in ("latency", "top1"):
        assert data[metric]["low"] < data[metric]["value"] < data[metric]["high"]
        assert data[metric]["basis"]
    (tmp_path / "net.json").write_text(done.stdout)
    again = json.loads(call_here("describe", "net.json", "--json", cwd=tmp_path).stdout)
    assert again["arch_id"] == data["arch_id"]


def test_version(tmp_path):
    done = call("--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("command", ["spaces", "targets", "networks"])
def test_listings_are_plain_in_a_pipe(tmp_path, command):
    done = call_here(command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert re.search({"spaces": "mobilevit_v1", "targets": "iphone12", "networks": "mobilevitv3_xs"}[command], done.stdout)


@pytest.mark.full
def test_a_run_on_this_machines_cpu_measures_its_front(tmp_path):
    space = str(write_small_space(tmp_path))
    command = [
        "run",
        "--budget",
        "1.4M-params",
        "--target",
        "cpu",
        "--space",
        space,
        "--in-process",
        "--export",
        "onnx",
        "--out",
        "cpu",
    ]
    done = call(*command, cwd=tmp_path, timeout=590)
    assert done.returncode == 0, done.stderr
    assert {r["latency_ms_kind"] for r in rows(tmp_path / "cpu" / "front.csv")} == {"measured"}
    again = call(*command, "--resume", cwd=tmp_path, timeout=590)
    assert again.returncode == 0, again.stderr
    assert "to predict from" not in again.stderr, "a calibration is measured once"


def test_a_run_on_ray_workers(tmp_path):
    space = str(write_small_space(tmp_path))
    done = call(
        "run",
        "--budget",
        "1.4M-params",
        "--space",
        space,
        "--workers",
        "2",
        "--export",
        "onnx",
        "--out",
        "ray",
        cwd=tmp_path,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "ray" / "trials.csv")) == 4
