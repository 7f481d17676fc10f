"""Runs that are measured away from the search: brought to the device, through the queue, on this CPU."""

import csv
import json
import os
import shutil
import threading

import pytest

from mvsearch.api.measure import measure
from mvsearch.api.report import rebuild_report
from mvsearch.api.search import search
from mvsearch.errors import InputError, TargetError
from mvsearch.search.explore import Silent
from mvsearch.search.measurements import MeasurementFile
from mvsearch.search.queue_worker import QueueClient, measure_from_queue
from mvsearch.search.repeats import MAX_MEASUREMENTS
from mvsearch.spec.published import network
from mvsearch.targets import MeasurementCache, StopPolicy, catalog
from mvsearch.targets.coreml.package import content_hash
from tests.search.fake_phone import FakePhone
from tests.small_space import write_small_space

BUDGET = "1.4M-params"


class Heard(Silent):
    """Keeps what a run says."""

    def __init__(self):
        self.said = []

    def stage(self, text):
        self.said.append(text)


class Catalogue:
    """Lends the catalogue a fake phone, whose state the tests change."""

    def __init__(self):
        self.phone = FakePhone(available=False)


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return str(write_small_space(tmp_path_factory.mktemp("space")))


@pytest.fixture
def fake(monkeypatch, tmp_path):
    lent = Catalogue()
    monkeypatch.setitem(catalog._TARGETS, "fakephone", lambda options: lent.phone)
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "cache"))
    return lent


@pytest.fixture(scope="module")
def made(tmp_path_factory, space):
    """A finished run for a phone that was elsewhere."""
    out = tmp_path_factory.mktemp("made") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalog._TARGETS, "fakephone", lambda options: FakePhone(available=False))
        search(BUDGET, "fakephone", space=space, trials=50, in_process=True, exports="onnx", out=out)
    return out


@pytest.fixture
def unconverted(monkeypatch):
    """As on a machine without Core ML's tools, which spares the seconds."""
    monkeypatch.setattr("mvsearch.targets.coreml.convert.coreml_available", lambda: (False, "not in this test"))


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def front(run):
    with (run / "front.csv").open(newline="", encoding="utf-8") as file:
        return {r["arch_id"]: r for r in csv.DictReader(line for line in file if not line.startswith("#"))}


def contents(run):
    return {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != ".lock"}


def test_a_run_keeps_the_packages_of_its_front(run):
    assert {p.stem for p in (run / "coreml").iterdir()} == set(front(run))
    assert not (run / "measurements.jsonl").exists()
    assert {r["latency_ms_kind"] for r in front(run).values()} == {"predicted"}


def test_brought_to_the_phone_a_run_is_measured_winner_first(run, fake):
    fake.phone = FakePhone(factor=1.4)
    winner = json.loads((run / "run.json").read_text())["winner"]
    before = front(run)
    result = measure(run)
    assert result.target == "fakephone"
    assert result.members[0].arch_id == winner
    assert {m.arch_id for m in result.members} == set(before)
    for m in result.members:
        assert m.record.value_ms == fake.phone.truth(network_of(run, m.arch_id), 256)
        assert m.predicted.kind == "predicted"
        assert m.predicted.value == pytest.approx(float(before[m.arch_id]["latency_ms"]), rel=1e-3)
    assert MeasurementFile(run / "measurements.jsonl").records() == [m.record for m in result.members]
    after = front(run)
    assert {r["latency_ms_kind"] for r in after.values()} == {"measured"}
    assert {r["rung"] for r in after.values()} == {"measured"}
    assert '["measured",0.95,"fakephone","median of 3 runs' in (run / "report.html").read_text(), "what its numbers rest on"
    assert "were measured on `fakephone` after the search" in (run / "report.html").read_text()
    assert "were measured on `fakephone` after the search" in json.loads((run / "run.json").read_text())["notes"][-1]


def network_of(run, arch_id):
    from mvsearch.targets.coreml.package import artifact_of

    return artifact_of(run / "coreml" / f"{arch_id}.mlpackage").spec


def test_what_was_measured_comes_from_the_cache_unless_it_is_to_be_fresh(run, fake):
    fake.phone = FakePhone(noise=0.0)
    first = measure(run)
    count = len(fake.phone.measured)
    assert measure(run).members == first.members
    assert len(fake.phone.measured) == count
    again = measure(run, fresh=True)
    assert len(again.members) == len(first.members)
    assert len(fake.phone.measured) == 2 * count


def test_a_phone_that_is_unplugged_in_the_middle_loses_nothing(run, fake):
    gone = sorted(front(run))[1]
    fake.phone = FakePhone(noise=0.0, faults={gone: "unplugged"})
    result = measure(run)
    position = [m.arch_id for m in result.members].index(gone)
    assert all(m.record for m in result.members[:position])
    assert {m.outcome.kind for m in result.members[position:]} == {"unplugged"}
    rows = front(run)
    kinds = {a: r["latency_ms_kind"] for a, r in rows.items()}
    assert all(kinds[m.arch_id] == "measured" for m in result.members[:position] if m.arch_id in kinds)
    for m in result.members[position:]:
        assert kinds[m.arch_id] == "predicted"
        assert "measurement failed: unplugged" in rows[m.arch_id]["flags"]
    fake.phone = FakePhone(noise=0.0)
    measure(run)
    assert {r["latency_ms_kind"] for r in front(run).values()} == {"measured"}


def test_an_interrupt_keeps_what_is_measured(run, fake, monkeypatch):
    fake.phone = FakePhone(noise=0.0)
    original = fake.phone.measure

    def interrupted(artifact, policy=None):
        if len(fake.phone.measured) == 2:
            raise KeyboardInterrupt
        return original(artifact, policy)

    monkeypatch.setattr(fake.phone, "measure", interrupted)
    heard = Heard()
    with pytest.raises(KeyboardInterrupt):
        measure(run, listener=heard)
    assert "2 measurements are kept" in heard.said[-1]
    assert len(MeasurementFile(run / "measurements.jsonl").records()) == 2
    view = rebuild_report(run)
    assert sum(m.evaluation.measurements["latency"].kind == "measured" for m in view.front) == 2


def test_a_refused_network_is_struck_off(run, fake):
    winner = json.loads((run / "run.json").read_text())["winner"]
    fake.phone = FakePhone(faults={winner: "load"})
    result = measure(run)
    assert result.members[0].outcome.kind == "load"
    assert winner not in front(run)
    assert f"is ahead of the winner `{winner}`" in result.notes[-1]
    assert "does not run it" in (run / "report.html").read_text()


def test_a_measured_run_that_is_resumed_chooses_anew(run, fake, space):
    fake.phone = FakePhone(factor=1.4)
    measure(run)
    fake.phone = FakePhone(available=False)
    result = search(BUDGET, "fakephone", space=space, trials=50, in_process=True, exports="onnx", out=run, resume=True)
    assert result.view.winning_member.evaluation.measurements["latency"].kind == "measured"
    metrics = json.loads((run / "winner" / "metrics.json").read_text())
    assert metrics["measurements"]["latency"]["kind"] == "measured"


@pytest.mark.parametrize("source", ["run", "mobilevit_xxs", "package"])
def test_where_nothing_can_be_measured_nothing_is_written(run, fake, source):
    before = contents(run)
    package = next((run / "coreml").iterdir())
    with pytest.raises(TargetError, match="`fakephone` cannot be measured here: it is not here") as error:
        measure({"run": run, "package": package}.get(source, source), "fakephone")
    assert error.value.hint == "bring it"
    assert contents(run) == before


def test_a_run_that_is_being_written_is_left_alone(run, fake):
    from mvsearch.search.folder import RunFolder

    fake.phone = FakePhone()
    with RunFolder(run).lock(), pytest.raises(InputError, match="another process is writing"):
        measure(run)
    assert fake.phone.measured == []


def test_members_without_a_package_are_counted(run, fake):
    fake.phone = FakePhone()
    winner = json.loads((run / "run.json").read_text())["winner"]
    # Where runs of the first versions had the winner's.
    (run / "coreml" / f"{winner}.mlpackage").rename(run / "winner" / "model.mlpackage")
    shutil.rmtree(run / "coreml")
    result = measure(run)
    assert [m.arch_id for m in result.members] == [winner], "its entry has a package"
    assert f"{len(front(run)) - 1} of the front's" in result.notes[0]


def test_a_package_a_network_and_an_entry(run, fake):
    fake.phone = FakePhone()
    package = next((run / "coreml").iterdir())
    [m] = measure(package, "fakephone").members
    assert (m.name, m.arch_id) == (package.name, package.stem)
    assert m.record
    assert m.predicted
    [m] = measure("mobilevit_xxs", "fakephone", resolution=192).members
    assert m.record.resolution == 192
    [m] = measure(network("mobilevit_xxs"), "fakephone").members
    assert m.record.resolution == 256
    winner = json.loads((run / "run.json").read_text())["winner"]
    [m] = measure(run / "winner", "fakephone").members
    assert m.arch_id == winner and m.record
    with pytest.raises(InputError, match="has its own"):
        measure(run, resolution=192)
    with pytest.raises(InputError):
        measure("no_such_network", "fakephone")


def test_a_run_for_the_phone_measured_on_this_cpu_is_kept_beside(run, fake):
    before = (run / "front.csv").read_bytes()
    policy = StopPolicy(warm_up_s=0.05, max_s=0.2, min_rounds=5, max_drift=9.0)
    result = measure(run, "cpu", policy=policy)
    assert all(m.record and m.record.target == "cpu" for m in result.members), result.members
    assert {m.arch_id for m in result.members} == set(front(run))
    assert MeasurementFile(run / "measurements.jsonl").records() == [m.record for m in result.members]
    assert (run / "front.csv").read_bytes() == before
    assert "notes" not in json.loads((run / "run.json").read_text()) or not json.loads((run / "run.json").read_text())["notes"]


def test_a_worker_converts_for_a_target_that_takes_no_packages_too(tmp_path):
    from mvsearch.export.member import verify_member
    from mvsearch.search.estimate import estimate
    from mvsearch.search.final import VerifyTask
    from mvsearch.search.packages import Packages
    from mvsearch.targets import get_target
    from mvsearch.targets.coreml.package import artifact_of

    spec = network("mobilevit_xxs")
    done = verify_member(VerifyTask(estimate(spec, 64, get_target("iphone12")), get_target("cpu"), True, 0))
    assert done.evaluation.rung == "converted"
    kept = Packages(tmp_path)
    kept.write(spec.arch_id, done.package)
    artifact = artifact_of(kept.path(spec.arch_id))
    assert (artifact.spec, artifact.resolution) == (spec, 64)
    assert artifact.key.startswith(f"{spec.arch_id}@64/iOS16-float16/coremltools")


def test_a_run_on_this_cpu_from_end_to_end(tmp_path, space, monkeypatch, unconverted):
    from mvsearch.targets.host import machine
    from mvsearch.targets.host.cpu import CpuTarget

    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "cache"))
    short = StopPolicy(warm_up_s=0.05, max_s=0.2, min_rounds=5, max_drift=9.0, precision=0.5)
    monkeypatch.setattr(CpuTarget, "policy", short)
    monkeypatch.setattr(CpuTarget, "calibration_policy", short)
    monkeypatch.setattr("mvsearch.targets.host.machine.CALIBRATION_NETWORKS", machine.CALIBRATION_NETWORKS[:5])
    run = tmp_path / "run"
    result = search(BUDGET, "cpu", space=space, trials=50, in_process=True, exports="onnx", out=run)
    assert {m.evaluation.measurements["latency"].kind for m in result.view.front} == {"measured"}
    records = MeasurementFile(run / "measurements.jsonl").records()
    assert {r.arch_id for r in records} >= set(front(run))
    again = measure(run)
    assert {m.arch_id for m in again.members} == set(front(run))
    assert all(m.record in records for m in again.members), "from the cache"
    resumed = search(BUDGET, "cpu", space=space, trials=50, in_process=True, exports="onnx", out=run, resume=True)
    assert [m.evaluation.arch_id for m in resumed.view.front] == [m.evaluation.arch_id for m in result.view.front]

    monkeypatch.setattr("mvsearch.targets.host.cpu.processor_name", lambda: "another machine")
    with pytest.raises(TargetError, match="and this is `another machine`"):
        measure(run)
    assert rebuild_report(run).winner == result.view.winner, "a report needs no machine"


class Attached(Silent):
    """Starts a worker, with the phone attached to it, when a search says where its queue is."""

    def __init__(self, folder, phone, interrupt_at=None):
        self.folder, self.phone, self.interrupt_at = folder, phone, interrupt_at
        self.thread, self.found, self.measuring = None, None, False

    def stage(self, text):
        self.measuring = text.startswith("measuring")
        if "mvsearch measure http" in text:
            url = text.split()[-1]
            self.thread = threading.Thread(target=self._work, args=(url,), daemon=True)
            self.thread.start()

    def progress(self, done, total, best):
        if self.measuring and done == self.interrupt_at:
            raise KeyboardInterrupt

    def _work(self, url):
        client = QueueClient(url, os.environ["MVSEARCH_QUEUE_TOKEN"], sleep=lambda s: threading.Event().wait(0.05))
        cache = MeasurementCache(self.folder / "worker-cache")
        self.found, _ = measure_from_queue(client, self.phone, cache=cache)


def test_a_search_whose_front_is_measured_through_the_queue(tmp_path, fake, space, monkeypatch):
    monkeypatch.setenv("MVSEARCH_QUEUE_TOKEN", "shared")
    options = {
        "space": space,
        "trials": 50,
        "in_process": True,
        "exports": "onnx",
        "out": tmp_path / "run",
        "queue": "127.0.0.1:0",
    }
    phone = FakePhone(factor=1.2)
    with pytest.raises(KeyboardInterrupt):
        search(BUDGET, "fakephone", listener=Attached(tmp_path, phone, interrupt_at=1), **options)
    kept = MeasurementFile(tmp_path / "run" / "measurements.jsonl").records()
    assert kept
    attached = Attached(tmp_path, phone)
    result = search(BUDGET, "fakephone", listener=attached, resume=True, **options)
    attached.thread.join(10)
    assert {m.evaluation.measurements["latency"].kind for m in result.view.front} == {"measured"}
    assert max(map(phone.measured.count, phone.measured)) <= MAX_MEASUREMENTS, "again only who is in doubt"
    assert MeasurementFile(tmp_path / "run" / "measurements.jsonl").records()[: len(kept)] == kept
    assert result.view.notes == ()


def test_a_search_whose_queue_nobody_serves_goes_on_with_the_same_predictions(tmp_path, fake, space, made):
    heard = Heard()
    result = search(
        BUDGET,
        "fakephone",
        space=space,
        trials=50,
        in_process=True,
        exports="onnx",
        out=tmp_path / "run",
        queue="127.0.0.1:0",
        listener=heard,
    )
    assert {m.evaluation.measurements["latency"].kind for m in result.view.front} == {"predicted"}
    assert "x no answer" in result.view.notes[0]
    assert result.view.notes[0] in heard.said
    assert result.view.finished
    assert list(front(tmp_path / "run")) == list(front(made))
    ours, theirs = (sorted((r / "coreml").iterdir()) for r in (tmp_path / "run", made))
    assert [content_hash(p) for p in ours] == [content_hash(p) for p in theirs]


def test_a_queue_for_the_cpu_or_at_no_address_is_refused_before_anything_is_written(tmp_path, space):
    for target, queue, said in (("cpu", "127.0.0.1:0", "measured on the machine"), ("iphone12", "8123", "no address")):
        with pytest.raises(InputError, match=said):
            search(BUDGET, target, space=space, out=tmp_path / "run", queue=queue, in_process=True, exports="onnx")
    assert not (tmp_path / "run").exists()


def test_a_queue_without_its_token_is_refused(monkeypatch):
    monkeypatch.delenv("MVSEARCH_QUEUE_TOKEN", raising=False)
    with pytest.raises(InputError, match="`MVSEARCH_QUEUE_TOKEN` is not set"):
        measure("http://127.0.0.1:9")
    with pytest.raises(InputError, match="did not answer"):
        measure("http://127.0.0.1:9", token="a")


def latencies_of(evaluation):
    return evaluation.measurements["latency"]


def test_a_calibration_of_ones_own_is_kept_with_the_run(tmp_path, space, unconverted):
    from mvsearch.api.calibrate import calibrate
    from mvsearch.api.describe import describe

    shipped = describe("mobilevit_xxs").evaluation.measurements["latency"].value
    for name, factor in (("own", 0.5), ("other", 3.0)):
        latencies = {n: describe(n).evaluation.measurements["latency"].value for n in ("mobilevit_xxs", "mobilevit_xs")}
        rows = "".join(f"{n},{ms * factor:.4f}\n" for n, ms in latencies.items())
        (tmp_path / f"{name}.csv").write_text(f"network,ms\n{rows}")
        calibrate(tmp_path / f"{name}.csv", "iphone12", tmp_path / f"{name}.json")
    options = {"space": space, "trials": 4, "in_process": True, "out": tmp_path / "run"}
    result = search(BUDGET, calibration=tmp_path / "own.json", **options)
    [xxs] = [p for p in result.view.published if p.name == "mobilevit_xxs"]
    assert xxs.evaluation.measurements["latency"].value < 0.8 * shipped
    assert (tmp_path / "run" / "calibration.json").read_bytes() == (tmp_path / "own.json").read_bytes()
    with pytest.raises(InputError, match="calibration: "):
        search(BUDGET, calibration=tmp_path / "other.json", resume=True, **options)
    (tmp_path / "own.json").unlink()
    rebuilt = rebuild_report(tmp_path / "run")
    assert [m.evaluation for m in rebuilt.front] == [m.evaluation for m in result.view.front]
    resumed = search(BUDGET, resume=True, **options)
    assert [latencies_of(p.evaluation) for p in resumed.view.published] == [
        latencies_of(p.evaluation) for p in result.view.published
    ]
    (tmp_path / "run" / "calibration.json").write_bytes((tmp_path / "other.json").read_bytes())
    with pytest.raises(InputError, match="is not the calibration of this run"):
        rebuild_report(tmp_path / "run")
    with pytest.raises(TargetError, match="`--calibration` with target `cpu`"):
        search(BUDGET, "cpu", space=space, calibration=tmp_path / "other.json", out=tmp_path / "cpu")
    with pytest.raises(InputError, match="cannot read"):
        search(BUDGET, space=space, calibration=tmp_path / "none.json", out=tmp_path / "none")
    assert not (tmp_path / "cpu").exists()
    assert not (tmp_path / "none").exists()


def test_a_run_of_before_reads_as_it_was(run, fake):
    record = json.loads((run / "run.json").read_text())
    del record["settings"]["calibration"], record["notes"]
    (run / "run.json").write_text(json.dumps(record))
    view = rebuild_report(run)
    assert view.settings.calibration == ""
    assert view.notes == ()
