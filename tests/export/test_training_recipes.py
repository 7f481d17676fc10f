"""Recipes are data with sources; what is written of them timm's own factories take, and a network trains by it."""

from __future__ import annotations

import argparse
import importlib
import re
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from mvsearch.errors import ExportError
from mvsearch.export.exporter import Subject
from mvsearch.export.training import EXPORTER
from mvsearch.export.training.recipes import FAMILIES, Recipe, Setting, _data, family_of, interpolated, recipe_of
from mvsearch.export.training.sizes import updates_per_epoch, variable_batches
from mvsearch.export.training.timm_config import arguments, devices, require_arguments, timm_tree
from mvsearch.models import build
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import all_published, mobilevit, mobilevitv2, mobilevitv3, network
from tests.export.nets import NETS

OF_FAMILY = {"v1": "mobilevit_xs", "v2": "mobilevitv2_1.0", "v3-v1": "mobilevitv3_s", "v3-v2": "mobilevitv3_0.5"}


def subject(spec: ArchSpec, resolution: int = 256) -> Subject:
    return Subject(spec, resolution, "net", "Net", seed=0)


def of_family(family: str) -> Recipe:
    if family in OF_FAMILY:
        return recipe_of(network(OF_FAMILY[family]))
    data = _data()[family]
    return Recipe(family, data["title"], "", {name: Setting(*pair) for name, pair in data["settings"].items()})


def arguments_of(family: str, resolution: int = 256) -> dict[str, Any]:
    from mvsearch.export.training.annotated import plain

    return plain(timm_tree(subject(network(OF_FAMILY.get(family, "mobilevit_xxs")), resolution), of_family(family)))


# Epochs, weight decay, also of norms and biases, largest, smallest and first learning rate, warm-up, batch, smoothing, EMA.
_TABLE = {
    "v1": (300, 0.01, True, 2e-3, 2e-4, 2e-4, 20000, 1024, 0.1, 5e-4),
    "v2": (300, 0.013, False, 7.5e-3, 7.5e-4, 1e-6, 20000, 1024, 0.1, 5e-4),
    "v3-v1": (300, 0.01, True, 2e-3, 2e-4, 2e-4, 3000, 384, 0.1, 5e-4),
    "v3-v2": (300, 0.05, False, 2e-3, 2e-4, 1e-6, 20000, 1020, 0.1, 5e-4),
    "efficientformer": (300, 0.025, False, 1e-3, 1e-5, 1e-5, 5, 1024, 0.1, 4e-5),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_recipes_say_what_the_papers_and_the_official_configurations_say(family: str) -> None:
    r = of_family(family)
    warmup = r.get("warmup_iterations", r.get("warmup_epochs"))
    assert (
        r["epochs"], r["weight_decay"], r["decay_norms_and_biases"], r["max_lr"], r["min_lr"], r["warmup_lr"], warmup,
        r["batch"], r["label_smoothing"], r["ema_momentum"],
    ) == _TABLE[family]  # fmt: skip
    assert all(s.source for s in r.settings.values())
    assert r["optimizer"] == "adamw"
    assert {"v1": "variable", "v3-v1": "variable"}.get(family, "fixed") == r["sampler"]


def test_every_published_network_has_its_familys_recipe() -> None:
    for name, spec in all_published().items():
        family, reason = family_of(spec)
        expected = {"mobilevit": "v1", "mobilevitv2": "v2"}.get(name.split("_")[0])
        if name.startswith("mobilevitv3"):
            expected = "v3-v1" if re.search("xxs|xs|_s", name) else "v3-v2"
        assert family == (expected or "efficientformer"), name
        assert reason
    assert recipe_of(network("mobilevit_xxs"))["transformer_dropout"] == 0.05
    assert recipe_of(network("mobilevitv3_xxs_l2"))["batch_per_device"] == 64
    assert recipe_of(network("mobilevit_xs"))["transformer_dropout"] == 0.1


def test_a_mixed_network_is_trained_like_most_of_its_layers_and_of_as_many_like_the_later() -> None:
    v1, v2, v3 = mobilevit("xxs"), mobilevitv2(0.5), mobilevitv3("xxs")
    assert family_of(replace(v1, stages=(*v1.stages[:4], v2.stages[4])))[0] == "v1"
    assert family_of(replace(v1, stages=(*v1.stages[:3], v3.stages[3], v2.stages[4])))[0] == "v3-v1"
    equal = replace(v1, stages=(*v1.stages[:2], replace(v1.stages[2], depth=3), replace(v2.stages[3], depth=3)))
    assert family_of(equal)[0] == "v2" and "3 v1, 3 v2" in family_of(equal)[1]
    partly = replace(v1, stages=tuple(replace(s, residual=True) if hasattr(s, "residual") else s for s in v1.stages))
    assert family_of(partly)[0] == "v3-v1"
    assert family_of(replace(v1, stages=v1.stages[:2]))[0] == "v1"


def test_what_is_interpolated_says_so() -> None:
    assert recipe_of(mobilevitv2(1.5))["weight_decay"] == 0.029
    between = recipe_of(mobilevitv2(1.1))
    assert 0.013 < between["weight_decay"] < 0.020 and "interpolated at width 1.1" in between.source("weight_decay")
    assert between["min_lr"] == pytest.approx(between["max_lr"] / 10)
    below = recipe_of(mobilevitv2(0.5))
    assert below["max_lr"] == 0.009 and "not published for this network" in below.source("max_lr")
    assert interpolated({1.0: 2.0, 2.0: 4.0}, 1.25) == (
        2.5,
        "interpolated at width 1.25 between 1 and 2: not published for this network",
    )


def test_sizes_are_those_of_cvnets_sampler() -> None:
    assert variable_batches(256, 128) == {160: 327, 192: 227, 256: 128, 288: 101, 320: 81}
    assert variable_batches(256, 32) == {160: 81, 192: 56, 256: 32, 288: 25, 320: 20}
    assert variable_batches(256, 64) == {160: 163, 192: 113, 256: 64, 288: 50, 320: 40}
    assert updates_per_epoch(of_family("v2"), 256) == pytest.approx(1251.1, abs=0.1)
    assert updates_per_epoch(of_family("v1"), 256) == pytest.approx(926.8, abs=0.1)
    assert [devices(of_family(f)) for f in FAMILIES] == [8, 8, 12, 12, 8]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_argument_is_one_of_timms_script(family: str) -> None:
    found = arguments_of(family)
    require_arguments(found)
    assert set(found) <= set(arguments()["arguments"])
    assert found["model_ema_decay"] == {"efficientformer": 0.99996}.get(family, 0.9995)
    for fault, said in (
        ({"weight_decays": 0.1}, "no argument `weight_decays`"),
        ({"lr": "0.1"}, "takes float"),
        ({"epochs": 1.5}, "takes int"),
    ):
        with pytest.raises(ExportError, match=said):
            require_arguments(found | fault)


@pytest.fixture(scope="module")
def timm() -> Any:
    """timm, with a torchvision that may have been built for another torch (see `tests.parity.conftest`)."""
    importlib.import_module("tests.parity.conftest")
    import timm.data
    import timm.optim
    import timm.scheduler
    import timm.utils

    return timm


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_takes_one_step_as_timms_script_does_it(family: str, timm: Any) -> None:
    """The script's own calls with the arguments that are written, on generated images."""
    args = argparse.Namespace(**arguments_of(family, 64), momentum=0.9, layer_decay=None)
    torch.manual_seed(0)
    model = build(NETS["v2"]).train()
    optimizer = timm.optim.create_optimizer_v2(
        model, **timm.optim.optimizer_kwargs(cfg=args), **getattr(args, "opt_kwargs", {})
    )
    decays = sorted({group["weight_decay"] for group in optimizer.param_groups})
    decayed_all = not getattr(args, "opt_kwargs", {}).get("filter_bias_and_bn", True)
    assert decays == ([args.weight_decay] if decayed_all else [0.0, args.weight_decay])
    assert type(optimizer).__name__ == "AdamW" and optimizer.param_groups[0]["betas"] == (0.9, 0.999)

    updates = 10
    schedule, epochs = timm.scheduler.create_scheduler_v2(
        optimizer, **timm.scheduler.scheduler_kwargs(args), updates_per_epoch=updates
    )
    assert epochs == 300 and optimizer.param_groups[0]["lr"] == pytest.approx(args.warmup_lr)
    schedule.step_update(args.warmup_epochs * updates)
    assert 0.98 * args.lr < optimizer.param_groups[0]["lr"] <= args.lr
    schedule.step_update(300 * updates)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(args.min_lr)

    from PIL import Image

    transform = timm.data.create_transform(
        tuple(args.input_size), is_training=True, color_jitter=args.color_jitter, auto_augment=getattr(args, "aa", None),
        interpolation=args.train_interpolation, mean=args.mean, std=args.std,
        re_prob=getattr(args, "reprob", 0.0), re_mode=getattr(args, "remode", "pixel"),
    )  # fmt: skip
    pixels = np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)
    images = torch.stack([transform(Image.fromarray(pixels)) for _ in range(4)])
    assert images.shape == (4, 3, 64, 64) and images.min() >= 0 and images.max() <= 1
    targets = torch.tensor([0, 1, 2, 3])
    if hasattr(args, "mixup"):
        mix = timm.data.Mixup(args.mixup, args.cutmix, label_smoothing=args.smoothing, num_classes=10)
        images, targets = mix(images, targets)
    average = timm.utils.ModelEmaV3(model, decay=args.model_ema_decay)
    before = model.head.fc.weight.detach().clone()
    optimizer.param_groups[0]["lr"] = args.lr
    loss = torch.nn.functional.cross_entropy(
        model(images), targets, label_smoothing=0.0 if hasattr(args, "mixup") else args.smoothing
    )
    loss.backward()
    if hasattr(args, "clip_grad"):
        timm.utils.dispatch_clip_grad(model.parameters(), args.clip_grad, mode=args.clip_mode)
    optimizer.step()
    average.update(model)
    assert torch.isfinite(loss) and not torch.equal(before, model.head.fc.weight)
    moved, followed = model.head.fc.weight - before, average.module.head.fc.weight - before
    assert torch.allclose(followed, (1 - args.model_ema_decay) * moved, rtol=0.05, atol=1e-8)


def test_timm_loads_batches_of_the_written_sizes(timm: Any) -> None:
    """The variable-batch sampler, as far as timm has it: its loader gives every size with its batch."""
    sizes = {24: 9, 32: 5, 48: 2}

    class Images(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 60

        def __getitem__(self, index: int) -> Any:
            from PIL import Image

            return Image.new("RGB", (64, 64)), 0

    loader = timm.data.create_loader(
        Images(), input_size=(3, 32, 32), batch_size=5, is_training=True, use_prefetcher=False, num_workers=0, no_aug=True,
        input_size_choices=list(sizes), batch_size_choices=list(sizes.values()), persistent_workers=False,
    )  # fmt: skip
    seen = {tuple(images.shape) for images, _ in loader}
    assert seen == {(batch, 3, side, side) for side, batch in sizes.items()}


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_1.1", "mobilevitv3_s", "mixed, patches resized"])
def test_what_is_written(name: str, tmp_path: Path) -> None:
    spec = NETS.get(name) or network(name)
    info = EXPORTER.write(subject(spec, 64), SimpleNamespace(), tmp_path)  # type: ignore[arg-type]
    folder = tmp_path / "training"
    check = EXPORTER.check(subject(spec, 64), SimpleNamespace(), tmp_path)  # type: ignore[arg-type]
    assert check.difference is None and "train.py" in check.notes[0]
    assert {p.name for p in folder.iterdir()} == set(info["files"])
    text = (folder / "README.md").read_text()
    assert ("cvnets.yaml" in info["files"]) == ("Not possible" not in text.partition("## With CVNets")[2])
    if "timm.yaml" in info["files"]:
        lines = (folder / "timm.yaml").read_text().splitlines()
        assert yaml.safe_load("\n".join(lines))["input_size"] == [3, 64, 64]
        assert any(line.startswith("lr: ") and "#" in line for line in lines), "a value has its source beside it"
        assert not stat.S_IMODE((folder / "timm.sh").stat().st_mode) & 0o6000
        subprocess.run(["sh", "-n", str(folder / "timm.sh")], check=True)
        done = subprocess.run(["sh", str(folder / "timm.sh")], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
        assert done.returncode != 0 and "train.py" in done.stderr
    for word in ("/work", "/opt", "TODO"):
        assert word not in "".join(p.read_text() for p in folder.iterdir())


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("timm.yaml", "weight_decay:", "weight_decays:", "no argument `weight_decays`"),
        ("timm.yaml", "lr: 0.009", "lr: 0.09", "is not what the recipe gives"),
        ("cvnets.yaml", "max_lr: 0.009", "max_lr: 0.9", "`training/cvnets.yaml` is not what the recipe gives"),
    ],
)
def test_a_planted_fault_is_found(file: str, old: str, new: str, said: str, tmp_path: Path) -> None:
    spec = mobilevitv2(0.5)
    EXPORTER.write(subject(spec), SimpleNamespace(), tmp_path)  # type: ignore[arg-type]
    path = tmp_path / "training" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ExportError, match=said):
        EXPORTER.check(subject(spec), SimpleNamespace(), tmp_path)  # type: ignore[arg-type]


def test_usage_runs_in_the_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    spec = mobilevitv2(0.5)
    EXPORTER.write(subject(spec), SimpleNamespace(), tmp_path)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```python\n(.*)\n```", EXPORTER.usage(subject(spec)), re.DOTALL)
    assert block
    exec(block[1], {})
    assert capsys.readouterr().out.strip() == "mvsearch_net 0.009"
