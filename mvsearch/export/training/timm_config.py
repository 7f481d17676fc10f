"""Arguments of timm's train script for one network: its family's recipe in that script's terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mvsearch.costs import image_size
from mvsearch.errors import ExportError
from mvsearch.export.exporter import Subject
from mvsearch.export.timm.source import model_name, module_name
from mvsearch.export.training.recipes import EVALUATION_CROP, Recipe, Setting
from mvsearch.export.training.sizes import variable_batches, warmup_epochs

ARGUMENTS = Path(__file__).with_name("timm_arguments.json")
_SAMPLER = "as many pixels in every batch, by arXiv 2110.02178, section 3.2"


def timm_tree(subject: Subject, recipe: Recipe) -> dict[str, Any]:
    """`timm.yaml`, for `--config`, with settings as leaves."""
    s, (height, width) = recipe.settings, image_size(subject.resolution)
    warmup = warmup_epochs(recipe, height)
    tree: dict[str, Any] = {
        "model": model_name(subject),
        "device_modules": [module_name(subject)],  # The script imports these before it makes the model.
        "pretrained": subject.weights == "initial",
        "num_classes": subject.spec.num_classes,
        "data_dir": "imagenet",
        "input_size": [subject.spec.in_channels, height, width],
        "mean": [0.0] * subject.spec.in_channels,
        "std": [1.0] * subject.spec.in_channels,
        "crop_pct": round(EVALUATION_CROP, 3),
        "interpolation": s["interpolation"],
        "train_interpolation": s["interpolation"],
        "batch_size": s["batch_per_device"],
        "opt": s["optimizer"],
        "opt_betas": s["betas"],
        "weight_decay": s["weight_decay"],
        "lr": s["max_lr"],
        "sched": "cosine",
        "sched_on_updates": True,
        "epochs": s["epochs"],
        "min_lr": s["min_lr"],
        "warmup_lr": s["warmup_lr"],
        "warmup_epochs": Setting(round(warmup), _warmup_source(recipe, warmup)),
        "smoothing": s["label_smoothing"],
        "color_jitter": 0.0,
        "model_ema": True,
        "model_ema_decay": Setting(
            _decay(recipe["ema_momentum"]), f"1 - {recipe['ema_momentum']:g}; {recipe.source('ema_momentum')}"
        ),
        "drop": s["dropout"],
        "amp": s["mixed_precision"],
        "workers": 8,
        "pin_mem": True,
        "experiment": subject.name,
    }
    if recipe["decay_norms_and_biases"]:
        tree["opt_kwargs"] = {"filter_bias_and_bn": Setting(False, recipe.source("decay_norms_and_biases"))}
    if recipe["sampler"] == "variable":
        batches = variable_batches(height, recipe["batch_per_device"])
        tree["train_img_sizes"] = Setting(list(batches), recipe.source("sampler"))
        tree["train_batch_sizes"] = Setting(list(batches.values()), _SAMPLER)
    renamed = {
        "eps": "opt_eps",
        "channels_last": "channels_last",
        "rand_augment": "aa",
        "random_erase": "reprob",
        "mixup": "mixup",
        "cutmix": "cutmix",
        "repeated_augment": "aug_repeats",
    }
    tree |= {theirs: s[ours] for ours, theirs in renamed.items() if ours in s}
    if "random_erase" in s:
        # CVNets erases with zeros; noise of deviation 1 fits images that are normalised, which these are not.
        tree["remode"] = "const"
    for ours, mode in (("grad_clip", "norm"), ("adaptive_grad_clip", "agc")):
        if ours in s:
            tree |= {"clip_grad": s[ours], "clip_mode": mode}
    return tree


def devices(recipe: Recipe) -> int:
    """How many devices have the recipe's batch together."""
    return int(recipe["batch"]) // int(recipe["batch_per_device"])


def require_arguments(found: Mapping[str, Any]) -> None:
    """See that every key is an argument of the script, with a value of its type: it takes any key, and says nothing.

    Raises:
        ExportError: the first that is not.
    """
    known = arguments()["arguments"]
    types: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,), "bool": (bool,), "dict": (dict,)}
    for name, value in found.items():
        if name not in known:
            raise ExportError(f"timm's train script has no argument `{name}`, and would ignore it")
        kind = known[name]
        values = value if kind.endswith("s") and isinstance(value, list) else [value]
        if any(type(v) not in types[kind.removesuffix("s")] for v in values):
            raise ExportError(f"`{name}` of timm's train script is `{value}`, where it takes {kind}")


@lru_cache(maxsize=1)
def arguments() -> dict[str, Any]:
    """Arguments of timm's train script that are used here, their types (an `s` for several), and of which version."""
    data: dict[str, Any] = json.loads(ARGUMENTS.read_text(encoding="utf-8"))
    return data


def _decay(momentum: float) -> float:
    return round(1 - momentum, 8)


def _warmup_source(recipe: Recipe, epochs: float) -> str:
    if "warmup_epochs" in recipe.settings:
        return recipe.source("warmup_epochs")
    source = recipe.source("warmup_iterations")
    return f"{recipe['warmup_iterations']} updates are {epochs:.2f} epochs of ImageNet-1k here; whole ones in timm; {source}"
