"""`gpu@launch=eager,precision=bfloat16`: how a network runs on the GPU, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, cast

from mvsearch.errors import TargetError
from mvsearch.targets.host.gpu.device import MathSettings

Launch = Literal["graph", "eager"]
Layout = Literal["channels_last", "contiguous"]
Precision = Literal["float16", "bfloat16", "float32"]

MOBILEVITV3 = "mobilevitv3"
MOBILEVITV3_RUNS = {1: 10_000, 100: 1_000}
"""Passes by batch size in `main_latency.py` of micronDLA/MobileViTv3."""


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """How a network runs on the GPU.

    Attributes:
        launch: `graph`: the kernels of an inference are captured once and launched together (CUDA graph), so that
            the time is the device's; `eager`: Python launches them one by one, and at batch 1 that is what is timed.
        layout: of images and weights in memory.
        precision: of weights and activations.
        tf32: float32 products may use TF32.
        compile: through `torch.compile`, default mode.
        fold: batch norm is folded into its convolution, as in any deployed network.
        batch: images at a time.
        device: index among the GPUs that CUDA sees.
        preset: `mobilevitv3`, or empty.
        runs: passes of a preset, a fixed number; 0 elsewhere, where a rule stops.
    """

    launch: Launch = "graph"
    layout: Layout = "channels_last"
    precision: Precision = "float16"
    tf32: bool = False
    compile: bool = False
    fold: bool = True
    batch: int = 1
    device: int = 0
    preset: str = ""
    runs: int = 0

    @property
    def math(self) -> MathSettings:
        """Settings of the libraries. The preset's are those of ml-cvnets' `device_setup`, which its script calls."""
        return MathSettings(tf32=self.tf32, deterministic=self.preset == MOBILEVITV3)

    @property
    def protocol(self) -> str:
        """Id of the way in which a latency is taken."""
        if self.preset:
            usual = MOBILEVITV3_RUNS.get(self.batch, MOBILEVITV3_RUNS[1])
            return "mobilevitv3-main-latency" + ("" if self.runs == usual else f"-{self.runs}")
        return f"cuda-{self.launch}-median"

    @property
    def name(self) -> str:
        """As in `--target`: what differs from the default, in a fixed order."""
        default = mobilevitv3(self.batch) if self.preset else GpuOptions()
        words = [self.preset] if self.preset else []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "batch" and self.preset and value != 1:
                words.append(f"batch={value}")
            elif field.name != "preset" and value != getattr(default, field.name):
                words.append(f"{field.name}={_text(value)}")
        return "gpu" + (f"@{','.join(words)}" if words else "")


def mobilevitv3(batch: int = 1) -> GpuOptions:
    """MobileViTv3's own protocol (arXiv 2209.15159, Table 5; `MobileViTv3-v1/main_latency.py` of its repository).

    Known from the script: float32, eager, contiguous, batch norm not folded, a fixed random image of 256 x 256, CUDA
    events around every pass and a synchronisation after it, mean of 10,000 passes of one image, and 100 x 1,000 images
    over the summed time of 1,000 passes of 100; cuDNN deterministic and not autotuned (`device_setup` of ml-cvnets at
    d38a116, on which the script is laid). Known from the paper: one GeForce RTX 2080 Ti, which has no TF32. Its
    environment file names PyTorch 1.11, CUDA 11.3 and cuDNN 8.2. Not known: the driver, the processor (which an eager
    time at batch 1 mostly depends on), clocks, and whether anything else ran.

    One thing differs here: warm-up is by time; theirs is 10 passes at batch 1 and none at batch 100.
    """
    return GpuOptions(
        launch="eager", layout="contiguous", precision="float32", fold=False, batch=batch, preset=MOBILEVITV3,
        runs=MOBILEVITV3_RUNS.get(batch, MOBILEVITV3_RUNS[1]),
    )  # fmt: skip


_CHOICES: dict[str, dict[str, Any]] = {
    "launch": {v: v for v in ("graph", "eager")},
    "layout": {v: v for v in ("channels_last", "contiguous")},
    "precision": {v: v for v in ("float16", "bfloat16", "float32")},
    "tf32": {"yes": True, "no": False},
    "compile": {"yes": True, "no": False},
    "fold": {"yes": True, "no": False},
}
_NUMBERS = {"batch": (1, 4_096), "device": (0, 63), "runs": (30, 1_000_000)}
_WITH_PRESET = ("batch", "device", "runs")


def parse_options(options: Mapping[str, str]) -> GpuOptions:
    """Options as text -> checked options.

    Args:
        options: by name; `preset` may be `mobilevitv3` and leaves only `batch`, `device` and `runs` open.

    Raises:
        TargetError: an unknown option or value, or two that exclude each other.
    """
    values = {key: _value(key, text) for key, text in options.items() if key != "preset"}
    preset = options.get("preset", "")
    if preset not in ("", MOBILEVITV3):
        raise TargetError(
            f"`gpu` has no preset `{preset}`", f"there is `gpu@{MOBILEVITV3}`; the rest is set by options: {_known()}"
        )
    if preset:
        if fixed := [key for key in values if key not in _WITH_PRESET]:
            raise TargetError(
                f"`{fixed[0]}` is part of what `{MOBILEVITV3}` stands for", f"with it you may set {', '.join(_WITH_PRESET)}"
            )
        return replace(mobilevitv3(cast(int, values.get("batch", 1))), **values)
    if "runs" in values:
        raise TargetError(
            "`runs` goes with a preset only", f"elsewhere a rule stops the measurement; `gpu@{MOBILEVITV3},runs=N`"
        )
    if values.get("tf32") and values.get("precision") != "float32":
        raise TargetError("`tf32=yes` goes with `precision=float32` only", "the other precisions do not use it")
    return GpuOptions(**values)


def _value(key: str, text: str) -> Any:
    if key in _CHOICES:
        if text in _CHOICES[key]:
            return _CHOICES[key][text]
        raise TargetError(f"`{key}={text}` of `gpu` is not known", f"`{key}` is one of {', '.join(_CHOICES[key])}")
    if key in _NUMBERS:
        low, high = _NUMBERS[key]
        if text.isascii() and text.isdigit() and low <= int(text) <= high:
            return int(text)
        raise TargetError(f"`{key}={text}` of `gpu` is not a whole number from {low:,} to {high:,}", f"e.g. `{key}={low}`")
    raise TargetError(f"`gpu` has no option `{key}`", f"it has {_known()}, and the preset `{MOBILEVITV3}`")


def _known() -> str:
    return ", ".join((*_CHOICES, *_NUMBERS))


def _text(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
