"""Whether packages are the network: what they say, what they compute, and every weight in them.

The float32 package's operations are run (`interpreter`), from the image's pixels on, and its logits held against the
network's. The others must be the same operations with the same numbers, rounded as they say. On a Mac, Core ML's own
prediction is compared as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import ExportError
from mvsearch.export.coreml.interpreter import run
from mvsearch.export.coreml.packages import (
    FLOAT16,
    FLOAT32,
    IMAGE,
    INT8,
    LABEL,
    LABEL_PROBABILITIES,
    LAYOUTS,
    LEVELS,
    LOGITS,
    PRECISIONS,
    SMALLEST_ROUNDING,
    class_labels,
)
from mvsearch.export.coreml.program import Program, plain_name, read_program
from mvsearch.export.exporter import MAX_RUNTIME_DIFFERENCE, Subject
from mvsearch.export.outputs import differences, logits_of, require_same
from mvsearch.targets.coreml.package import OURS, TARGETS

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

MAX_FLOAT16_DIFFERENCE = 0.05
"""Between a Mac's logits in float16 and ours, relative to the largest one: gross errors only, as chips round differently."""
FLOAT16_ROUNDING = 2.0**-11
"""How far float16 is off at most, relative to the number."""
MAX_REACH = 0.01
"""Of a tensor's largest number: how far one of its quantised ones may be off. One step is 0.008."""
Predict = Callable[[Path, "np.ndarray"], "np.ndarray"]
"""(package, pixels (H, W, channels) of 8 bits) -> logits (1, classes) by Core ML."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of the packages in a folder.

    Attributes:
        difference: of the float32 package's logits, relative to the largest one.
        rounding: by package, that of its logits when its rounded weights are computed with in float32.
        on_mac: by package, that of Core ML's own logits; empty where it does not run.
    """

    difference: float
    rounding: Mapping[str, float]
    on_mac: Mapping[str, float]


def verify(subject: Subject, model: nn.Module, folder: Path, predict: Predict | None = None) -> Verified:
    """Check all packages.

    Args:
        subject: what the network is.
        model: the network itself, whatever graph the packages are of.
        folder: of the packages.
        predict: runs a package; Core ML on a Mac, None elsewhere.

    Raises:
        ExportError: one of them differs from the network.
    """
    programs = {name: read_program(folder / name) for name in PRECISIONS}
    for name, program in programs.items():
        _check_description(subject, name, program)
    pixels = _pixels(subject)
    expected = logits_of(model, pixels / 255)
    found = {name: run(program, pixels.numpy()) for name, program in programs.items()}
    difference = require_same(expected, _logits(found[FLOAT32]), MAX_RUNTIME_DIFFERENCE, f"`{FLOAT32}`")
    _check_classes(subject, FLOAT32, found[FLOAT32])
    _check_numbers(programs[FLOAT32], programs[FLOAT16], FLOAT16)
    _check_numbers(programs[FLOAT16], programs[INT8], INT8)
    rounding = {name: _relative(expected, _logits(found[name])) for name in PRECISIONS if name != FLOAT32}
    on_mac = {}
    if predict is not None:
        image = pixels[0].permute(1, 2, 0).byte().numpy()
        for name in PRECISIONS:
            logits = _as_tensor(predict(folder / name, image))
            # An 8-bit package may be as far off as its weights are.
            allowed = MAX_FLOAT16_DIFFERENCE + rounding.get(name, 0.0)
            on_mac[name] = require_same(expected, logits, allowed, f"`{name}`, run by Core ML,")
    return Verified(difference, rounding, on_mac)


def core_ml() -> Predict | None:
    """Core ML's prediction where there is one: on a Mac."""
    return _predict_on_mac if sys.platform == "darwin" else None


def _predict_on_mac(package: Path, pixels: np.ndarray) -> np.ndarray:
    from PIL import Image

    from mvsearch.targets.coreml.convert import quiet_coremltools

    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
    with quiet_coremltools() as (ct, _):
        logits: np.ndarray = ct.models.MLModel(str(package)).predict({IMAGE: image})[LOGITS]
    return logits


def _pixels(subject: Subject) -> Tensor:
    """A random image (1, channels, side, side) of whole numbers from 0 to 255, always the same, its channels unlike."""
    import torch

    generator = torch.Generator().manual_seed(20211005)
    channels, side = subject.spec.in_channels, subject.resolution
    bright = torch.linspace(1.0, 0.4, channels).reshape(1, channels, 1, 1)
    return (torch.rand(1, channels, side, side, generator=generator) * 255 * bright).round()


def _check_description(subject: Subject, name: str, program: Program) -> None:
    description = program.description
    image = description.input[0].type.imageType
    layout = LAYOUTS[subject.spec.in_channels]
    metadata = dict(description.metadata.userDefined)
    facts = {
        "inputs": ([i.name for i in description.input], [IMAGE]),
        "input's size": ((image.height, image.width), (subject.resolution, subject.resolution)),
        "input's colours": (image.ColorSpace.Name(image.colorSpace), layout),
        "outputs": ({o.name for o in description.output}, {LABEL, LABEL_PROBABILITIES, LOGITS}),
        "predicted feature": (description.predictedFeatureName, LABEL),
        "predicted probabilities": (description.predictedProbabilitiesName, LABEL_PROBABILITIES),
        "architecture": (metadata.get(f"{OURS}arch_id"), subject.spec.arch_id),
        "system": (TARGETS.get(program.version), "iOS16"),
    }
    for what, (found, expected) in facts.items():
        if found != expected:
            raise ExportError(f"`{name}`: {what}: `{found}` instead of `{expected}`")


def _check_classes(subject: Subject, name: str, found: Mapping[str, Any]) -> None:
    """The label is that of the largest logit, and the probabilities are the logits' softmax, in the labels' order."""
    logits = _logits(found)
    labels = class_labels(subject)
    if list(found[LABEL_PROBABILITIES]) != labels:
        raise ExportError(f"`{name}` has other class labels than the network")
    if found[LABEL] != labels[int(logits.argmax())]:
        raise ExportError(f"`{name}` gives `{found[LABEL]}` where the largest logit is that of another class")
    import torch

    probabilities = torch.tensor([list(found[LABEL_PROBABILITIES].values())])
    require_same(logits.softmax(1), probabilities, MAX_RUNTIME_DIFFERENCE, f"`{name}` (probabilities)")


def _check_numbers(exact: Program, rounded: Program, name: str) -> None:
    """The same operations in the same order, and every number the other's, rounded to float16 or to 8 bits."""
    import numpy as np

    ours, theirs = list(_numbers(rounded)), list(_numbers(exact))
    if [kind for kind, _ in ours] != [kind for kind, _ in theirs]:
        raise ExportError(f"`{name}` has other operations than the package that it is a rounding of")
    for (kind, mine), (_, reference) in zip(ours, theirs, strict=True):
        if mine.keys() != reference.keys():
            raise ExportError(f"an operation `{kind}` of `{name}` has other constants than it should")
        for argument, (constant, value) in mine.items():
            other = np.asarray(reference[argument][1], np.float32)
            found = np.asarray(value, np.float32)
            step = rounded.steps.get(plain_name(constant))
            if found.shape != other.shape:
                raise ExportError(f"`{argument}` of an operation `{kind}` of `{name}` has shape `{found.shape}`")
            if step is None:
                same = np.array_equal(found.astype(np.float16), other.astype(np.float16))
            else:
                reach = _reach(step)
                if reach.max() > MAX_REACH * np.abs(other).max():
                    raise ExportError(
                        f"`{name}`: 8 bits are too few for `{argument}` of an operation `{kind}`, whose steps are too small"
                    )
                same = bool((np.abs(found - other) <= reach).all())
            if not same:
                raise ExportError(f"`{name}` holds other numbers than the network: `{argument}` of an operation `{kind}`")


def _reach(step: np.ndarray) -> np.ndarray:
    """How far a quantised weight may be off: half a step, and what rounding the step itself to float16 comes to."""
    import numpy as np

    reach: np.ndarray = 0.5 * step + LEVELS * np.maximum(step * FLOAT16_ROUNDING, SMALLEST_ROUNDING)
    return reach


def _numbers(program: Program) -> Iterator[tuple[str, dict[str, tuple[str, Any]]]]:
    """(kind, {argument: (name, float or array of floats)}) of every operation but for casts."""
    import numpy as np

    for op in program.operations:
        if op.kind == "cast":
            continue
        named = {
            (argument, i): (name, program.constants[name])
            for argument, names in op.names.items()
            for i, name in enumerate(names)
            if name in program.constants
        }
        inline = {(argument, 0): ("", value) for argument, value in op.constants.items()}
        yield (
            op.kind,
            {
                argument if not i else f"{argument}[{i}]": constant
                for (argument, i), constant in {**named, **inline}.items()
                if isinstance(constant[1], float) or (isinstance(constant[1], np.ndarray) and constant[1].dtype.kind == "f")
            },
        )


def _relative(expected: Tensor, found: Tensor) -> float:
    return differences(expected, found)[1]


def _logits(found: Mapping[str, Any]) -> Tensor:
    return _as_tensor(found[LOGITS])


def _as_tensor(array: Any) -> Tensor:
    import torch

    return torch.as_tensor(array, dtype=torch.float32)
