"""The packages that an app takes: an image in, the class and its probability out; at three precisions.

Unlike the program that latencies are measured with (`mvsearch.targets.coreml.convert`), these scale the image themselves and
end in a classifier. They share its conversion.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.costs import image_size
from mvsearch.errors import ExportError
from mvsearch.export import runtime
from mvsearch.export.exporter import Subject
from mvsearch.spec.arch import to_json
from mvsearch.targets.host.timing import without_collector

if TYPE_CHECKING:
    from torch import nn

FOLDER = "coreml"
FLOAT16, FLOAT32, INT8 = "model.mlpackage", "model-float32.mlpackage", "model-int8.mlpackage"
MAX_UNQUANTISED = 2048
"""Numbers in a tensor that coremltools leaves as it is."""
PRECISIONS = {
    FLOAT16: "float16",
    FLOAT32: "float32",
    INT8: "float16, weights of 8 bits: linear and symmetric, one scale per channel, in tensors of more than "
    f"{MAX_UNQUANTISED} numbers",
}
LEVELS = 127
"""Of 8 bits, on either side of 0."""
SMALLEST_ROUNDING = 2.0**-25
"""How far float16 is off at most of numbers near 0."""
SMALLEST_QUANTISED = 2 * LEVELS * LEVELS * SMALLEST_ROUNDING
"""A tensor whose largest number is below stays in float16: the size of its steps, a float16 itself, would be so far off that
the largest number were wrong by half a step. Layer scales of 1e-5, taken into a convolution, make such tensors."""
IMAGE, LOGITS, PROBABILITIES, LABEL = "image", "logits", "probabilities", "classLabel"
LABEL_PROBABILITIES = f"{LABEL}_probs"
"""What coremltools calls the probabilities by label, and what apps look for."""
LAYOUTS = {1: "GRAYSCALE", 3: "RGB"}
"""Colour layouts of Core ML's images, by channels."""
PREVIEW = "com.apple.coreml.model.preview.type"
"""Key of what Xcode shows a model's preview as."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The form in which a network is converted.

    Attributes:
        name: `plain`, or `neural-engine`.
        why: it was chosen, for the package's own description.
    """

    name: str
    why: str = ""


def class_labels(subject: Subject) -> list[str]:
    """A name for every class, no two alike: `class_0`, ... where none are known.

    Core ML keeps probabilities by name, and of ImageNet's names two occur twice (`crane`, `maillot`): their numbers are
    put behind those.
    """
    number = subject.spec.num_classes
    if subject.labels is None:
        return [f"class_{i}" for i in range(number)]
    if len(subject.labels) != number:
        raise ExportError(f"{len(subject.labels)} class labels for a network of {number} classes")
    times = Counter(subject.labels)
    return [f"{label} ({i})" if times[label] > 1 else label for i, label in enumerate(subject.labels)]


def write_packages(subject: Subject, model: nn.Module, graph: Graph, folder: Path) -> None:
    """Write all packages.

    Args:
        subject: what the network is.
        model: the network in the form of `graph`.
        graph: that form.
        folder: that they go into.

    Raises:
        ExportError: they cannot be made here.
        ConversionError: the network cannot be converted.
    """
    from mvsearch.targets.coreml.convert import quiet_coremltools, require_coremltools, save_package

    require_coremltools()
    ends_in_probabilities = _with_probabilities(model)
    with quiet_coremltools() as (ct, log), without_collector():
        for name, precision in ((FLOAT32, ct.precision.FLOAT32), (FLOAT16, ct.precision.FLOAT16)):
            package = _convert(ct, log, ends_in_probabilities, subject, precision)
            _describe(package, subject, graph, PRECISIONS[name])
            save_package(package, folder / name)
        package = _quantised(ct, package)
        _describe(package, subject, graph, PRECISIONS[INT8])
        save_package(package, folder / INT8)


def _with_probabilities(model: nn.Module) -> nn.Module:
    from torch import Tensor, nn

    class WithProbabilities(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.network(image)
            return logits, logits.softmax(dim=1)

    return WithProbabilities().train(model.training)


def _convert(ct: Any, log: Any, model: nn.Module, subject: Subject, precision: Any) -> Any:
    import numpy as np

    from mvsearch.targets.coreml.convert import to_program

    spec = subject.spec
    # A cast after the classifier, which is the last operation, is more than coremltools can quantise.
    numbers = np.float16 if precision == ct.precision.FLOAT16 else np.float32
    shape = (1, spec.in_channels, *image_size(subject.resolution))
    layout = getattr(ct.colorlayout, LAYOUTS[spec.in_channels])
    with _logits_beside_the_classes(ct):
        return to_program(
            ct, log, model, shape,
            inputs=[ct.ImageType(name=IMAGE, shape=shape, scale=1 / 255, color_layout=layout)],
            outputs=[ct.TensorType(name=name, dtype=numbers) for name in (LOGITS, PROBABILITIES)],
            classifier_config=ct.ClassifierConfig(class_labels(subject), LABEL, PROBABILITIES),
            compute_precision=precision,
        )  # fmt: skip


@contextmanager
def _logits_beside_the_classes(ct: Any) -> Iterator[None]:
    """Let a classifier have a further output.

    coremltools 9.0 looks every output up among those that were asked for, by place, once the label and its probabilities
    have been put before them, and runs past their end. It then takes arrays for granted, which they are.
    """
    exporter = ct.converters.mil.backend.mil.load.CoreMLProtoExporter
    original = exporter.get_func_output

    def get_func_output(self: Any, function: Any) -> Any:
        function.set_output_types(None)
        return original(self, function)

    exporter.get_func_output = get_func_output
    try:
        yield
    finally:
        exporter.get_func_output = original


def _quantised(ct: Any, package: Any) -> Any:
    """The package with weights of 8 bits, but for those whose steps could not be told."""
    import coremltools.optimize.coreml as optimize

    from mvsearch.targets.coreml.convert import validated_once

    weights = optimize.get_weights_metadata(package, weight_threshold=MAX_UNQUANTISED)
    small = [name for name, found in weights.items() if abs(found.val).max() < SMALLEST_QUANTISED]
    eight_bits = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=MAX_UNQUANTISED)
    config = optimize.OptimizationConfig(global_config=eight_bits, op_name_configs=dict.fromkeys(small))
    with validated_once(ct):
        return optimize.linear_quantize_weights(package, config)


def _describe(package: Any, subject: Subject, graph: Graph, precision: str) -> None:
    from mvsearch.targets.coreml.convert import SCORES, describe

    facts = dict(runtime.facts(subject))
    normalisation = facts.pop("normalisation")
    metadata: Mapping[str, str] = {
        **facts,
        "spec": json.dumps(to_json(subject.spec)),
        "input": f"{facts['input'].partition(',')[0]} image; the program divides its pixels by 255",
        "normalisation": normalisation,
        "precision": precision,
        "graph": graph.name,
        "graph_why": graph.why,
    }
    describe(package, metadata, f"{subject.title}. {facts['weights'].capitalize()}.")
    package.user_defined_metadata[PREVIEW] = "imageClassifier"
    package.input_description[IMAGE] = "image of this size, 0 to 255; divided by 255 by the program, nothing else"
    package.output_description[LOGITS] = SCORES
    package.output_description[LABEL] = "the likeliest class"
    package.output_description[LABEL_PROBABILITIES] = "probability of every class"
