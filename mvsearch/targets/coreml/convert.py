"""Torch network -> Core ML program (`.mlpackage`). The one place that imports coremltools.

The convention, which the latency predictor's programs share: TorchScript trace of the network in
eval mode, ML program, float16 weights and activations, input `image` and output `logits` as
float16 arrays, deployment target iOS 16. Conversion works on any system; running the program
needs macOS or iOS.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module, util
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.costs import Resolution, image_size
from mvsearch.errors import ConversionError, ExportError, InputError
from mvsearch.files import share
from mvsearch.spec.arch import ArchSpec, to_json
from mvsearch.targets.coreml.package import OURS, TARGETS

if TYPE_CHECKING:
    from torch import nn

DEPLOYMENT_TARGET = "iOS16"
PRECISION = "float16"
INPUT_NAME, OUTPUT_NAME = "image", "logits"
SCORES = "one score per class, before softmax"
LAST_COREMLTOOLS_BROKEN_BY_NUMPY = (9, 0)
"""Up to this release a trace fails with numpy 2.4 and later: `int()` of a 1-element array became an error."""
FIRST_BROKEN_NUMPY = (2, 4)

# MIL.proto's DataType numbers, with the bytes of one element.
_FLOATS = {10: ("float16", 2), 11: ("float32", 4), 12: ("float64", 8)}
_PROGRESS_BARS = (
    ("coremltools.converters.mil.frontend.torch.ops", "_tqdm"),
    ("coremltools.converters.mil.mil.passes.pass_pipeline", "tqdm"),
    ("coremltools.optimize.coreml._post_training_quantization", "tqdm"),
    ("coremltools.optimize.coreml._quantization_passes", "tqdm"),
)
_ONE_AT_A_TIME = threading.Lock()
# "ERROR - converting 'OP' op (located at: 'SCOPE'):" is what coremltools logs before it raises.
_FAILED_OP = re.compile(r"converting '([^']+)' op \(located at: '([^']*)'\)")


@dataclass(frozen=True, slots=True)
class ConvertedProgram:
    """What a Core ML package holds.

    Attributes:
        ops: MIL operations by kind, e.g. `{"conv": 43, "linear": 36}`; constants are left out.
        weight_bytes: bytes of its floating-point weights.
        package_bytes: bytes of the whole package on disk.
        input_shape: of the image, (1, channels, height, width).
        output_shape: of the logits, (1, classes).
        deployment_target: oldest system that runs it.
        precision: of weights and activations.
        versions: (package, version) of what converted it and of what it was converted from.
        seconds: wall clock of trace, conversion and save; 0 for a package that was read.
    """

    ops: Mapping[str, int]
    weight_bytes: int
    package_bytes: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    deployment_target: str = DEPLOYMENT_TARGET
    precision: str = PRECISION
    versions: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    @property
    def num_ops(self) -> int:
        """Operations in all, constants left out."""
        return sum(self.ops.values())

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {
            "ops": dict(self.ops),
            "weight_bytes": self.weight_bytes,
            "package_bytes": self.package_bytes,
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "deployment_target": self.deployment_target,
            "precision": self.precision,
            "versions": [list(pair) for pair in self.versions],
            "seconds": round(self.seconds, 3),
        }


def coreml_available() -> tuple[bool, str]:
    """Whether networks can be converted here, and if not, why and what to do. Imports nothing heavy."""
    found = util.find_spec("coremltools")
    if found is None or not found.submodule_search_locations:
        return (False, "coremltools is not installed: `pip install coremltools 'numpy<2.4'`")
    if not any(Path(found.submodule_search_locations[0]).glob("libmilstoragepython*")):
        return (
            False,
            "this build of coremltools cannot write packages: use Linux or macOS and a Python that it has wheels for",
        )
    tools, numpy = _version("coremltools"), _version("numpy")
    if _release(tools) <= LAST_COREMLTOOLS_BROKEN_BY_NUMPY and _release(numpy) >= FIRST_BROKEN_NUMPY:
        return (False, f"coremltools {tools} fails with numpy {numpy}: `pip install 'numpy<2.4'`")
    return True, ""


def convert(
    model: nn.Module,
    resolution: Resolution,
    path: str | Path,
    *,
    channels: int = 3,
    metadata: Mapping[str, str] | None = None,
    description: str = "",
) -> ConvertedProgram:
    """Convert a network with the weights that it has and save it.

    Normalisation is not baked in: the program takes what the network takes, RGB in [0, 1] without mean and
    standard deviation (the family's official recipe). The package's metadata says so.

    Args:
        model: (1, channels, H, W) float32 -> (1, classes); left as it is, its train/eval mode included.
        resolution: side of a square image, or (height, width), in pixels.
        path: package to write, `*.mlpackage`; must not exist.
        channels: of the image.
        metadata: further user-defined metadata; the architecture, where the network carries its `spec`, the resolution
            and the precision are always written.
        description: one line on what the network is.

    Raises:
        InputError: `path` exists or has another suffix.
        ExportError: conversion is not possible on this machine.
        ConversionError: the network cannot be converted; names the operation.
    """
    path = _free_path(path)
    require_coremltools()
    started = time.perf_counter()
    shape = (1, channels, *image_size(resolution))
    with quiet_coremltools() as (ct, log):
        import numpy as np

        package = to_program(
            ct, log, model, shape,
            inputs=[ct.TensorType(name=INPUT_NAME, shape=shape, dtype=np.float16)],
            outputs=[ct.TensorType(name=OUTPUT_NAME, dtype=np.float16)],
            compute_precision=ct.precision.FLOAT16,
        )  # fmt: skip
        package.input_description[INPUT_NAME] = (
            "RGB image, values in [0, 1], channels first; no mean or standard deviation applied"
        )
        package.output_description[OUTPUT_NAME] = SCORES
        describe(package, {**_identity(model, resolution), **(metadata or {})}, description)
        save_package(package, path)
    return _inspect(package.get_spec(), path, time.perf_counter() - started)


def require_coremltools() -> None:
    """Do nothing where networks can be converted.

    Raises:
        ExportError: why they cannot here, with what to do.
    """
    available, reason = coreml_available()
    if not available:
        raise ExportError("Core ML programs cannot be made here", reason)


def save_package(package: Any, path: Path) -> None:
    """Write a package, a folder, beside its place and move it there, so that a half-written one is never seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".mlpackage-", dir=path.parent))
    try:
        package.save(str(staging / path.name))
        share(staging / path.name)
        (staging / path.name).rename(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _free_path(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".mlpackage":
        raise InputError(f"`{path.name}` is no name for a Core ML package", "a path that ends in `.mlpackage`")
    if path.exists():
        raise InputError(f"`{path}` exists", "choose another path, or delete it first")
    return path


def read_package(path: str | Path) -> ConvertedProgram:
    """What a package on disk holds, read with coremltools; works on any system, as nothing is run.

    Raises:
        ExportError: coremltools cannot read it.
    """
    try:
        with quiet_coremltools() as (ct, _):
            spec = ct.models.MLModel(str(path), skip_model_load=True).get_spec()
        return _inspect(spec, Path(path), 0.0)
    except Exception as error:
        raise ExportError(f"`{Path(path).name}` cannot be read as a Core ML package: {_first_line(error)}") from error


def to_program(ct: Any, log: _Log, model: nn.Module, shape: tuple[int, ...], **options: Any) -> Any:
    """An ML program of a network, for `DEPLOYMENT_TARGET`, within `quiet_coremltools`.

    Args:
        ct: as `quiet_coremltools` gives it.
        log: as `quiet_coremltools` gives it.
        model: in any mode; left as it is.
        shape: of the image that it is traced with.
        options: of coremltools' `convert`: inputs, outputs, precision, ...

    Raises:
        ConversionError: the network cannot be converted; names the operation.
    """
    import torch

    from mvsearch.models.folding import folded_ahead

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            traced = torch.jit.trace(folded_ahead(model), torch.zeros(shape), check_trace=False)  # type: ignore[no-untyped-call]
        with validated_once(ct):
            return ct.convert(
                traced,
                convert_to="mlprogram",
                minimum_deployment_target=ct.target[DEPLOYMENT_TARGET],
                skip_model_load=True,
                **options,
            )
    except Exception as error:
        match = _FAILED_OP.search(log.text())
        op, location = (match[1], match[2]) if match else ("", "")
        where = f" in `{location}`" if location else ""
        what = f"operation `{op}`{where} does not convert to Core ML" if op else "the network does not convert to Core ML"
        raise ConversionError(f"{what}: {_first_line(error)}", "", op, location) from error
    finally:
        model.train(was_training)


def describe(package: Any, metadata: Mapping[str, str], description: str = "") -> None:
    """Author, licence, a line on what it is, and our own metadata with its defaults."""
    package.author = "mvsearch"
    package.license = "Apache-2.0"
    package.short_description = description or "MobileViT image classifier. Initial weights, not trained."
    defaults = {
        "normalisation": "none: RGB in [0, 1], no mean or standard deviation",
        "weights": "initial weights, not trained",
    }
    for key, value in {**defaults, **metadata}.items():
        package.user_defined_metadata[f"{OURS}{key}"] = value


def _identity(model: nn.Module, resolution: Resolution) -> dict[str, str]:
    """What a package is known by on the machine that it is brought to; the architecture where the network has one."""
    height, width = image_size(resolution)
    spec = getattr(model, "spec", None)
    known = {"arch_id": spec.arch_id, "spec": json.dumps(to_json(spec))} if isinstance(spec, ArchSpec) else {}
    return {**known, "resolution": str(height) if height == width else f"{height}x{width}", "precision": PRECISION}


def _inspect(spec: Any, path: Path, seconds: float) -> ConvertedProgram:
    function = spec.mlProgram.functions["main"]
    operations = function.block_specializations[function.opset].operations
    bytes_by_type: Counter[int] = Counter()
    for const in (op for op in operations if op.type == "const"):
        tensor = const.outputs[0].type.tensorType
        # Scalars are parameters of operations (an epsilon, a scale), not weights.
        if tensor.rank > 0 and tensor.dataType in _FLOATS:
            size = _FLOATS[tensor.dataType][1]
            bytes_by_type[tensor.dataType] += size * prod(d.constant.size for d in tensor.dimensions)
    made_by = dict(spec.description.metadata.userDefined)
    source, _, source_version = made_by.get("com.github.apple.coremltools.source", "").partition("==")
    return ConvertedProgram(
        ops=dict(sorted(Counter(op.type for op in operations if op.type != "const").items())),
        weight_bytes=bytes_by_type.total(),
        package_bytes=sum(f.stat().st_size for f in path.rglob("*") if f.is_file()),
        input_shape=tuple(spec.description.input[0].type.multiArrayType.shape),
        output_shape=tuple(spec.description.output[0].type.multiArrayType.shape),
        deployment_target=TARGETS.get(spec.specificationVersion, f"specification {spec.specificationVersion}"),
        precision="+".join(sorted(_FLOATS[t][0] for t in bytes_by_type)),
        versions=(("coremltools", made_by.get("com.github.apple.coremltools.version", "")), (source, source_version)),
        seconds=seconds,
    )


class _Log(logging.Handler):
    """Keeps what coremltools logs, to find in it the operation that failed."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())

    def text(self) -> str:
        return "\n".join(self._lines)


@contextmanager
def quiet_coremltools() -> Iterator[tuple[Any, _Log]]:
    """The package, and its log, which stays off the terminal as do its warnings and its progress bars.

    Only its own sources of noise are shut, not stderr: a progress bar of ours may be drawing there. Its
    import logs too (libraries that exist on macOS alone, a torch newer than it knows). One thread at a
    time, since what is shut is global.
    """
    log, logger = _Log(), logging.getLogger("coremltools")
    with _ONE_AT_A_TIME, warnings.catch_warnings(), ExitStack() as restore:
        warnings.simplefilter("ignore")
        restore.callback(setattr, logger, "propagate", logger.propagate)
        restore.callback(logger.removeHandler, log)
        logger.addHandler(log)
        logger.propagate = False
        ct = import_module("coremltools")
        for module, name in _PROGRESS_BARS:
            _replace(restore, import_module(module), name, lambda items, **_: items)
        yield ct, log


@contextmanager
def validated_once(ct: Any) -> Iterator[None]:
    """Validate the program after its last pass instead of after each of the 112: 5.4 s become 3.4 s per network."""
    program = ct.converters.mil.mil.Program
    last: list[Any] = []
    validate = program.validate
    with ExitStack() as restore:
        _replace(restore, program, "validate", lambda self, *_, **__: last.__setitem__(slice(None), [self]))
        yield
    if last:
        validate(last[-1])


def _replace(restore: ExitStack, owner: Any, name: str, value: Any) -> None:
    if hasattr(owner, name):
        restore.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "0"


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text)[:2])


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
