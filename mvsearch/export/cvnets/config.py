"""The whole classification configuration of CVNets for one network: how to build it, and its family's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mvsearch.errors import ExportError
from mvsearch.export.cvnets.variants import MODES_V3, Base, Variant
from mvsearch.export.training.annotated import plain, render
from mvsearch.export.training.recipes import EVALUATION_CROP, SOURCES, Recipe, Setting
from mvsearch.export.training.sizes import SCALES, SIZE_STEP, size_range
from mvsearch.spec.arch import ArchSpec

Tree = dict[str, Any]


def config_text(variant: Variant, recipe: Recipe, resolution: int, num_classes: int, title: str) -> str:
    """`model.yaml`, for `--common.config-file`, with the source of every value beside it."""
    needs = f"\nIt needs {variant.overlay}." if variant.overlay else f"\nFor apple/ml-cvnets {variant.base}."
    head = f"{title} for CVNets: the network, and the recipe of {recipe.title}.{needs}\nSet `root_train` and `root_val`."
    head += f"\n{SOURCES}"
    return render(config_tree(variant, recipe, resolution, num_classes), head)


def config_tree(variant: Variant, recipe: Recipe, resolution: int, num_classes: int) -> Tree:
    """The configuration, with settings as leaves."""
    s = recipe.settings
    return {
        "common": _without_none(
            {
                "run_label": "train",
                "log_freq": 500,
                "auto_resume": True,
                "mixed_precision": s["mixed_precision"],
                "channels_last": s.get("channels_last"),
                "grad_clip": s.get("grad_clip"),
            }
        ),
        "dataset": {
            "root_train": "imagenet/train",
            "root_val": "imagenet/validation",
            "name": "imagenet",
            "category": "classification",
            "train_batch_size0": s["batch_per_device"],
            "val_batch_size0": 100,
            "eval_batch_size0": 100,
            "workers": 8,
            "pin_memory": True,
        },
        "image_augmentation": _augmentation(recipe, resolution, variant.base),
        "sampler": _sampler(recipe, resolution),
        "loss": _loss(variant.base, s["label_smoothing"]),
        "optim": {
            "name": s["optimizer"],
            "weight_decay": s["weight_decay"],
            "no_decay_bn_filter_bias": Setting(not recipe["decay_norms_and_biases"], recipe.source("decay_norms_and_biases")),
            "adamw": {"beta1": recipe["betas"][0], "beta2": recipe["betas"][1]},
        },
        "scheduler": {
            "name": "cosine",
            "is_iteration_based": False,
            "max_epochs": s["epochs"],
            "warmup_iterations": s["warmup_iterations"],
            "warmup_init_lr": s["warmup_lr"],
            "cosine": {"max_lr": s["max_lr"], "min_lr": s["min_lr"]},
        },
        "model": _model(variant, recipe, num_classes),
        "ema": {"enable": True, "momentum": s["ema_momentum"]},
        "stats": _stats(variant.base),
    }


def parse_config(data: Any) -> ArchSpec:
    """The network that CVNets builds from a configuration, by the rules of `mvsearch.export.cvnets.variants`.

    Raises:
        ExportError: an option that makes the network is missing, or is none that CVNets has.
    """
    try:
        classification = data["model"]["classification"]
        name, activation = classification["name"], classification["activation"]["name"]
        if activation != data["model"]["activation"]["name"]:
            raise ExportError("the configuration has two activations")
        num_classes = classification["n_classes"]
        section = next(key for key in ("mit", "mitv2", "mitv3") if key in classification)
        options = classification[section]
        mode = options["mode"] if section == "mit" else None
        heads = options["number_heads"] if section == "mit" else None
        width = None if section == "mit" else options["width_multiplier"]
    except (KeyError, TypeError, StopIteration) as error:
        raise ExportError(f"the configuration lacks what makes the network: {error}") from None
    base = {"mit": "d38a116" if mode in MODES_V3 else "7771756", "mitv3": "84d992f"}.get(section, "7771756")
    return Variant(name, section, mode, width, heads, activation, cast(Base, base)).spec(num_classes)


def plain_config(variant: Variant, recipe: Recipe, resolution: int, num_classes: int) -> Tree:
    """What a YAML parser makes of `config_text`."""
    return plain(config_tree(variant, recipe, resolution, num_classes))


def _augmentation(recipe: Recipe, resolution: int, base: Base) -> Tree:
    interpolation = recipe.settings["interpolation"]
    tree: Tree = {
        "random_resized_crop": {"enable": True, "interpolation": interpolation},
        "random_horizontal_flip": {"enable": True},
    }
    if "rand_augment" in recipe.settings:
        # CVNets' defaults are the recipe: 2 operations of strength 9 in 30.
        tree["rand_augment"] = {"enable": True}
    for ours, theirs, key in (
        ("random_erase", "random_erase", "p"),
        ("mixup", "mixup", "alpha"),
        ("cutmix", "cutmix", "alpha"),
    ):
        if ours in recipe.settings:
            tree[theirs] = {"enable": True, key: recipe.settings[ours]}
    if base == "d38a116":
        # It evaluates on a crop from an image 32 pixels larger, and has no options for that.
        return tree
    tree["resize"] = {"enable": True, "size": round(resolution / EVALUATION_CROP), "interpolation": interpolation}
    tree["center_crop"] = {"enable": True, "size": resolution}
    return tree


def _sampler(recipe: Recipe, resolution: int) -> Tree:
    source = recipe.source("sampler")
    if recipe["sampler"] == "fixed":
        return {"name": Setting("batch_sampler", source), "bs": {"crop_size_width": resolution, "crop_size_height": resolution}}
    low, high = size_range(resolution)
    axes = {
        f"{what}crop_size_{axis}": n
        for what, n in (("", resolution), ("min_", low), ("max_", high))
        for axis in ("width", "height")
    }
    return {
        "name": Setting("variable_batch_sampler", source),
        "vbs": {**axes, "max_n_scales": SCALES, "check_scale": SIZE_STEP},
    }


def _loss(base: Base, smoothing: Setting) -> Tree:
    # Each commit has its own place for one and the same number.
    classification: dict[Base, Tree] = {
        "7771756": {"name": "cross_entropy", "cross_entropy": {"label_smoothing": smoothing}},
        "84d992f": {"name": "cross_entropy", "label_smoothing": smoothing},
        "d38a116": {"name": "label_smoothing", "label_smoothing_factor": smoothing},
    }
    return {"category": "classification", "classification": classification[base]}


def _model(variant: Variant, recipe: Recipe, num_classes: int) -> Tree:
    if variant.section == "mit":
        own: Tree = {
            **variant.options,
            "ffn_dropout": 0.0,
            "attn_dropout": 0.0,
            "dropout": recipe.settings["transformer_dropout"],
            "no_fuse_local_global_features": False,
            "conv_kernel_size": 3,
        }
    else:
        own = {**variant.options, "attn_norm_layer": "layer_norm_2d"}
    classification: Tree = {"name": variant.name, "n_classes": num_classes}
    if variant.section == "mit":
        classification["classifier_dropout"] = recipe.settings["dropout"]
    return {
        "classification": {**classification, variant.section: own, "activation": {"name": variant.activation}},
        "normalization": {"name": "batch_norm_2d" if variant.base == "d38a116" else "batch_norm", "momentum": 0.1},
        "activation": {"name": variant.activation},
        "layer": {
            "global_pool": "mean",
            "conv_init": "kaiming_normal",
            "linear_init": "trunc_normal",
            "linear_init_std_dev": 0.02,
        },
    }


def _stats(base: Base) -> Tree:
    shown: Mapping[str, list[str]] = {"val": ["loss", "top1", "top5"], "train": ["loss"]}
    if base == "d38a116":
        shown = {"name": ["loss", "top1", "top5"]}
    return {**shown, "checkpoint_metric": "top1", "checkpoint_metric_max": True}


def _without_none(tree: Tree) -> Tree:
    return {key: value for key, value in tree.items() if value is not None}
