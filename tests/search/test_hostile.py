"""Files of a stranger: whatever is in them, nothing is run, nothing is touched elsewhere, and there is one clear message."""

import io
import json
import shutil
from contextlib import closing
from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from rich.console import Console
from safetensors.torch import load_file, save_file

from mvsearch.accuracy.estimator import estimator_from_json, load_estimator
from mvsearch.api import describe
from mvsearch.api.anchors_csv import read_anchors_csv
from mvsearch.api.calibrate import FORMAT, KIND, _canonical, _hash
from mvsearch.api.report import rebuild
from mvsearch.errors import InputError, MvsearchError, SpaceError, SpecError
from mvsearch.export.entry import load
from mvsearch.export.library import save_entry
from mvsearch.export.weights import sha256
from mvsearch.files import parse_json
from mvsearch.models import build
from mvsearch.report import write
from mvsearch.report.table import print_front
from mvsearch.search import run_file
from mvsearch.search.estimate import estimate
from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.explore import Explorer
from mvsearch.search.folder import RunFolder, versions
from mvsearch.search.measurements import MeasurementFile
from mvsearch.search.store import Store
from mvsearch.search.view import goals_of
from mvsearch.spec.arch import to_json
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import network
from mvsearch.spec.run import RunSettings
from mvsearch.spec.space_file import load_space, parse_space
from mvsearch.targets import LatencyRecord, get_target
from mvsearch.targets.predictor.shipped import shipped_model
from tests.hostile import SCRIPT, VALUES, hostile_bytes, hostile_cell, hostile_json, replaced

FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=1000)


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """A run's folder, as a short search leaves it, with a member verified and one measured."""
    folder = RunFolder(tmp_path_factory.mktemp("valid") / "run")
    folder.path.mkdir()
    space, target = load_space("tiny"), get_target("iphone12")
    asked = RunSettings(parse_budgets(["2M-params", "5ms"]), "iphone12", "tiny", space.content_hash, 24, 0, 256, 0.8)
    goals = goals_of(asked, target)
    with closing(Store(folder.store, space, 256)) as store:
        explorer = Explorer(space, goals, target, store, 0)
        front = explorer.front(explorer.run(24, [InProcessExecutor()]))
        for trial in front[:3]:
            store.set_verified(replace(trial.evaluation, rung="built"))
    MeasurementFile(folder.measurements).append(
        LatencyRecord(
            "a", front[0].evaluation.arch_id, 256, "iphone12", target.spec.key, "p", 2.0, 1.9, 2.1, 0.9, "median", (2.0, 2.1)
        )
    )
    folder.write(
        {
            "settings": asked.to_json(), "command": "mvsearch run", "target_note": "predicted", "versions": versions(),
            "machine": "a machine", "seconds": 1.0, "winner": front[0].evaluation.arch_id, "finished": True,
            "notes": ["a note"],
        }
    )  # fmt: skip
    return folder


def copy_of(valid, tmp_path_factory):
    place = tmp_path_factory.mktemp("stranger")
    (place / "mine.txt").write_text("mine")
    shutil.copytree(valid.path, place / "run")
    return RunFolder(place / "run")


def check_report(folder):
    """The report is written and safe to open, or there is one message; nothing beside the folder is touched."""
    try:
        result = rebuild(folder.path)
        out = io.StringIO()
        print_front(result.view, Console(file=out, width=100))
        assert "\x1b" not in out.getvalue()
        page = (folder.path / "report.html").read_text(encoding="utf-8")
        assert SCRIPT not in page
        said = "reported"
    except MvsearchError as error:
        assert error.message
        assert "\x1b" not in str(error)
        said = "refused"
    assert sorted(p.name for p in folder.path.parent.iterdir()) == ["mine.txt", "run"]
    assert (folder.path.parent / "mine.txt").read_text() == "mine"
    return said


def check_any_change(valid, tmp_path_factory, data, monkeypatch):
    folder = copy_of(valid, tmp_path_factory)
    try:
        kind = data.draw(st.sampled_from(("bytes", "json", "json", "cell", "cell", "cell")))
        if kind == "bytes":
            path = data.draw(st.sampled_from((folder.run_file, folder.store, folder.measurements)))
            path.write_bytes(data.draw(hostile_bytes(path.read_bytes())))
        elif kind == "json":
            path = data.draw(st.sampled_from((folder.run_file, folder.run_file, folder.measurements)))
            path.write_text(data.draw(hostile_json(path.read_text())))
        else:
            data.draw(hostile_cell(folder.store))
        event(check_report(folder))
    finally:
        shutil.rmtree(folder.path.parent)


@pytest.fixture
def without_pictures(monkeypatch):
    monkeypatch.setattr(write, "draw_pictures", lambda view, drafts: [d.write_text("") for d in drafts])


@FEW
@given(data=st.data())
def test_no_change_of_a_run_breaks_its_report(valid, tmp_path_factory, data, without_pictures):
    check_any_change(valid, tmp_path_factory, data, None)


@pytest.mark.full
@MANY
@given(data=st.data())
def test_no_change_of_many_breaks_a_report(valid, tmp_path_factory, data, without_pictures):
    check_any_change(valid, tmp_path_factory, data, None)


ARCH = to_json(network("mobilevit_xxs"))


@FEW
@given(data=st.data())
def test_any_architecture_is_described_or_refused(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "arch.json"
    changed = json.loads(json.dumps(ARCH))
    del changed["arch_id"]
    path.write_text(data.draw(hostile_json(json.dumps(changed))))
    try:
        m = describe(path).evaluation
        assert m.failure or m.measurements["params"].value > 0
    except MvsearchError as error:
        assert "\x1b" not in str(error)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("stages", 0, "kind"), []),
        (("stages", 0, "stride"), 1.0),
        (("stages", 2, "residual"), "yes"),
        (("stages", 2, "patch"), [True, 2]),
        (("stages", 2, "dim"), 10**400),
        (("head", "kind"), {}),
        (("activation",), []),
        (("schema_version",), [[]]),
        (("num_classes",), 1e308),
    ],
)
def test_values_that_once_were_let_through(tmp_path, place, value):
    changed = replaced(ARCH, place, value)
    del changed["arch_id"]
    (tmp_path / "arch.json").write_text(json.dumps(changed))
    with pytest.raises(SpecError):
        describe(tmp_path / "arch.json")


def test_a_network_of_a_million_stages(tmp_path):
    changed = {**ARCH, "stages": ARCH["stages"] * 100}
    (tmp_path / "arch.json").write_text(json.dumps(changed))
    with pytest.raises(SpecError, match="at most 64"):
        describe(tmp_path / "arch.json")


@pytest.mark.parametrize("name", ["\0", "x" * 5000, "../" * 2000, "/dev/zero", "/dev/stdin.json", ".", "\ud800"])
def test_any_text_as_a_network_or_a_space(name):
    for read in (describe, load_space):
        with pytest.raises(InputError):
            read(name)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "arch.json"
    with path.open("wb") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(InputError, match="larger than"):
        describe(path)
    path.rename(tmp_path / "space.yaml")
    with pytest.raises(InputError, match="larger than"):
        load_space(str(tmp_path / "space.yaml"))


def laughs():
    """A billion values by eight aliases of aliases."""
    lines = ["a0: &a0 [8, 8, 8, 8, 8, 8, 8, 8, 8, 8]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    return "\n".join(lines) + "\ndimensions: {stem.channels: *a8}"


SPACES = {
    "a billion laughs": laughs(),
    "deep": "[" * 1500,
    "deep lists": "- " * 20_000,
    "an object": "name: !!python/object/apply:os.system [touch owned]\ndimensions: {}",
    "a timestamp that is none": "name: !!timestamp x",
    "a huge number": f"name: 0x{'f' * 10_000}",
    "a huge side": f"dimensions: {{stage3.patch: 0x{'f' * 10_000}}}",
    "a huge range": "dimensions: {stage3.channels: {from: 8, to: 0xffffffffffffffffffffffff, step: 8}}",
    "many faults": "\n".join(f"key{i}: 1" for i in range(900)),
    "infinity": "dimensions: {stage3.expansion: .inf, stage4.expansion: .nan, stage5.expansion: [.nan, .nan]}",
    "of itself": "dimensions: &d {stem.channels: *d}",
    "twice": "name: a\nname: b",
    "a zero byte": "name: a\0b",
    "escapes": 'resolution: "\\e[31m"\n"\\e]0;title\\a": 1',
}


@pytest.mark.parametrize("text", SPACES.values(), ids=SPACES.keys())
def test_spaces_of_a_stranger(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpaceError) as error:
        parse_space(text, "f.yaml")
    assert len(error.value.faults) <= 51
    assert "\x1b" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@FEW
@given(data=st.data())
def test_any_table_of_anchors_is_read_or_refused(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "anchors.csv"
    content = b"network,top1,resolution\nmobilevit_xxs,69.0,256\nmobilevit_xs,74.8,\nmobilevitv2_0.5,70.2,256\n"
    cell = st.sampled_from([json.dumps(v).encode() for v in VALUES] + [b"\0", b"1e999", b"nan", b"-1", b'"', b"../../x.json"])
    path.write_bytes(data.draw(st.one_of(hostile_bytes(content), cell.map(lambda c: content.replace(b"69.0", c, 1)))))
    try:
        assert read_anchors_csv(path)
    except InputError as error:
        assert "\x1b" not in str(error)


@FEW
@given(data=st.data())
def test_any_calibration_is_used_or_refused(data, tmp_path_factory):
    """With a hash that fits: whoever writes the file writes that too."""
    path = tmp_path_factory.getbasetemp() / "calibration.json"
    changed = data.draw(hostile_json(json.dumps(shipped_model("iphone12").to_json())))
    try:
        model = json.loads(changed)
    except (ValueError, RecursionError):
        model = None
    whole = {"kind": KIND, "format": FORMAT, "target": "iphone12", "model_hash": _hash(_canonical(model)), "model": model}
    path.write_text(json.dumps(whole))
    try:
        m = describe("mobilevit_xxs", calibration=path).evaluation.measurements["latency"]
        assert 0 < m.low <= m.value <= m.high < float("inf")
    except MvsearchError as error:
        assert error.message


@FEW
@given(data=st.data())
def test_any_fit_of_top1_is_used_or_refused(data):
    plain = json.loads(json.dumps(asdict(load_estimator())))
    try:
        estimator = estimator_from_json(parse_json(data.draw(hostile_json(json.dumps(plain)))))
    except ValueError:
        return
    m = estimate(network("mobilevit_xs"), 256, get_target("iphone12"), estimator)
    assert m.failure or m.measurements["top1"].value < float("inf")


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    spec = network("mobilevit_xxs")
    folder = tmp_path_factory.mktemp("entry") / "entry"
    evaluation = estimate(spec, 64, get_target("iphone12"))
    save_entry(folder, spec, 64, build(spec, seed=0).eval(), evaluation, provenance={"command": "x"})
    return folder


@FEW
@given(data=st.data())
def test_any_entry_is_loaded_or_refused(entry, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stranger") / "entry"
    shutil.copytree(entry, folder)
    try:
        if data.draw(st.integers(0, 3)):
            path = folder / "config.json"
            path.write_text(data.draw(hostile_json(path.read_text())))
        else:
            path = folder / "model.safetensors"
            path.write_bytes(data.draw(hostile_bytes(path.read_bytes()[:20_000])) + path.read_bytes()[20_000:])
        try:
            load(folder)
        except MvsearchError as error:
            assert "\x1b" not in str(error)
    finally:
        shutil.rmtree(folder.parent)


def test_an_entry_of_a_network_that_fits_into_no_memory(entry, tmp_path):
    folder = tmp_path / "entry"
    shutil.copytree(entry, folder)
    spec = network("mobilevit_xxs")
    wide = [replace(s, channels=4096) for s in spec.stages]
    huge = replace(spec, stages=tuple(replace(s, dim=4096, depth=64) if s.kind == "mobilevit" else s for s in wide))
    config = json.loads((folder / "config.json").read_text())
    config["arch"] = to_json(huge)
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors, folder / "model.safetensors", metadata={"arch_id": huge.arch_id})
    config["weights"]["sha256"] = sha256(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="does not fit the network"):
        load(folder)


def test_texts_of_a_stranger_in_the_pictures_and_the_page(valid, tmp_path_factory, monkeypatch):
    text = SCRIPT + "$\\frac{$ $x^$ \x1b[31m"
    monkeypatch.setattr(run_file, "_as_written", lambda _: True)  # Not by this one barrier alone.
    folder = copy_of(valid, tmp_path_factory)
    data = json.loads(folder.run_file.read_text())
    data["settings"]["budgets"][0]["text"] = text
    data |= {"command": text, "target_note": text, "machine": text, "notes": [text], "versions": [[text, text]]}
    folder.run_file.write_text(json.dumps(data))
    assert check_report(folder) == "reported"
    assert SCRIPT not in (folder.path / "pareto.svg").read_text()


def test_a_budget_that_says_something_else(valid, tmp_path_factory):
    folder = copy_of(valid, tmp_path_factory)
    data = json.loads(folder.run_file.read_text())
    data["settings"]["budgets"][0]["text"] = "1M-params"
    folder.run_file.write_text(json.dumps(data))
    with pytest.raises(InputError, match="what their texts say"):
        folder.read()
