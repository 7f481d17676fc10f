"""The export to transformers: loaded by it alone, equal to ours; faults that are planted are found."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mvsearch.errors import ExportError
from mvsearch.export import fresh_runner, names
from mvsearch.export.exporter import Refusal, Subject
from mvsearch.export.fresh import logits_of as fresh_logits
from mvsearch.export.outputs import differences, logits_of, sample_images
from mvsearch.export.shaken import shaken
from mvsearch.export.training.recipes import recipe_of
from mvsearch.export.transformers import EXPORTER, exporter
from mvsearch.export.transformers.exporter import LOADER, processor_config
from mvsearch.export.transformers.loader import CONFIG, PROCESSOR, WEIGHTS
from mvsearch.export.transformers.native import native_config
from mvsearch.export.transformers.ship import shipped_files
from mvsearch.models import build
from mvsearch.spec.arch import ArchSpec
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

SMALL_V1 = mobilevit("xxs").with_classes(10)
SMALL_V2 = mobilevitv2(0.25).with_classes(10)
SMALL_V3 = mobilevitv3("xxs", 2).with_classes(10)
LIMIT = 1e-5


def subject(spec: ArchSpec, resolution: int = 64, **more: object) -> Subject:
    return Subject(spec, resolution, "net", "Net", **more)  # type: ignore[arg-type]


def write(folder: Path, spec: ArchSpec, resolution: int = 64, **more: object) -> torch.nn.Module:
    folder.mkdir(parents=True, exist_ok=True)
    model = shaken(build(spec))
    EXPORTER.write(subject(spec, resolution, **more), model, folder)
    return model


def stage(spec: ArchSpec, number: int, **values: object) -> ArchSpec:
    stages = list(spec.stages)
    stages[number - 1] = replace(stages[number - 1], **values)  # type: ignore[arg-type]
    return replace(spec, stages=tuple(stages))


def all_stages(spec: ArchSpec, **values: object) -> ArchSpec:
    stages = tuple(replace(s, **{k: v for k, v in values.items() if hasattr(s, k)}) for s in spec.stages)  # type: ignore[arg-type]
    return replace(spec, stages=stages)


NATIVE = {
    "v1": SMALL_V1,
    "v1, every option that is a field": replace(
        all_stages(mobilevit("xxs"), heads=2, ffn_ratio=1.5, patch=(4, 4), expansion=1.5).with_classes(3),
        activation="hardswish",
        in_channels=1,
    ),
    "v2": SMALL_V2,
    "v2, every option that is a field": replace(
        stage(stage(all_stages(SMALL_V2, ffn_ratio=3, expansion=3.0), 3, dim=40, depth=1), 5, dim=72, depth=2),
        activation="gelu",
    ),
}
CUSTOM = {
    "v3 on v1": (SMALL_V3, 64, "stage3.block"),
    "v2 where patches leave something over": (SMALL_V2, 80, "stage4.patch"),
    "mixed": (NETS["mixed, patches resized"], 64, "stage4.block"),
}
REFUSED = [
    (stage(SMALL_V1, 3, depth=1), 64, "stage3.depth"),
    (stage(SMALL_V1, 4, expansion=3), 64, "stage4.expansion"),
    (stage(SMALL_V1, 5, heads=2), 64, "stage5.heads"),
    (stage(SMALL_V1, 5, ffn_ratio=3), 64, "stage5.ffn_ratio"),
    (stage(SMALL_V1, 3, patch=(4, 2)), 64, "stage3.patch"),
    (stage(SMALL_V1, 3, patch=(4, 4)), 64, "stage4.patch"),
    (stage(SMALL_V1, 2, num_blocks=2), 64, "stage2.blocks"),
    (stage(SMALL_V1, 3, residual=True), 64, "stage3.block"),
    (all_stages(SMALL_V1, expansion=1), 64, "stage1.expansion"),
    (replace(SMALL_V1, head=SMALL_V2.head), 64, "head"),
    (stage(SMALL_V2, 4, channels=104), 64, "stage1.channels"),
    (stage(SMALL_V2, 3, dim=36), 64, "stage3.dim"),
    (all_stages(SMALL_V2, ffn_ratio=1.5), 64, "stage3.ffn_ratio"),
    (stage(SMALL_V2, 5, concat_local=True), 64, "stage5.block"),
    (replace(SMALL_V2, stages=SMALL_V2.stages[:4]), 64, "stages"),
]


@pytest.mark.parametrize(("spec", "resolution", "dimension"), REFUSED, ids=[r[2] + str(i) for i, r in enumerate(REFUSED)])
def test_what_transformers_own_models_cannot_say_is_named(spec: ArchSpec, resolution: int, dimension: str) -> None:
    found = native_config(spec, resolution, recipe_of(spec))
    assert isinstance(found, Refusal)
    assert found.dimension == dimension


def test_published_networks_of_v1_and_v2_are_native() -> None:
    for name, spec in published_networks().items():
        native = native_config(spec, 256, recipe_of(spec))
        plain = name.startswith(("mobilevit_", "mobilevitv2_")) and "@" not in name
        assert isinstance(native, dict) == plain, name
    assert native_config(network("mobilevitv2_0.75"), 256, recipe_of(network("mobilevitv2_0.75")))["width_multiplier"] == 0.75


def test_native_exports_hold_no_code_and_others_say_why(tmp_path: Path) -> None:
    for i, spec in enumerate(NATIVE.values()):
        (tmp_path / str(i)).mkdir()
        assert not EXPORTER.write(subject(spec), build(spec), tmp_path / str(i))["custom_code"]
        assert not list((tmp_path / str(i)).rglob("*.py"))
    for i, (spec, resolution, dimension) in enumerate(CUSTOM.values()):
        (tmp_path / f"c{i}").mkdir()
        info = EXPORTER.write(subject(spec, resolution), build(spec), tmp_path / f"c{i}")
        assert info["why_custom"]["dimension"] == dimension


def test_shipped_code_is_ours_and_needs_nothing_of_us() -> None:
    files = shipped_files()
    assert {"modeling_mvsearch.py", "configuration_mvsearch.py", "mvsearch_models_build.py", "mvsearch_spec_arch.py"} <= set(
        files
    )
    for name, text in files.items():
        assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n# Part of mvsearch"), name
        assert "from mvsearch" not in text and "import mvsearch" not in text, name
    ours = (Path(__file__).parents[2] / "mvsearch/models/mobilevit.py").read_text().splitlines()
    copy = files["mvsearch_models_mobilevit.py"].splitlines()[2:]
    changed = [(a, b) for a, b in zip(ours, copy, strict=True) if a != b]
    assert changed and all(a.startswith("from mvsearch.") and b.startswith("from .mvsearch_") for a, b in changed)


def test_code_that_was_edited_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "fresh_logits", lambda *_: pytest.fail("it was loaded"))
    model = write(tmp_path, SMALL_V3)
    file = tmp_path / "transformers" / "mvsearch_models_mobilevit.py"
    file.write_text(file.read_text().replace("0.5", "0.25"))
    with pytest.raises(ExportError, match=r"mvsearch_models_mobilevit\.py` is not the code"):
        EXPORTER.check(subject(SMALL_V3), model, tmp_path)


_FAULTS = {
    "two weights swapped": (WEIGHTS, "is not the network's"),
    "a weight left out": (WEIGHTS, "is not the network's"),
    "an option dropped": (CONFIG, "`expand_ratio`"),
    "a key that would be swallowed": (CONFIG, "`depths`"),
    "red and blue swapped": (PROCESSOR, "`do_flip_channel_order`"),
}


def _plant(fault: str, folder: Path) -> None:
    file = folder / "transformers" / _FAULTS[fault][0]
    if file.name == WEIGHTS:
        state = load_file(file)
        one = "mobilevit.encoder.layer.2.transformer.layer.0.attention.attention.query.weight"
        other = one.replace("query", "key")
        if fault == "two weights swapped":
            state[one], state[other] = state[other], state[one]
        else:
            del state[one]
        save_file(state, file, metadata={"format": "pt"})
        return
    data = json.loads(file.read_text())
    if fault == "an option dropped":
        del data["expand_ratio"]
    else:
        data |= {"depths": [1, 1, 1]} if file.name == CONFIG else {"do_flip_channel_order": True}
    file.write_text(json.dumps(data))


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_planted_fault_is_found_before_the_library_is_asked(fault: str, tmp_path: Path) -> None:
    model = write(tmp_path, SMALL_V1)
    _plant(fault, tmp_path)
    with pytest.raises(ExportError, match=_FAULTS[fault][1]):
        EXPORTER.check(subject(SMALL_V1), model, tmp_path)


_IN_THE_LIBRARY = """
import json, sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
import numpy as np
def module(path):
    spec = spec_from_file_location(Path(path).stem, path)
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made
keep = module(sys.argv[1]).declare_torchvision_operators()
sys.modules["mvsearch"] = None
loader, work = module(sys.argv[2]), Path.cwd()
said = {}
for folder in sorted((work / "good").iterdir()):
    np.save(folder / "logits.npy", loader.load(str(folder))(np.load(folder / "images.npy")))
for folder in sorted((work / "faulty").iterdir()):
    try:
        loader.load(str(folder))
        said[folder.name] = ""
    except Exception as error:
        said[folder.name] = f"{type(error).__name__}: {error}"
import torch
from transformers import AutoConfig, AutoModelForImageClassification, set_seed
set_seed(0)
custom, trust = str(work / "custom" / "transformers"), {"trust_remote_code": True}
make = AutoModelForImageClassification.from_pretrained
tuned, report = make(custom, num_labels=4, ignore_mismatched_sizes=True, output_loading_info=True, **trust)
whole = make(custom, **trust)
x = torch.rand(2, 3, 64, 64)
out = tuned(pixel_values=x, labels=torch.tensor([0, 3]), output_hidden_states=True)
out.loss.backward()
first, second = whole.state_dict(), tuned.state_dict()
fresh = AutoModelForImageClassification.from_config(AutoConfig.from_pretrained(custom, **trust), **trust)
weights = [p for n, p in fresh.named_parameters() if n.endswith("mlp.fc1.weight") and ".4." in n]
tuned.save_pretrained(work / "saved")
tuned.eval()
again = make(str(work / "saved"), **trust).eval()
with torch.inference_mode():
    same = torch.equal(again(x).logits, tuned(x).logits)
said["custom"] = dict(
    mismatched=sorted(str(k) for k in report["mismatched_keys"]),
    changed=[n for n in first if not n.startswith("network.head.fc") and not torch.equal(first[n], second[n])],
    std=float(second["network.head.fc.weight"].std()),
    bias=float(second["network.head.fc.bias"].abs().max()),
    loss=float(out.loss),
    logits=list(out.logits.shape),
    states=[list(s.shape) for s in out.hidden_states],
    labels=whole.config.id2label[1],
    tuned_labels=len(tuned.config.id2label),
    gradients=all(p.grad is not None for p in tuned.parameters()),
    same=same,
    tuple=len(whole(x, return_dict=False)),
    saved=sorted(p.name for p in (work / "saved").iterdir()),
    fresh=[float(w.std()) for w in weights],
    alike=torch.equal(weights[0], weights[1]),
)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def in_the_library(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One process without mvsearch: good exports, faulty ones as the loader sees them, and what a custom model does."""
    work = tmp_path_factory.mktemp("library")
    good = {name: (spec, 64) for name, spec in NATIVE.items()} | {name: (s, r) for name, (s, r, _) in CUSTOM.items()}
    expected = {}
    for name, (spec, resolution) in good.items():
        model, x = write(work / "good" / name, spec, resolution), sample_images(spec.in_channels, resolution)
        np.save(work / "good" / name / "images.npy", x.numpy())
        expected[name] = logits_of(model, x)
    for fault in _FAULTS:
        write(work / "faulty" / fault, SMALL_V1)
        _plant(fault, work / "faulty" / fault)
    write(work / "faulty" / "a key beside the architecture", SMALL_V3)
    file = work / "faulty" / "a key beside the architecture" / "transformers" / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | {"heads": 2}))
    write(work / "custom", SMALL_V3, labels=tuple("abcdefghij"))
    environment = {"HF_HOME": str(work / "hf"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", _IN_THE_LIBRARY, fresh_runner.__file__, str(LOADER)],
        capture_output=True, text=True, env=environment, cwd=work,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    for name, logits in expected.items():
        found = torch.from_numpy(np.load(work / "good" / name / "logits.npy"))
        said[f"difference of {name}"] = differences(logits, found)[1]
    return said


@pytest.mark.parametrize("name", [*NATIVE, *CUSTOM])
def test_transformers_alone_gives_our_outputs(name: str, in_the_library: dict[str, Any]) -> None:
    assert in_the_library[f"difference of {name}"] <= LIMIT


def test_the_library_itself_finds_what_it_swallows(in_the_library: dict[str, Any]) -> None:
    said = in_the_library
    # Weights that are swapped are as good as any to a library; outputs tell, and names and values before that.
    assert said["two weights swapped"] == ""
    assert "missing_keys" in said["a weight left out"]
    assert "does not know `depths`" in said["a key that would be swallowed"]
    assert "does not know `heads`" in said["a key beside the architecture"]
    assert "other pixels" in said["red and blue swapped"]
    assert said["an option dropped"].startswith(("ValueError: mismatched_keys", "RuntimeError"))


def test_a_custom_model_can_be_tuned_saved_and_made_anew(in_the_library: dict[str, Any]) -> None:
    custom = types.SimpleNamespace(**in_the_library["custom"])
    assert len(custom.mismatched) == 2 and all("network.head.fc" in key for key in custom.mismatched)
    assert custom.changed == [], "weights that fit were loaded, and stay"
    assert 0.015 < custom.std < 0.025 and custom.bias == 0, "a new classifier has mvsearch's initial weights"
    assert custom.logits == [2, 4] and custom.loss > 0 and custom.gradients and custom.tuple == 1
    assert [s[1] for s in custom.states] == [16, 16, 24, 64, 80, 128]
    assert custom.labels == "b" and custom.tuned_labels == 4
    assert custom.same and {"modeling_mvsearch.py", "mvsearch_models_build.py", CONFIG, WEIGHTS} <= set(custom.saved)
    assert all(0.015 < s < 0.025 for s in custom.fresh) and not custom.alike


def _stand_in(loader: Path, folders: Sequence[Path], images: np.ndarray) -> list[np.ndarray]:
    """What transformers' MobileViTV2 gives (the test above shows that it does): names by the rules, and our network."""
    found = []
    for folder in folders:
        model = build(SMALL_V2)
        state = load_file(folder / "transformers" / WEIGHTS)
        model.load_state_dict(names.from_library("transformers", SMALL_V2, state))
        found.append(logits_of(model, torch.from_numpy(images)).numpy())
    return found


def test_a_wrong_mapping_is_found_by_shaken_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written and compared by the same wrong rule, so that every tensor is where it was expected; initial weights hide it."""

    def swapped(library: str, spec: ArchSpec, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        result = names.to_library(library, spec, state)
        before, after = (f"mobilevitv2.encoder.layer.2.transformer.layer.0.layernorm_{x}.bias" for x in ("before", "after"))
        result[before], result[after] = result[after], result[before]
        return result

    monkeypatch.setattr(exporter, "fresh_logits", _stand_in)
    model = build(SMALL_V2)
    (tmp_path / "right").mkdir()
    EXPORTER.write(subject(SMALL_V2), model, tmp_path / "right")
    assert EXPORTER.check(subject(SMALL_V2), model, tmp_path / "right").difference == 0
    monkeypatch.setattr(exporter, "to_library", swapped)
    (tmp_path / "wrong").mkdir()
    EXPORTER.write(subject(SMALL_V2), model, tmp_path / "wrong")
    with pytest.raises(ExportError, match="differ by"):
        EXPORTER.check(subject(SMALL_V2), model, tmp_path / "wrong")


def test_the_image_processor_follows_the_resolution_and_the_recipe() -> None:
    config = processor_config(256, recipe_of(SMALL_V1))
    assert config["size"] == {"shortest_edge": 288} and config["crop_size"] == {"height": 256, "width": 256}
    assert (config["resample"], config["do_flip_channel_order"]) == (2, False)
    assert "image_mean" not in config
    assert processor_config(192, recipe_of(SMALL_V2)) | {"resample": 3} == processor_config(192, recipe_of(SMALL_V2))


def differences_of(work: Path, networks: dict[str, tuple[ArchSpec, int]]) -> dict[str, float]:
    models = [write(work / str(i), spec, resolution) for i, (spec, resolution) in enumerate(networks.values())]
    images = [sample_images(spec.in_channels, resolution) for spec, resolution in networks.values()]
    found = fresh_logits(LOADER, [work / str(i) for i in range(len(models))], [x.numpy() for x in images])
    return {
        name: differences(logits_of(model, x), torch.from_numpy(logits))[1]
        for name, model, x, logits in zip(networks, models, images, found, strict=True)
    }


@pytest.mark.full
@pytest.mark.parametrize("part", range(4))
def test_published_networks_and_random_candidates(part: int, tmp_path: Path) -> None:
    space, rng = load_space("mobilevit"), random.Random(7)
    networks: dict[str, tuple[ArchSpec, int]] = {}
    for name, spec in all_published().items():
        # An EfficientFormer is bound to its own size.
        sizes = {default_resolution(spec), 64 if name in published_networks() else default_resolution(spec)}
        networks |= {f"{name} at {r}": (spec.with_classes(10), r) for r in sorted(sizes)}
    for i in range(100):
        networks[f"candidate {i}"] = (space.decode(space.random_point(rng)).with_classes(10), rng.choice((64, 80, 96, 128)))
    chosen = dict(list(networks.items())[part::4])
    found = differences_of(tmp_path, chosen)
    native = sum(isinstance(native_config(s, r, recipe_of(s)), dict) for s, r in chosen.values())
    print(f"{len(found)} networks, {native} of them native, largest difference {max(found.values()):.2g}")
    assert max(found.values()) <= LIMIT
