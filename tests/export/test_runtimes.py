"""ONNX, torch programs and ExecuTorch: what is written computes the same where it runs, and what is wrong is caught."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from mvsearch.errors import ExportError
from mvsearch.export import executorch, fresh, onnx, runtime, torch_program
from mvsearch.export.exporter import MAX_RUNTIME_DIFFERENCE, Exporter, Subject
from mvsearch.export.outputs import logits_of, require_same, sample_images
from mvsearch.export.registry import exporter
from mvsearch.export.shaken import shaken
from mvsearch.models import build
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import all_published, default_resolution
from tests.export.nets import EFFICIENTFORMERS, NETS
from tests.strategies import random_spec

EXPORTERS = ("onnx", "torch", "executorch")
# ExecuTorch's compiler takes ten seconds for a small network, and a process that imports torch's exporter five.
EACH = ("onnx", "torch", pytest.param("executorch", marks=pytest.mark.full))
QUICK = ("onnx", *(pytest.param(name, marks=pytest.mark.full) for name in ("torch", "executorch")))
FILES = {"onnx": "model.onnx", "torch": "model.pt2", "executorch": "model.pte"}
LOADERS = {name: Path(runtime.__file__).with_name(f"{name}_loader.py") for name in EXPORTERS}
FORMERS = {f"EfficientFormer {name}": EFFICIENTFORMERS[name] for name in ("v1", "v2")}
SMALL = {name: NETS[name] for name in ("v1", "mixed, patches resized")}
"""Every kind of block among them, v3's switches apart."""


def subject(spec: ArchSpec, resolution: int = 64, **options: object) -> Subject:
    return Subject(spec, resolution, "net", "MobileViT network", **options)  # type: ignore[arg-type]


def of(name: str) -> Exporter:
    found = exporter(name)
    if found.missing():
        pytest.skip(found.missing())
    return found


def written(name: str, folder: Path, specs: dict[str, ArchSpec]) -> dict[str, tuple[Subject, nn.Module, Path, dict]]:
    entries = {}
    for i, (key, spec) in enumerate(specs.items()):
        model, place = shaken(build(spec)), folder / f"{i}"
        place.mkdir()
        about = subject(spec, labels=tuple(f"é{k}" for k in range(spec.num_classes)))
        entries[key] = (about, model, place, dict(of(name).write(about, model, place)))
        assert [f.name for f in place.iterdir()] == [FILES[name]], "leftovers"
    return entries


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict]:
    made: dict[str, dict] = {}

    def get(name: str) -> dict:
        if name not in made:
            specs = {"onnx": NETS | FORMERS, "executorch": SMALL | FORMERS}.get(name, SMALL)
            made[name] = written(name, tmp_path_factory.mktemp(name), specs)
        return made[name]

    return get


@pytest.mark.parametrize("name", EACH)
def test_outputs_are_the_networks(name: str, entries: Callable[[str], dict]) -> None:
    """In one fresh process: every network, at one, two and five images where the batch is open."""
    found = entries(name)
    batches = (1,) if name == "executorch" else (1, 2, 5)
    jobs = [(s, m, f, sample_images(s.spec.in_channels, 64, b)) for s, m, f, _ in found.values() for b in batches]
    outputs = fresh.logits_of(LOADERS[name], [f for _, _, f, _ in jobs], [i.numpy() for *_, i in jobs])
    for (about, model, _, images), logits in zip(jobs, outputs, strict=True):
        assert logits.shape == (len(images), about.spec.num_classes)
        require_same(logits_of(model, images), torch.from_numpy(logits), MAX_RUNTIME_DIFFERENCE, name)


@pytest.mark.parametrize("name", EACH)
def test_what_is_said_of_the_file(name: str, entries: Callable[[str], dict]) -> None:
    about, _, folder, info = entries(name)["v1"]
    assert json.loads(json.dumps(info)) == info, "plain data"
    assert info["bytes"] == (folder / FILES[name]).stat().st_size
    assert (info["precision"], info["resolution"]) == ("float32", 64)
    assert info["batch"] == (1 if name == "executorch" else "any")
    assert of(name).files == (FILES[name],)
    assert of(name).refuse(about) is None


@pytest.mark.parametrize("name", QUICK)
def test_check_and_usage(name: str, entries: Callable[[str], dict]) -> None:
    about, model, folder, _ = entries(name)["v1"]
    check = of(name).check(about, model, folder)
    assert check.difference is not None and 0 < check.difference <= MAX_RUNTIME_DIFFERENCE
    assert "in a process of its own" in check.by
    code = re.search(r"```python\n(.*?)```", of(name).usage(about), re.S)
    assert code is not None and "mvsearch" not in code[1]
    done = subprocess.run([sys.executable, "-I", "-c", code[1]], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_onnx_says_what_it_is(entries: Callable[[str], dict]) -> None:
    import onnx as library

    about, _, folder, _ = entries("onnx")["v3 on v2"]
    graph = library.load(folder / "model.onnx")
    said = {p.key: p.value for p in graph.metadata_props}
    assert said["arch_id"] == about.spec.arch_id
    assert said["weights"] == "initial: not trained"
    assert said["normalisation"].startswith("none")
    assert json.loads(said["labels"])[3] == "é3"
    assert [d.dim_param or d.dim_value for d in graph.graph.input[0].type.tensor_type.shape.dim] == ["batch", 3, 64, 64]
    assert [d.dim_param or d.dim_value for d in graph.graph.output[0].type.tensor_type.shape.dim] == ["batch", 10]
    assert (graph.graph.input[0].name, graph.graph.output[0].name) == ("image", "logits")
    assert runtime.facts(subject(about.spec, seed=7))["weights"] == "initial, seed 7: not trained"
    assert runtime.facts(subject(about.spec, weights="trained"))["weights"] == "trained"


@pytest.mark.full
def test_executorch_says_what_xnnpack_does_not_run(entries: Callable[[str], dict]) -> None:
    _, _, _, info = entries("executorch")["v1"]
    # Two layers of two norms each, and the last one.
    assert info["not_delegated"] == {"native_layer_norm": 5}
    assert info["partitions"] == 6
    assert info["delegated"] > 100


def test_a_torch_program_holds_nothing_that_runs(entries: Callable[[str], dict], tmp_path: Path) -> None:
    _, _, folder, _ = entries("torch")["v1"]
    file = folder / "model.pt2"
    torch_program.refuse_foreign(file)
    assert b"sample_inputs/model.pt" in file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        members = {i.filename: archive.read(i) for i in archive.infolist()}
        assert not any(data.startswith((b"PK", b"\x80\x02", b"\x80\x04")) for data in members.values())

    def rewritten(change: Callable[[dict[str, bytes]], object]) -> Path:
        changed = dict(members)
        change(changed)
        with zipfile.ZipFile(tmp_path / "model.pt2", "w") as archive:
            for name, data in changed.items():
                archive.writestr(name, data)
        return tmp_path / "model.pt2"

    config = next(n for n in members if n.endswith("weights_config.json"))
    samples = next(n for n in members if n.endswith("sample_inputs/model.pt"))
    for change, what in (
        (lambda m: m.update({samples: b"\x80\x04."}), "data/sample_inputs/model.pt"),
        (lambda m: m.update({"model/data/aotinductor/model/x.so": b"ELF"}), "data/aotinductor/model/x.so"),
        (lambda m: m.update({"model/data/weights/weight_0.pt": b""}), "data/weights/weight_0.pt"),
        (lambda m: m.update({config: m[config].replace(b'"use_pickle": false', b'"use_pickle": true', 1)}), "weight"),
    ):
        with pytest.raises(ExportError, match="was not loaded") as error:
            torch_program.refuse_foreign(rewritten(change))
        assert what in error.value.message


PAIRS = (
    ("stages.2.1.transformer.0.norm1.weight", "stages.2.1.transformer.0.norm2.weight"),
    ("stages.2.1.transformer.0.mlp.fc1.weight", "stages.2.1.transformer.1.mlp.fc1.weight"),
    ("stages.1.1.conv1_1x1.bn.bias", "stages.1.1.conv2_kxk.bn.bias"),
    ("stages.2.1.transformer.0.mlp.fc1.bias", "stages.2.1.transformer.1.mlp.fc1.bias"),
)


def swapped(model: nn.Module, first: str, second: str) -> nn.Module:
    """A copy with two weights of one shape in each other's place."""
    model = copy.deepcopy(model)
    a, b = model.get_parameter(first), model.get_parameter(second)
    assert a.shape == b.shape
    a.data, b.data = b.data.clone(), a.data.clone()
    return model


@pytest.mark.parametrize("name", QUICK)
def test_two_weights_in_each_others_place_are_caught(name: str, entries: Callable[[str], dict]) -> None:
    about, model, folder, _ = entries(name)["v1"]
    with pytest.raises(ExportError, match="differ by"):
        of(name).check(about, swapped(model, *PAIRS[0]), folder)
    # The others by their outputs alone, which are what the check looks at.
    images = sample_images(3, 64)
    for pair in PAIRS[1:]:
        with pytest.raises(ExportError, match="differ by"):
            require_same(logits_of(model, images), logits_of(swapped(model, *pair), images), MAX_RUNTIME_DIFFERENCE, name)


def truncate(folder: Path, file: str) -> None:
    (folder / file).write_bytes((folder / file).read_bytes()[:-2000])


def empty(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"")


def remove(folder: Path, file: str) -> None:
    (folder / file).unlink()


@pytest.mark.parametrize("spoil", [truncate, empty, remove])
@pytest.mark.parametrize("name", EACH)
def test_spoiled_files_are_caught(
    name: str, spoil: Callable[[Path, str], None], entries: Callable[[str], dict], tmp_path: Path
) -> None:
    about, model, folder, _ = entries(name)["v1"]
    (tmp_path / FILES[name]).write_bytes((folder / FILES[name]).read_bytes())
    spoil(tmp_path, FILES[name])
    with pytest.raises(ExportError, match=re.escape(FILES[name]) + "|does not load"):
        of(name).check(about, model, tmp_path)


@pytest.mark.parametrize("name", QUICK)
def test_a_file_of_another_network_is_caught(name: str, entries: Callable[[str], dict]) -> None:
    _, _, folder, _ = entries(name)["mixed, patches resized"]
    about, model, *_ = entries(name)["v1"]
    with pytest.raises(ExportError):
        of(name).check(about, model, folder)


def test_a_converter_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planted\nmore")

    monkeypatch.setattr(torch.export, "export", fail)
    monkeypatch.setattr(torch.onnx, "export", fail)
    for name in ("onnx", "torch"):
        with pytest.raises(ExportError, match=r"planted$"):
            of(name).write(subject(NETS["v1"]), build(NETS["v1"]).eval(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_network_is_left_as_it_is(entries: Callable[[str], dict]) -> None:
    for name in ("onnx", "torch"):
        _, model, *_ = entries(name)["v1"]
        assert [n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]
        assert all(p.requires_grad for p in model.parameters())


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "version", lambda package: None)
    assert "pip install 'mvsearch[executorch]'" in (executorch.EXPORTER.missing() or "")
    assert "pip install onnx onnxruntime" in (onnx.EXPORTER.missing() or "")
    monkeypatch.setattr(runtime, "version", lambda package: "2.6.1+cpu")
    assert "torch 2.6.1+cpu is too old" in (torch_program.EXPORTER.missing() or "")
    monkeypatch.setattr(runtime, "version", lambda package: "2.13.0")
    assert torch_program.EXPORTER.missing() is None


@pytest.mark.full
def test_executorchs_log_handler_is_not_kept(entries: Callable[[str], dict]) -> None:
    import logging

    before = list(logging.getLogger().handlers)
    entries("executorch")
    assert logging.getLogger().handlers == before
    assert logging.getLogger().manager.disable == 0


CHUNK = 10
"""Networks that are written before one process runs them all."""


def many(name: str) -> list[tuple[str, ArchSpec, int]]:
    """(name, network, resolution) of every published network and of 100 random ones, 20 for ExecuTorch."""
    published = [(key, spec, default_resolution(spec)) for key, spec in all_published().items()]
    count = 20 if name == "executorch" else 100
    return published + [(f"random {i}", random_spec(i), 64 + 32 * (i % 3)) for i in range(count)]


@pytest.mark.full
@pytest.mark.parametrize(("name", "start"), [(n, i) for n in EXPORTERS for i in range(0, len(many(n)), CHUNK)])
def test_every_published_network_and_many_others(name: str, start: int, tmp_path: Path) -> None:
    chunk, jobs, seconds = many(name)[start : start + CHUNK], [], []
    for i, (_, spec, resolution) in enumerate(chunk):
        model, about, folder = shaken(build(spec)), subject(spec, resolution), tmp_path / f"{i}"
        folder.mkdir()
        before = time.process_time()
        of(name).write(about, model, folder)
        seconds.append(time.process_time() - before)
        images = sample_images(spec.in_channels, resolution, 1 if name == "executorch" else 2)
        jobs.append((folder, images, logits_of(model, images)))
    outputs = fresh.logits_of(LOADERS[name], [folder for folder, *_ in jobs], [images.numpy() for _, images, _ in jobs])
    for (key, *_), (*_, ours), found, spent in zip(chunk, jobs, outputs, seconds, strict=True):
        worst = require_same(ours, torch.from_numpy(found), MAX_RUNTIME_DIFFERENCE, key)
        print(f"{name} {key}: {worst:.1e}, written in {spent:.1f} s of CPU", flush=True)
