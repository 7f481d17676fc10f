"""Packages for apps: what they take and give, and that whatever is wrong with one is found."""

from __future__ import annotations

import json
import random
import shutil
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mvsearch.errors import ExportError
from mvsearch.export.coreml import EXPORTER
from mvsearch.export.coreml.interpreter import run
from mvsearch.export.coreml.packages import FLOAT16, FLOAT32, FOLDER, INT8, PRECISIONS, SMALLEST_QUANTISED, class_labels
from mvsearch.export.coreml.program import read_program
from mvsearch.export.coreml.verify import _check_numbers, core_ml, verify
from mvsearch.export.exporter import Check, Subject
from mvsearch.models import build
from mvsearch.spec.arch import ArchSpec, ConvStem, InvertedResidualStage, PoolHead
from mvsearch.spec.published import all_published, default_resolution, network
from mvsearch.spec.space_file import load_space
from mvsearch.targets.coreml.convert import convert, coreml_available, quiet_coremltools
from tests.export.nets import EFFICIENTFORMERS, NETS
from tests.models.test_neural_engine import trained_like

pytestmark = pytest.mark.skipif(not coreml_available()[0], reason=coreml_available()[1])
torch.set_num_threads(1)

SIDE = 64
INSIDE = "Data/com.apple.CoreML"
MIXED = NETS["mixed, patches resized"]
SUBJECT = Subject(MIXED, SIDE, "mixed", "A mixed network", "trained", labels=("cat", "crane", "crane"), target="iphone12")


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return trained_like(MIXED)


@pytest.fixture(scope="module")
def written(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("entry")
    facts = EXPORTER.write(SUBJECT, model, folder)
    told = json.loads(json.dumps(facts))
    assert told["graph"] == "neural-engine"
    assert told["predicted"].keys() == {"plain", "neural-engine"}
    assert facts["packages"].keys() == PRECISIONS.keys()
    return folder


@pytest.fixture
def entry(written: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy to do harm to."""
    yield shutil.copytree(written, tmp_path / "entry")


def test_packages_are_the_network(written: Path, model: nn.Module) -> None:
    found: Check = EXPORTER.check(SUBJECT, model, written)
    assert found.difference is not None
    assert found.difference < 1e-4
    assert "rounding" in found.notes[0]
    assert sorted(f.name for f in written.iterdir()) == list(EXPORTER.files) == [FOLDER]
    assert sorted(f.name for f in (written / FOLDER).iterdir()) == sorted(PRECISIONS)


def test_what_an_app_sees(written: Path) -> None:
    description = read_program(written / FOLDER / FLOAT16).description
    assert [(i.name, i.type.WhichOneof("Type")) for i in description.input] == [("image", "imageType")]
    assert {o.name: o.type.WhichOneof("Type") for o in description.output} == {
        "classLabel": "stringType",
        "classLabel_probs": "dictionaryType",
        "logits": "multiArrayType",
    }
    metadata = dict(description.metadata.userDefined)
    assert metadata["mvsearch.arch_id"] == MIXED.arch_id
    assert metadata["mvsearch.weights"] == "trained"
    assert metadata["mvsearch.graph"] == "neural-engine"
    assert "plain" in metadata["mvsearch.graph_why"]
    assert metadata["com.apple.coreml.model.preview.type"] == "imageClassifier"
    assert "A mixed network" in description.metadata.shortDescription


def test_sizes_fall_with_the_precision(written: Path) -> None:
    sizes = {name: sum(f.stat().st_size for f in (written / FOLDER / name).rglob("*.bin")) for name in PRECISIONS}
    assert sizes[INT8] < sizes[FLOAT16] < 0.55 * sizes[FLOAT32]
    assert read_program(written / FOLDER / INT8).steps


def test_label_is_that_of_the_largest_logit(written: Path) -> None:
    program = read_program(written / FOLDER / FLOAT16)
    seen = run(program, np.full((1, 3, SIDE, SIDE), 200.0))
    labels = ["cat", "crane (1)", "crane (2)"]
    assert list(seen["classLabel_probs"]) == labels
    assert seen["classLabel"] == labels[int(seen["logits"].argmax())]
    assert sum(seen["classLabel_probs"].values()) == pytest.approx(1, abs=1e-3)


def test_labels() -> None:
    assert class_labels(replace(SUBJECT, labels=None)) == ["class_0", "class_1", "class_2"]
    with pytest.raises(ExportError, match="2 class labels for a network of 3 classes"):
        class_labels(replace(SUBJECT, labels=("a", "b")))


def _swap_two_weights(package: Path) -> None:
    """Swap the halves of the largest tensor in the weight file."""
    file = package / INSIDE / "weights" / "weight.bin"
    blob = bytearray(file.read_bytes())
    at, largest = 64, (0, 0)
    while at + 24 <= len(blob) and struct.unpack_from("<I", blob, at)[0] == 0xDEADBEEF:
        _, _, size, start = struct.unpack_from("<IIQQ", blob, at)
        largest = max(largest, (size, start))
        at = -(-(start + size) // 64) * 64
    size, start = largest
    half = size // 8 * 4
    blob[start : start + 2 * half] = blob[start + half : start + 2 * half] + blob[start : start + half]
    file.write_bytes(bytes(blob))


@pytest.mark.parametrize("name", PRECISIONS)
def test_swapped_weights_are_found(entry: Path, model: nn.Module, name: str) -> None:
    _swap_two_weights(entry / FOLDER / name)
    with pytest.raises(ExportError, match=name):
        EXPORTER.check(SUBJECT, model, entry)


def test_one_other_weight_in_the_network_is_found(entry: Path) -> None:
    other = trained_like(MIXED)
    with torch.no_grad():
        next(p for n, p in other.named_parameters() if n.endswith("attn.proj.weight"))[0, 0] += 0.5
    with pytest.raises(ExportError, match=FLOAT32):
        EXPORTER.check(SUBJECT, other, entry)


def _edit(package: Path, change: Any) -> None:
    with quiet_coremltools() as (ct, _):
        file = package / INSIDE / "model.mlmodel"
        spec = ct.proto.Model_pb2.Model.FromString(file.read_bytes())
        function = spec.mlProgram.functions["main"]
        change(spec.description, function.block_specializations[function.opset].operations)
        file.write_bytes(spec.SerializeToString())


def _drop_the_scale(_: Any, operations: Any) -> None:
    scale = next(op for op in operations if op.type == "mul").inputs["y"].arguments[0].name
    const = next(op for op in operations if op.type == "const" and op.outputs[0].name == scale)
    const.attributes["val"].immediateValue.tensor.floats.values[0] = 1.0


def _blue_first(description: Any, _: Any) -> None:
    description.input[0].type.imageType.colorSpace = 30  # BGR in FeatureTypes.proto


def _without_logits(description: Any, _: Any) -> None:
    del description.output[2]


def _drop_an_activation(_: Any, operations: Any) -> None:
    at = next(i for i, op in enumerate(operations) if op.type == "silu")
    operations[at].type = "relu"


@pytest.mark.parametrize("name", [FLOAT16, FLOAT32])
@pytest.mark.parametrize("change", [_drop_the_scale, _blue_first, _without_logits, _drop_an_activation])
def test_other_program_is_found(entry: Path, model: nn.Module, name: str, change: Any) -> None:
    _edit(entry / FOLDER / name, change)
    with pytest.raises(ExportError, match="mlpackage"):
        EXPORTER.check(SUBJECT, model, entry)


@pytest.mark.parametrize("labels", [None, ("cat", "dog", "bird")])
def test_other_labels_are_found(entry: Path, model: nn.Module, labels: tuple[str, ...] | None) -> None:
    with pytest.raises(ExportError, match="other class labels"):
        EXPORTER.check(replace(SUBJECT, labels=labels), model, entry)


@pytest.mark.parametrize(
    "file", ["Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"]
)
def test_damaged_package_is_found(entry: Path, model: nn.Module, file: str) -> None:
    damaged = entry / FOLDER / FLOAT16 / file
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    with pytest.raises(ExportError, match=r"`model\.mlpackage` cannot be read back"):
        EXPORTER.check(SUBJECT, model, entry)


def test_core_mls_own_outputs_are_compared_where_it_runs(written: Path, model: nn.Module) -> None:
    """With Core ML played: it sees 8-bit pixels, rows first, and is believed within float16's reach."""

    def predict(package: Path, pixels: np.ndarray) -> np.ndarray:
        assert pixels.shape == (SIDE, SIDE, 3)
        assert pixels.dtype == np.uint8
        logits: np.ndarray = run(read_program(package), pixels.transpose(2, 0, 1)[None].astype(np.float32))["logits"]
        return logits + 0.01 * np.abs(logits).max()

    found = verify(SUBJECT, model, written / FOLDER, predict)
    assert found.on_mac.keys() == PRECISIONS.keys()
    assert all(0.005 < value < 0.05 for value in found.on_mac.values())
    with pytest.raises(ExportError, match="run by Core ML"):
        verify(SUBJECT, model, written / FOLDER, lambda package, pixels: predict(package, pixels)[:, ::-1].copy())


@pytest.mark.mac
@pytest.mark.skipif(sys.platform != "darwin", reason="Core ML runs on macOS alone")
def test_core_ml_gives_the_same(written: Path, model: nn.Module) -> None:
    assert verify(SUBJECT, model, written / FOLDER, core_ml()).on_mac.keys() == PRECISIONS.keys()


def test_usage_runs(written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(written)
    code = EXPORTER.usage(SUBJECT).split("```python\n")[1].split("```")[0]
    exec(compile(code, "usage", "exec"), {})
    assert "A mixed network. Trained." in capsys.readouterr().out


def test_images_of_other_channels() -> None:
    assert EXPORTER.refuse(SUBJECT) is None
    refusal = EXPORTER.refuse(replace(SUBJECT, spec=replace(MIXED, in_channels=4)))
    assert refusal is not None
    assert refusal.dimension == "in_channels"
    assert "`4`" in refusal.message


def test_grey_images(tmp_path: Path) -> None:
    spec = ArchSpec(ConvStem(8), (InvertedResidualStage(8, 1, 1, 2),), PoolHead(), num_classes=2, in_channels=1)
    subject, model = Subject(spec, 32, "grey", "Grey"), trained_like(spec)
    EXPORTER.write(subject, model, tmp_path)
    EXPORTER.check(subject, model, tmp_path)


@pytest.mark.parametrize("activation", ["gelu", "hardswish"])
def test_interpreter_knows_other_activations(tmp_path: Path, activation: str) -> None:
    spec = ArchSpec(ConvStem(8), (InvertedResidualStage(8, 1, 1, 2),), PoolHead(), activation=activation, num_classes=5)
    model, images = trained_like(spec), torch.rand(1, 3, 32, 32) * 4 - 2
    convert(model, 32, tmp_path / "net.mlpackage")
    with torch.no_grad():
        expected = model(images).numpy()
    found = run(read_program(tmp_path / "net.mlpackage"), images.numpy())["logits"]
    assert np.abs(found - expected).max() < 3e-3 * np.abs(expected).max()


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Subject, nn.Module, Path]:
    """An initial EfficientFormer, whose layer scales of 1e-5 make weights too small for 8 bits."""
    folder, spec = tmp_path_factory.mktemp("scaled"), EFFICIENTFORMERS["v1"]
    subject, model = Subject(spec, SIDE, "scaled", "An EfficientFormer"), build(spec).eval()
    EXPORTER.write(subject, model, folder)
    return subject, model, folder


def test_weights_too_small_for_8_bits_stay_in_float16(scaled: tuple[Subject, nn.Module, Path], tmp_path: Path) -> None:
    subject, model, folder = scaled
    assert EXPORTER.check(subject, model, folder).difference < 1e-4  # type: ignore[operator]
    program = read_program(folder / FOLDER / INT8)
    arrays = [value for value in program.constants.values() if isinstance(value, np.ndarray) and value.size > 2048]
    small = [value for value in arrays if np.abs(value).max() < SMALLEST_QUANTISED]
    assert program.steps and small
    # Two such weights in each other's place are found.
    entry = tmp_path / "entry"
    shutil.copytree(folder, entry)
    file = entry / FOLDER / INT8 / INSIDE / "weights" / "weight.bin"
    blob, value = bytearray(file.read_bytes()), small[0].reshape(-1)
    at = blob.find(small[0].tobytes())
    assert at > 0 and value[0] != value[1] and value.dtype == np.float16
    blob[at : at + 4] = blob[at + 2 : at + 4] + blob[at : at + 2]
    file.write_bytes(bytes(blob))
    with pytest.raises(ExportError, match=f"`{INT8}` holds other numbers than the network"):
        EXPORTER.check(subject, model, entry)


def test_8_bits_for_weights_too_small_are_refused(scaled: tuple[Subject, nn.Module, Path]) -> None:
    exact, rounded = (read_program(scaled[2] / FOLDER / name) for name in (FLOAT16, INT8))
    wide = replace(rounded, steps={name: step * 100 for name, step in rounded.steps.items()})
    with pytest.raises(ExportError, match="8 bits are too few"):
        _check_numbers(exact, wide, INT8)


def _exports(spec: ArchSpec, resolution: int, folder: Path) -> None:
    subject, model = Subject(spec, resolution, "network", "A network"), build(spec).eval()
    EXPORTER.write(subject, model, folder)
    EXPORTER.check(subject, model, folder)


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", all_published())
def test_every_published_network(name: str, tmp_path: Path) -> None:
    spec = network(name)
    _exports(spec, default_resolution(spec), tmp_path)


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(100))
def test_random_networks_of_the_default_space(seed: int, tmp_path: Path) -> None:
    space = load_space("mobilevit")
    _exports(space.decode(space.random_point(random.Random(seed))), 256, tmp_path)
