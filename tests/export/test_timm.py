"""Exports that timm loads by itself: outputs, options of timm's users, and what timm cannot say."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mvsearch.errors import ExportError
from mvsearch.export.exporter import MAX_LIBRARY_DIFFERENCE, Subject
from mvsearch.export.fresh import logits_of as fresh_logits
from mvsearch.export.outputs import differences, logits_of, sample_images
from mvsearch.export.shaken import shaken
from mvsearch.export.timm import EXPORTER
from mvsearch.export.timm.exporter import LOADER
from mvsearch.export.timm.express import reductions, refusal, stages
from mvsearch.export.timm.loader import load
from mvsearch.export.timm.source import module_name, source
from mvsearch.models import build
from mvsearch.spec.arch import ACTIVATIONS, ArchSpec, InvertedResidualStage, expanded_width, make_divisible
from mvsearch.spec.published import network, published_networks
from mvsearch.spec.space_file import load_space
from tests.export.nets import EFFICIENTFORMERS, NETS
from tests.strategies import random_spec


def subject_of(spec: ArchSpec, resolution: int = 64, **options: Any) -> Subject:
    name = f"net_{spec.arch_id}"
    return Subject(spec, resolution, name, f"MobileViT network {spec.arch_id}", seed=0, **options)


def written(folder: Path, spec: ArchSpec, resolution: int = 64, **options: Any) -> tuple[Subject, nn.Module]:
    """An export with weights no two of which are alike."""
    subject, model = subject_of(spec, resolution, **options), shaken(build(spec))
    folder.mkdir(exist_ok=True)
    EXPORTER.write(subject, model, folder)
    return subject, model


def multiples_of_8(spec: ArchSpec) -> ArchSpec:
    stages = tuple(replace(stage, channels=make_divisible(stage.channels)) for stage in spec.stages)
    return replace(spec, stem=replace(spec.stem, channels=make_divisible(spec.stem.channels)), stages=stages)


FLAT = replace(
    NETS["v3 on v2"], stages=(InvertedResidualStage(16, 1, 2, 1), *NETS["v3 on v2"].stages[1:]), activation="hardswish"
)
SOME = [*NETS.values(), FLAT, *(multiples_of_8(random_spec(seed)) for seed in range(8))]


def difference(model: nn.Module, subject: Subject, logits: np.ndarray) -> float:
    images = sample_images(subject.spec.in_channels, subject.resolution)
    return differences(logits_of(model, images), torch.from_numpy(logits))[1]


def by_timm(folders: Sequence[Path], subjects: Sequence[Subject]) -> list[np.ndarray]:
    """Logits by timm alone, all in one process."""
    images = [sample_images(s.spec.in_channels, s.resolution).numpy() for s in subjects]
    return fresh_logits(LOADER, folders, images)


def compared(folder: Path, specs: Sequence[ArchSpec], resolution: int) -> float:
    """The largest relative difference of all."""
    pairs = [written(folder / str(i), spec, resolution) for i, spec in enumerate(specs)]
    found = by_timm([folder / str(i) for i in range(len(specs))], [subject for subject, _ in pairs])
    return max(difference(model, subject, logits) for (subject, model), logits in zip(pairs, found, strict=True))


WRONG = {
    "another order": ("(local if self.concat_local else shortcut, self.conv_proj(x))", "(self.conv_proj(x), local)"),
    "no residual": ("residual=True", "residual=False"),
    "other heads": ("num_heads=4", "num_heads=2"),
    "another patch": ("patch_size=(2, 2)", "patch_size=(1, 4)"),
    "another activation": ('act_layer="silu"', 'act_layer="hard_swish"'),
}
"""Faults that the exporter might have, planted in its text."""
WRONG_EFFICIENTFORMERS = {
    "another activation": ("v1", "act_layer=nn.GELU", "act_layer=nn.SiLU"),
    "a head forgotten": ("v1 distilled, relu6", "if self.distillation or pre_logits", "if pre_logits"),
    "another activation of v2": ("v2 distilled, hardswish", 'act_layer="hard_swish"', 'act_layer="gelu"'),
}


def test_timm_alone_gives_the_same_outputs_and_wrong_mappings_give_others(tmp_path: Path) -> None:
    assert {s.activation for s in SOME} > {"silu", "hardswish"}
    specs = [*SOME, *[NETS["v3 on v1"]] * len(WRONG)]
    folders = [tmp_path / str(i) for i in range(len(specs))]
    # 72 pixels: maps of 9 and 5 that patches do not divide.
    pairs = [written(folder, spec, 72) for folder, spec in zip(folders, specs, strict=True)]
    for folder, fault in zip(folders[len(SOME) :], WRONG.values(), strict=True):
        edited(*fault)(folder)
    # EfficientFormers in the same process.
    for i, spec in enumerate(EFFICIENTFORMERS.values()):
        folders.append(tmp_path / f"efficientformer {i}")
        pairs.append(written(folders[-1], spec))
    for name, *fault in WRONG_EFFICIENTFORMERS.values():
        folders.append(tmp_path / f"wrong {len(folders)}")
        pairs.append(written(folders[-1], EFFICIENTFORMERS[name]))
        edited(fault[0], fault[1])(folders[-1])
    found = by_timm(folders, [subject for subject, _ in pairs])
    apart = [difference(model, subject, logits) for (subject, model), logits in zip(pairs, found, strict=True)]
    right = {*range(len(SOME)), *range(len(specs), len(specs) + len(EFFICIENTFORMERS))}
    assert max(value for i, value in enumerate(apart) if i in right) <= MAX_LIBRARY_DIFFERENCE
    assert min(value for i, value in enumerate(apart) if i not in right) > 100 * MAX_LIBRARY_DIFFERENCE


@pytest.mark.full
@pytest.mark.parametrize("resolution", [96, 256])
def test_every_published_network(tmp_path: Path, resolution: int) -> None:
    specs = [s for s in published_networks().values() if refusal(s) is None]
    assert len(specs) >= 22
    worst = compared(tmp_path, specs, resolution)
    print(f"{len(specs)} published networks at {resolution}: largest relative difference {worst:.2g}")
    assert worst <= MAX_LIBRARY_DIFFERENCE


@pytest.mark.full
def test_a_hundred_candidates_of_the_default_space(tmp_path: Path) -> None:
    space, rng = load_space("mobilevit"), random.Random(7)
    specs = [space.decode(space.random_point(rng)) for _ in range(100)]
    assert all(refusal(spec) is None for spec in specs)
    worst = 0.0
    for start in range(0, 100, 20):
        worst = max(worst, compared(tmp_path, specs[start : start + 20], 96))
        for folder in tmp_path.iterdir():
            shutil.rmtree(folder)
    print(f"100 candidates at 96: largest relative difference {worst:.2g}")
    assert worst <= MAX_LIBRARY_DIFFERENCE


def swapped_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "timm" / "model.safetensors"
    tensors = load_file(path)
    a, b = "stages.2.1.transformer.0.norm1.weight", "stages.2.1.transformer.0.norm2.weight"
    tensors[a], tensors[b] = tensors[b], tensors[a]
    save_file(tensors, path)


def edited(old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (path,) = (folder / "timm").glob("*.py")
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


def foreign_code(folder: Path) -> None:
    (folder / "timm" / "sitecustomize.py").write_text("raise SystemExit")


PLANTED = {
    "two weights swapped": swapped_weights,
    "an option changed": edited("mlp_ratio=2", "mlp_ratio=2.0"),
    "code": edited("__all__", "import os\n__all__"),
    "a file more": foreign_code,
}


@pytest.mark.parametrize("fault", PLANTED)
def test_what_was_changed_is_found_before_it_is_run(tmp_path: Path, fault: str) -> None:
    subject, model = written(tmp_path, NETS["v3 on v1"])
    PLANTED[fault](tmp_path)
    with pytest.raises(ExportError, match=r"is not what is written|is not the network's|is not part of the export"):
        EXPORTER.check(subject, model, tmp_path)


@pytest.fixture
def here(timm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads exports in this process, where timm is already: importing it takes seconds."""

    def logits(loader: Path, folders: Sequence[Path], images: np.ndarray) -> list[np.ndarray]:
        assert loader == LOADER
        return [load(str(folder))(images) for folder in folders]

    monkeypatch.setattr("mvsearch.export.timm.exporter.fresh_logits", logits)


@pytest.mark.usefixtures("here")
def test_check_compares_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject, model = written(tmp_path, NETS["v3 on v1"])
    check = EXPORTER.check(subject, model, tmp_path)
    assert check.difference is not None and check.difference <= MAX_LIBRARY_DIFFERENCE
    assert re.fullmatch(r"timm [\d.]+, in a process of its own", check.by)
    assert sorted(f.name for f in (tmp_path / "timm").iterdir()) == ["config.json", "model.safetensors", f"{subject.name}.py"]
    # The exporter's own mistake, so that the text it expects is wrong too.
    wrong = source(subject).replace(*WRONG["no residual"])
    monkeypatch.setattr("mvsearch.export.timm.exporter.source", lambda _: wrong)
    (tmp_path / "timm" / f"{subject.name}.py").write_text(wrong)
    with pytest.raises(ExportError, match="timm's network gives outputs that differ"):
        EXPORTER.check(subject, model, tmp_path)


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[Callable[..., tuple[str, nn.Module]]]:
    """Writes an export and imports its file; gives timm's name of the network, and ours."""
    names = []

    def load(spec: ArchSpec, **options: Any) -> tuple[str, nn.Module]:
        subject, model = written(tmp_path, spec, **options)
        name = module_name(subject)
        file_spec = importlib.util.spec_from_file_location(name, tmp_path / "timm" / f"{name}.py")
        assert file_spec is not None and file_spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(file_spec)
        names.append(name)
        file_spec.loader.exec_module(module)
        return f"mvsearch_{name}", model

    yield load
    for name in names:
        del sys.modules[name]


Imported = Callable[..., tuple[str, nn.Module]]


@pytest.mark.parametrize("name", ["v3 on v1", "mixed, patches resized"])
def test_features_for_dense_tasks(imported: Imported, timm: ModuleType, name: str) -> None:
    spec = NETS[name]
    model_name, model = imported(spec)
    backbone = timm.create_model(model_name, pretrained=True, features_only=True).eval()
    assert tuple(backbone.feature_info.reduction()) == reductions(spec)
    images = sample_images(3, 96)
    with torch.inference_mode():
        maps = backbone(images)
        expected = model.stages[0](model.stem(images))  # type: ignore[union-attr,operator,index]
    torch.testing.assert_close(maps[0], expected, rtol=1e-4, atol=1e-5)
    assert [m.shape[1] for m in maps] == backbone.feature_info.channels()


@pytest.mark.parametrize("name", EFFICIENTFORMERS)
def test_an_efficientformer_with_options_of_timms_users(imported: Imported, timm: ModuleType, name: str) -> None:
    spec = EFFICIENTFORMERS[name]
    model_name, model = imported(spec)
    images = sample_images(3, 64)
    backbone = timm.create_model(model_name, pretrained=True, features_only=True).eval()
    assert tuple(backbone.feature_info.reduction()) == reductions(spec) == (4, 8, 16, 32)
    with torch.inference_mode():
        maps = backbone(images)
        x = model.stem(images)  # type: ignore[union-attr,operator]
        for stage, found in zip(model.stages, maps, strict=True):  # type: ignore[arg-type]
            x = stage(x)
            expected = x if x.ndim == 4 else x.transpose(1, 2).unflatten(2, found.shape[2:])
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert [m.shape[1] for m in maps] == backbone.feature_info.channels() == [s.channels for s in spec.stages]

    other = timm.create_model(model_name, pretrained=True, num_classes=5).eval()
    assert other(images).shape == (2, 5)
    first = "stem.conv1.weight" if "v1" in name else "stem.conv1.conv.weight"
    assert torch.equal(other.state_dict()[first], model.state_dict()[first])
    assert timm.create_model(model_name, pretrained=True, num_classes=0).eval()(images).shape == (2, spec.stages[-1].channels)

    grey = timm.create_model(model_name, pretrained=True, in_chans=1).eval()
    with torch.inference_mode():
        expected = logits_of(model, images[:, :1].expand(-1, 3, -1, -1))
    # Weights are summed over the channels, which rounds, and a batch norm may enlarge that.
    assert differences(expected, grey(images[:, :1]))[1] < 1e-3


def test_what_timms_efficientformers_cannot_say_is_refused_by_dimension() -> None:
    def refused(spec: ArchSpec, index: int, resolution: int = 64, **changes: Any) -> tuple[str, str] | None:
        stages = (*spec.stages[:index], replace(spec.stages[index], **changes), *spec.stages[index + 1 :])
        found = EXPORTER.refuse(subject_of(replace(spec, stages=stages), resolution))
        return found and (found.dimension, found.hint.removeprefix("the nearest network that it has: "))

    first, second = EFFICIENTFORMERS["v1"], EFFICIENTFORMERS["v2"]
    assert all(EXPORTER.refuse(subject_of(spec)) is None for spec in EFFICIENTFORMERS.values())
    assert refused(first, 1, ffn_ratio=4) == ("stage2.ffn_ratio", "stage2.ffn_ratio 3")
    assert refused(first, 3, attention=0) == ("stage4.attention", "stage4.attention 1")
    assert refused(first, 0, stride=2) == ("stage1.stride", "stage1.stride 1")
    assert refused(first, 0, resolution=60) == ("resolution", "resolution 64")
    assert refused(second, 1, attention=1) == ("stage2.attention", "stage2.attention 0")
    assert refused(second, 2, attention=1) == ("stage4.attention", "stage4.attention 1")
    assert refused(second, 2, attention=0) == ("stage4.attention", "stage4.attention 0")
    assert refused(second, 2, attention_stride=1) == ("stage3.attention_stride", "stage3.attention_stride 2")
    found = refused(second, 3, attention_downsampling=False)
    assert found == ("stage4.attention_downsampling", "stage4.attention_downsampling True")
    assert refused(second, 3, side=7) == ("stage4.side", "stage4.side 2")
    plain = EXPORTER.refuse(subject_of(replace(second, stem=first.stem)))
    assert plain is not None and plain.dimension == "stem.activation"


@pytest.mark.full
@pytest.mark.parametrize("family", ["efficientformer", "efficientformerv2"])
def test_every_published_efficientformer(tmp_path: Path, family: str) -> None:
    specs = [network(name + head) for name in published_networks(family) for head in ("", "@head=distilled")]
    worst = compared(tmp_path, specs, 224)
    print(f"{len(specs)} published {family} at 224: largest relative difference {worst:.2g}")
    assert worst <= MAX_LIBRARY_DIFFERENCE


def test_published_networks_give_five_features() -> None:
    for spec in published_networks().values():
        if refusal(spec) is None:
            assert reductions(spec) == (2, 4, 8, 16, 32)


def test_options_of_timms_users(imported: Imported, timm: ModuleType) -> None:
    spec = NETS["v1"]
    name, model = imported(spec, labels=tuple(f'class {i} """\\' for i in range(10)))
    ours = model.state_dict()
    images = sample_images(3, 64)

    other = timm.create_model(name, pretrained=True, num_classes=5)
    assert other(images).shape == (2, 5)
    assert torch.equal(other.state_dict()["final_conv.conv.weight"], ours["final_conv.conv.weight"])

    grey = timm.create_model(name, pretrained=True, in_chans=1).eval()
    with torch.inference_mode():
        torch.testing.assert_close(
            grey(images[:, :1]), logits_of(model, images[:, :1].expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-4
        )

    bare = timm.create_model(name, pretrained=True, num_classes=0, drop_rate=0.1)
    assert bare(images).shape == (2, bare.num_features)

    fresh = timm.create_model(name)
    assert not torch.equal(fresh.state_dict()["stem.conv.weight"], ours["stem.conv.weight"])
    config = fresh.pretrained_cfg
    assert (config["input_size"], config["mean"], config["std"]) == ((3, 64, 64), (0, 0, 0), (1, 1, 1))
    assert config["label_names"][3] == 'class 3 """\\'
    assert config["crop_pct"] == 0.889
    data = timm.data.resolve_model_data_config(fresh)
    assert (data["input_size"], data["interpolation"]) == ((3, 64, 64), "bilinear")


def test_timm_reads_the_folder_itself(imported: Imported, timm: ModuleType, tmp_path: Path) -> None:
    _, model = imported(NETS["v3 on v2"])
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "timm", moved)
    theirs = timm.create_model(f"local-dir:{moved}", pretrained=True).eval()
    images = sample_images(3, 64)
    assert differences(logits_of(model, images), logits_of(theirs, images))[1] <= MAX_LIBRARY_DIFFERENCE


def test_images_of_another_depth(imported: Imported, timm: ModuleType) -> None:
    name, model = imported(replace(NETS["v2"], in_channels=1))
    images = sample_images(1, 64)
    theirs = timm.create_model(name, pretrained=True).eval()
    assert differences(logits_of(model, images), logits_of(theirs, images))[1] <= MAX_LIBRARY_DIFFERENCE


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    from tests.parity import conftest  # noqa: F401  (torchvision may have been built for another torch)

    return pytest.importorskip("timm")


@pytest.mark.usefixtures("timm")
def test_usage_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    subject, _ = written(tmp_path, NETS["v3 on v1"])
    (code,) = re.findall(r"```python\n(.*?)```", EXPORTER.usage(subject), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    # Python remembers which folder `timm` was from where it was asked first.
    sys.path_importer_cache.pop("timm", None)
    exec(code, {})
    assert capsys.readouterr().out.strip() == str(list(reductions(subject.spec)))


@pytest.mark.parametrize("seed", range(100))
def test_timms_rounding_gives_our_widths(seed: int) -> None:
    """timm rounds widths its own way; every ratio in the file leads to ours."""
    spec = multiples_of_8(random_spec(seed))
    channels = spec.stem.channels
    for stage, blocks in zip(spec.stages, stages(spec), strict=True):
        for block in blocks:
            for _ in range(block.d):
                if block.type == "bottle":
                    # timm.layers.make_divisible is the same rule; timm has no rounding to whole channels before it.
                    assert make_divisible(channels * block.br) == expanded_width(channels, stage.expansion)  # type: ignore[union-attr]
                elif "transformer_dim" in block.block_kwargs:
                    options = block.block_kwargs
                    assert int(options["transformer_dim"] * options["mlp_ratio"]) == stage.ffn_dim  # type: ignore[union-attr]
                channels = block.c


def test_what_timm_cannot_say_is_refused_by_dimension() -> None:
    spec = NETS["v1"]
    odd = replace(spec, stages=(*spec.stages[:2], replace(spec.stages[2], channels=20)))
    found = EXPORTER.refuse(subject_of(odd))
    assert found is not None
    assert (found.dimension, found.hint) == ("stage3.channels", "the nearest network that it has: stage3.channels 24")
    flat = replace(spec, stem=replace(spec.stem, channels=20), stages=(replace(spec.stages[0], expansion=1), *spec.stages[1:]))
    found = EXPORTER.refuse(subject_of(flat))
    assert found is not None and found.dimension == "stem.channels"
    found = EXPORTER.refuse(subject_of(replace(spec, stages=spec.stages[:1])))
    assert found is not None and found.dimension == "stages"
    found = EXPORTER.refuse(subject_of(replace(spec, stem=network("efficientformer_l1").stem)))
    assert found is not None and (found.dimension, "`double_conv`" in found.message) == ("stem.block", True)
    assert all(refusal(replace(spec, activation=activation)) is None for activation in ACTIVATIONS)


def test_the_file_is_the_same_every_time_and_its_names_are_safe() -> None:
    subject = replace(subject_of(NETS["v1"]), name='1 "; import os', title='x"""\nimport os\n\\')
    assert source(subject) == source(subject)
    assert module_name(subject) == "network_1____import_os"
    compile(source(subject), "x", "exec")
    assert "\nimport os" not in source(subject)


def test_blocks_of_our_own_come_only_where_they_are_needed() -> None:
    assert "register_block" not in source(subject_of(network("mobilevit_s")))
    assert "register_block" not in source(subject_of(network("mobilevitv2_1.0")))
    assert source(subject_of(network("mobilevitv3_s"))).count("register_block(") == 1


def test_timms_configuration_beside_it(tmp_path: Path) -> None:
    subject, _ = written(tmp_path, NETS["v1"], labels=tuple("abcdefghij"))
    config = json.loads((tmp_path / "timm" / "config.json").read_text())
    assert config["architecture"] == f"mvsearch_{subject.name}"
    assert config["label_names"] == list("abcdefghij")
    assert config["pretrained_cfg"]["input_size"] == [3, 64, 64]
