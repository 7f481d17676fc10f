"""What every way out of mvsearch has to do: say what it cannot express, write, and rebuild what it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mvsearch.spec.arch import ArchSpec

if TYPE_CHECKING:
    from torch import nn

WeightStatus = Literal["initial", "trained"]
MAX_LIBRARY_DIFFERENCE = 1e-5
"""Between our network and a library's with the same weights, relative to the largest logit."""
MAX_RUNTIME_DIFFERENCE = 1e-4
"""Between our network and a runtime's in float32, relative to the largest logit."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is exported.

    Attributes:
        spec: the network.
        resolution: side of its images in pixels.
        name: safe as an identifier and a file name, e.g. `mobilevitv3_xxs`, `mobilevit_35805c946070`.
        title: for people, e.g. `MobileViT network 35805c946070`.
        weights: whether they are trained.
        seed: of initial weights.
        labels: names of the classes in the order of the logits; None if they are not known.
        target: device that the network is meant for, e.g. `iphone12`; None if no device was named.
    """

    spec: ArchSpec
    resolution: int
    name: str
    title: str
    weights: WeightStatus = "initial"
    seed: int | None = None
    labels: tuple[str, ...] | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a library cannot express a network.

    Attributes:
        dimension: the first one that leaves it, as a search space names it: `stage3.expansion`, `stage4.block`.
        message: what it is, and what the library takes; values in backticks.
        hint: what to do instead, e.g. the nearest network that the library has.
    """

    dimension: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What came of rebuilding an export from its files.

    Attributes:
        difference: largest difference between its outputs and ours, relative to our largest logit; None if nothing ran here.
        by: what rebuilt it, e.g. `timm 1.0.31, in a process of its own`.
        notes: what could not be checked here, and why.
    """

    difference: float | None
    by: str
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {"difference": self.difference, "by": self.by, "notes": list(self.notes)}


class Exporter(Protocol):
    """One library or runtime.

    Attributes:
        name: as `--to` takes it.
        title: one line for tables and cards.
        files: what it owns in an entry, by top-level name.
    """

    name: str
    title: str
    files: tuple[str, ...]

    def missing(self) -> str | None:
        """Why nothing of this kind can be made here, and what to do; None if it can. Imports nothing heavy."""

    def refuse(self, subject: Subject) -> Refusal | None:
        """What of the network cannot be expressed; pure and quick."""

    def write(self, subject: Subject, model: nn.Module, folder: Path) -> Mapping[str, Any]:
        """Write its files into an entry that is being made.

        Args:
            subject: what the network is.
            model: the network with its weights, in eval mode; left as it is.
            folder: of the entry, not yet at its final place; `config.json` and `model.safetensors` are in it.

        Returns:
            Plain data on what was written, for `metrics.json`.

        Raises:
            ExportError: it cannot be written.
        """

    def check(self, subject: Subject, model: nn.Module, folder: Path) -> Check:
        """Rebuild what was written from its files alone, and compare it with the network.

        Raises:
            ExportError: it does not load, or is not the network.
        """

    def usage(self, subject: Subject) -> str:
        """Markdown: a short paragraph and a python block that runs as it stands in the entry's folder."""
