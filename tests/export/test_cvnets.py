"""The export to CVNets: what its options say is written and read back; the rest is refused by name."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mvsearch.errors import ExportError
from mvsearch.export.cvnets import EXPORTER
from mvsearch.export.cvnets.config import parse_config
from mvsearch.export.cvnets.variants import MODES, Variant, variant_of
from mvsearch.export.dimensions import first_difference, width_multiplier
from mvsearch.export.exporter import Refusal, Subject
from mvsearch.export.outputs import differences, logits_of, sample_images
from mvsearch.export.shaken import shaken
from mvsearch.models import build
from mvsearch.spec.arch import ACTIVATIONS, ArchSpec
from mvsearch.spec.published import (
    all_published,
    default_resolution,
    mobilevit,
    mobilevitv2,
    mobilevitv3,
    network,
    published_networks,
)
from mvsearch.spec.space_file import load_space
from tests.export.nets import NETS

SMALL = mobilevitv2(0.25).with_classes(10)
CVNETS = os.environ.get("MVSEARCH_CVNETS", "")


def subject(spec: ArchSpec, resolution: int = 64) -> Subject:
    return Subject(spec, resolution, "net", "Net")


def stage(spec: ArchSpec, number: int, **values: object) -> ArchSpec:
    stages = list(spec.stages)
    stages[number - 1] = replace(stages[number - 1], **values)  # type: ignore[arg-type]
    return replace(spec, stages=tuple(stages))


def heads(spec: ArchSpec, number: int) -> ArchSpec:
    return replace(spec, stages=tuple(replace(s, heads=number) if hasattr(s, "heads") else s for s in spec.stages))  # type: ignore[arg-type]


def test_published_networks_are_exported_but_for_config_b() -> None:
    for name, spec in published_networks().items():
        found = variant_of(spec, 256)
        if "@" in name:
            assert isinstance(found, Refusal) and found.dimension == "stage3.patch", name
            continue
        assert isinstance(found, Variant), name
        assert (found.overlay is not None) == name.startswith("mobilevitv3"), name
    assert EXPORTER.refuse(subject(network("mobilevitv3_xs"))) is None


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("multiplier", [0.3, 0.5, 0.875, 1.1, 2.0])
def test_every_width_and_activation_of_v2_is_found_again(multiplier: float, activation: str) -> None:
    spec = replace(mobilevitv2(multiplier), activation=activation, num_classes=7)
    found = variant_of(spec, 64)
    assert isinstance(found, Variant) and found.spec(7) == spec
    assert width_multiplier(mobilevitv2(multiplier)) == pytest.approx(multiplier, abs=0.01)


@pytest.mark.parametrize("number", [1, 2, 4, 8])
def test_heads_are_an_option_of_v1_where_all_stages_have_as_many(number: int) -> None:
    found = variant_of(heads(mobilevit("xxs"), number), 64)
    assert isinstance(found, Variant) and found.options == {"mode": "xx_small", "number_heads": number}
    refused = variant_of(stage(mobilevit("xxs"), 5, heads=8), 64)
    assert isinstance(refused, Refusal) and refused.dimension == "stage5.heads"


REFUSED = [
    (stage(mobilevit("s"), 4, channels=136), "stage4.channels"),
    (stage(mobilevit("s"), 5, depth=2), "stage5.depth"),
    (stage(mobilevit("s"), 3, expansion=3), "stage3.expansion"),
    (stage(mobilevit("s"), 2, num_blocks=2), "stage2.blocks"),
    (stage(mobilevit("s"), 3, ffn_ratio=3), "stage3.ffn_ratio"),
    (stage(mobilevit("xs"), 3, patch=(4, 4)), "stage3.patch"),
    (stage(mobilevitv3("xs"), 4, dim=128), "stage4.dim"),
    (stage(mobilevitv3("xs"), 4, residual=False), "stage4.block"),
    (stage(mobilevitv2(1.0), 5, concat_local=True), "stage5.block"),
    (stage(mobilevitv2(1.0), 5, channels=536), "stage5.channels"),
    (replace(mobilevitv2(1.0), head=mobilevit("s").head), "head"),
    (replace(mobilevit("s"), in_channels=1), "in_channels"),
    (NETS["v1"], "stages"),
]


@pytest.mark.parametrize(("spec", "dimension"), REFUSED, ids=[f"{d}-{i}" for i, (_, d) in enumerate(REFUSED)])
def test_a_refusal_names_the_dimension_and_the_nearest_network(spec: ArchSpec, dimension: str, tmp_path: Path) -> None:
    refusal = EXPORTER.refuse(subject(spec, 256))
    assert refusal is not None and refusal.dimension == dimension
    assert f"`{dimension}` is `" in refusal.message and "CVNets" in refusal.message
    if dimension != "in_channels":
        assert "parameters and MACs" in refusal.hint and "`mobilevit" in refusal.hint
    with pytest.raises(ExportError, match="cannot express"):
        EXPORTER.write(subject(spec), build(SMALL), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_nearest_network_is_near_in_cost() -> None:
    refusal = EXPORTER.refuse(subject(stage(mobilevit("xs"), 4, channels=88), 256))
    assert refusal is not None and "`mobilevit_xs`, 2,317,848 parameters" in refusal.hint


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    for i, spec in enumerate((SMALL, heads(replace(mobilevitv3("xxs", 2), activation="relu6"), 2).with_classes(5))):
        folder = tmp_path / str(i)
        folder.mkdir()
        model = shaken(build(spec))
        info = EXPORTER.write(subject(spec), model, folder)
        check = EXPORTER.check(subject(spec), model, folder)
        assert check.difference == 0 and "no package index" in check.notes[0]
        assert (info["overlay"] is None) == (i == 0)
        data = yaml.safe_load((folder / "cvnets/model.yaml").read_text())
        assert (
            first_difference(parse_config(data), spec) is None
            and data["model"]["classification"]["n_classes"] == spec.num_classes
        )
    text = (tmp_path / "1/cvnets/model.yaml").read_text()
    assert "micronDLA/MobileViTv3" in text.splitlines()[1] and "mode: xx_small_v3_fast" in text


FAULTS = ("two weights swapped", "a weight left out", "an option dropped", "a key that would be swallowed", "another mode")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, tmp_path: Path) -> None:
    model = shaken(build(SMALL))
    EXPORTER.write(subject(SMALL), model, tmp_path)
    config, weights = tmp_path / "cvnets/model.yaml", tmp_path / "cvnets/model.pt"
    state, data = torch.load(weights, weights_only=True), yaml.safe_load(config.read_text())
    one, other = "layer_4.1.global_rep.0.pre_norm_attn.0.weight", "layer_4.1.global_rep.0.pre_norm_ffn.0.weight"
    said = "is not what it should be"
    if fault == "two weights swapped":
        state[one], state[other] = state[other], state[one]
        said = "is not the network's"
    elif fault == "a weight left out":
        del state[one]
        said = "is not the network's"
    elif fault == "an option dropped":
        del data["model"]["classification"]["mitv2"]["width_multiplier"]
        said = "lacks what makes the network"
    elif fault == "a key that would be swallowed":
        data["model"]["classification"]["mitv2"]["depths"] = [2, 4, 3]
    else:
        data["model"]["classification"]["mitv2"]["width_multiplier"] = 0.5
        said = "gives `32` for `stage1.channels`"
    torch.save(state, weights)
    config.write_text(yaml.safe_dump(data))
    with pytest.raises(ExportError, match=said):
        EXPORTER.check(subject(SMALL), model, tmp_path)


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    model = build(SMALL)
    EXPORTER.write(subject(SMALL), model, tmp_path)
    torch.save({"x": Path("somewhere")}, tmp_path / "cvnets/model.pt")
    with pytest.raises(ExportError, match="cannot be read"):
        EXPORTER.check(subject(SMALL), model, tmp_path)


_BY_CVNETS = """
import collections, collections.abc, importlib.abc, importlib.machinery, sys, types
from pathlib import Path
collections.MutableMapping = collections.abc.MutableMapping
class Absent(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__getattr__": lambda self, name: None})
class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    "What CVNets reads data with, and is not installed, is not needed to build a network."
    names = {"av", "torchtext", "torchaudio", "coremltools", "pycocotools", "cv2", "ftfy", "fvcore", "psutil", "pytorchvideo"}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec):
        return Absent(spec.name)
    def exec_module(self, module):
        pass
sys.meta_path.append(Stubs())
import importlib.util
spec = importlib.util.spec_from_file_location("fresh_runner", sys.argv[2])
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)
keep = runner.declare_torchvision_operators()
sys.modules["mvsearch"] = None
import torch, torchvision.io, yaml
import numpy as np
if not hasattr(torchvision.io, "write_video"):
    torchvision.io.write_video = None
checkout, folders = sys.argv[1], sys.argv[3:]
sys.path.insert(0, checkout)
sys.argv = ["train"]
from cvnets import get_model
from options.opts import get_training_arguments
def flat(tree, before=""):
    for key, value in tree.items():
        yield from flat(value, f"{before}{key}.") if isinstance(value, dict) else [(before + key, value)]
for folder in map(Path, folders):
    options = get_training_arguments()
    for key, value in flat(yaml.safe_load((folder / "cvnets/model.yaml").read_text())):
        assert hasattr(options, key), f"CVNets has no option {key}"
        setattr(options, key, value)
    model = get_model(options).eval()
    model.load_state_dict(torch.load(folder / "cvnets/model.pt", weights_only=True), strict=True)
    with torch.inference_mode():
        np.save(folder / "found.npy", model(torch.from_numpy(np.load(folder / "images.npy"))).numpy())
"""


@pytest.mark.full
@pytest.mark.skipif(not CVNETS, reason="MVSEARCH_CVNETS is not set to a checkout of apple/ml-cvnets")
def test_cvnets_itself_builds_loads_and_computes_the_same(tmp_path: Path) -> None:
    """With the checkout at 7771756: v1 and v2; with MobileViTv3's files laid over d38a116 or 84d992f: v3."""
    from mvsearch.export import fresh_runner

    listed = (Path(CVNETS) / "cvnets/models/classification").iterdir()
    models = {path.stem for path in listed}
    base = "7771756" if "mobilevit_v3" not in models and "MobileViTv3" not in _source(CVNETS) else None
    base = base or ("84d992f" if "mobilevit_v3" in models else "d38a116")
    networks = {f"{n}@{r}": (s, r) for n, s in published_networks().items() for r in (256, 224)}
    networks["heads"] = (replace(heads(mobilevit("xxs"), 2), activation="relu", num_classes=7), 160)
    networks |= {a: (replace(mobilevitv2(0.6), activation=a), 192) for a in ACTIVATIONS}
    chosen = {}
    for name, (spec, resolution) in networks.items():
        found = variant_of(spec, resolution)
        if isinstance(found, Variant) and found.base == base:
            chosen[name] = (spec, resolution)
    expected = {}
    for name, (spec, resolution) in chosen.items():
        folder = tmp_path / name
        folder.mkdir()
        model, images = shaken(build(spec)), sample_images(3, resolution)
        EXPORTER.write(subject(spec, resolution), model, folder)
        np.save(folder / "images.npy", images.numpy())
        expected[name] = logits_of(model, images)
    command = [sys.executable, "-c", _BY_CVNETS, CVNETS, str(fresh_runner.__file__), *(str(tmp_path / name) for name in chosen)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CVNETS)
    assert done.returncode == 0, done.stderr[-3000:]
    worst = {n: differences(x, torch.from_numpy(np.load(tmp_path / n / "found.npy")))[1] for n, x in expected.items()}
    print(f"{len(worst)} networks by CVNets on {base}, largest difference {max(worst.values()):.2g}")
    assert worst and max(worst.values()) <= 1e-5


def _source(checkout: str) -> str:
    return (Path(checkout) / "cvnets/models/classification/mobilevit.py").read_text(encoding="utf-8")


@pytest.mark.full
def test_published_networks_and_random_candidates_are_exported_or_refused(tmp_path: Path) -> None:
    space, rng = load_space("mobilevit"), random.Random(7)
    networks = dict(all_published())
    networks |= {f"candidate {i}": space.decode(space.random_point(rng)) for i in range(100)}
    exported, refused = 0, {}
    for name, spec in networks.items():
        if refusal := EXPORTER.refuse(subject(spec, default_resolution(spec))):
            refused[refusal.dimension] = refused.get(refusal.dimension, 0) + 1
            continue
        folder = tmp_path / name
        folder.mkdir()
        model = shaken(build(spec))
        EXPORTER.write(subject(spec, 128), model, folder)
        assert EXPORTER.check(subject(spec, 128), model, folder).difference == 0
        exported += 1
    print(f"{exported} exported, refused by dimension: {refused}")
    assert exported == 19 and sum(refused.values()) == len(networks) - 19


def test_modes_are_the_published_networks() -> None:
    assert [MODES[m] for m in ("xx_small", "x_small", "small")] == [network(f"mobilevit_{s}") for s in ("xxs", "xs", "s")]


def test_another_family_is_refused_by_its_name() -> None:
    found = EXPORTER.refuse(Subject(network("efficientformerv2_s0"), 224, "net", "A network"))
    assert found is not None and found.dimension == "stage1.block"
    assert "an EfficientFormerV2; CVNets has MobileViT" in found.message
    assert "`mobilevitv2_0.75`" in found.hint
