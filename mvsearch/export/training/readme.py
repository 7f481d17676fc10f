"""`training/README.md`: how to train the network, every value with its source, and what a library cannot do of it."""

from __future__ import annotations

from typing import Any

from mvsearch.export.exporter import Refusal, Subject
from mvsearch.export.training.recipes import IMAGENET_IMAGES, SOURCES, Recipe
from mvsearch.export.training.sizes import warmup_epochs
from mvsearch.export.training.timm_config import arguments, devices


def readme(subject: Subject, recipe: Recipe, timm: Refusal | None, cvnets: Refusal | None) -> str:
    """The text.

    Args:
        subject: what is to be trained.
        recipe: how.
        timm: why timm cannot express the network; None if it can.
        cvnets: why CVNets cannot; None if it can.
    """
    parts = [
        f"# Training {subject.title}",
        f"By the recipe of {recipe.title} on ImageNet-1k: {recipe.reason}. Nothing here was run for this network: "
        "a recipe says how networks of its family were trained, not what this one will reach.",
        _timm(subject, recipe, timm),
        _cvnets(cvnets),
        _table(recipe),
        f"Sources. {SOURCES}",
    ]
    return "\n\n".join(parts) + "\n"


def _timm(subject: Subject, recipe: Recipe, refused: Refusal | None) -> str:
    if refused is not None:
        return f"## With timm\n\nNot possible: {refused.message}."
    script = arguments()
    number = devices(recipe)
    lines = [
        "## With timm",
        "",
        f"`train.py` comes with timm's repository, not with its package ({script['script']}, {script['version']}):",
        "",
        "```sh",
        f"TIMM_TRAIN=/path/of/train.py DEVICES={number} sh timm.sh --data-dir /path/of/imagenet",
        "```",
        "",
        f"`timm.yaml` is for {number} devices with {recipe['batch_per_device']} images each, {recipe['batch']} together. "
        "With fewer, `--grad-accum-steps` keeps the product.",
        "`timm.sh` needs the folder `timm` of this entry, which registers the network."
        + (" It begins with the entry's initial weights." if subject.weights == "initial" else ""),
        "",
        "What differs from the recipe:",
        "",
        *(f"- {line}" for line in _gaps(subject, recipe)),
    ]
    return "\n".join(lines)


def _gaps(subject: Subject, recipe: Recipe) -> list[str]:
    lines = []
    if recipe["transformer_dropout"]:
        lines.append(f"Dropout {recipe['transformer_dropout']:g} within the transformer: timm's script has no argument for it.")
    if "warmup_iterations" in recipe.settings:
        epochs = warmup_epochs(recipe, subject.resolution)
        lines.append(
            f"Warm-up: the recipe counts {recipe['warmup_iterations']:,} updates, timm whole epochs: {epochs:.2f} are "
            f"{round(epochs)} of {IMAGENET_IMAGES:,} images."
        )
        lines.append("The learning rate falls with every update; CVNets lets it fall with every epoch.")
    if recipe["sampler"] == "variable":
        lines.append(
            "Sizes of images: timm's scheduled batches take the same sides and batches as CVNets' variable-batch sampler. "
            "Its script knows them since timm 1.0.29; an older one ignores `train_img_sizes`, and trains at one size."
        )
    momentum = recipe["ema_momentum"]
    lines.append(f"Moving average: a momentum of {momentum:g} a step is a decay of {1 - momentum:g} in timm.")
    if "rand_augment" in recipe.settings and recipe.family != "efficientformer":
        lines.append(
            "RandAugment: timm's operations are not quite torchvision's, which CVNets uses; strength and number are the same."
        )
    if "mixup" in recipe.settings:
        lines.append("Mixup or CutMix: timm draws one of the two for every batch.")
    if "distillation" in recipe.settings:
        lines.append(
            "Images are in [0, 1], as everywhere here: EfficientFormer's script normalises them by ImageNet's mean and "
            "deviation, and erases with noise, where zeros are put in here."
        )
        lines.append(f"Distillation ({recipe['distillation']}) is left out: without it these networks reach less.")
    return lines


def _cvnets(refused: Refusal | None) -> str:
    if refused is not None:
        return (
            f"## With CVNets\n\nNot possible: {refused.message}.\n\n{refused.hint[:1].upper()}{refused.hint[1:]}".rstrip() + "."
        )
    return (
        "## With CVNets\n\n`cvnets-train --common.config-file cvnets.yaml`, once `root_train` and `root_val` in it are set. "
        "Its head says which commit it needs."
    )


def _table(recipe: Recipe) -> str:
    rows = [f"| {name.replace('_', ' ')} | {_shown(s.value)} | {s.source} |" for name, s in recipe.settings.items()]
    return "\n".join(["## The recipe", "", "| setting | value | source |", "|---|---|---|", *rows])


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        ", ".join(map(_shown, value)) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
    )
