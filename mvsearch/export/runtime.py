"""What the runtimes have in common: their file is run in a process of its own, and its outputs are held against ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.errors import ExportError
from mvsearch.export import fresh
from mvsearch.export.exporter import MAX_RUNTIME_DIFFERENCE, Subject
from mvsearch.export.outputs import logits_of, require_same, sample_images

if TYPE_CHECKING:
    from torch import nn

BATCHES = (1, 2, 5)
"""Numbers of images that a program with an open batch is run with."""


def largest_difference(
    subject: Subject, model: nn.Module, folder: Path, file: str, loader: str, batches: Sequence[int] = BATCHES
) -> float:
    """Run a file by its runtime alone, in a fresh process, and compare its logits with the network's.

    Args:
        subject: what the network is.
        model: the network.
        folder: of the entry.
        file: name of the runtime's file in it.
        loader: name of the script beside this module that loads it.
        batches: numbers of images to run it with.

    Returns:
        The largest difference relative to the largest logit.

    Raises:
        ExportError: there is no such file, it does not load, or what it computes is not what the network does.
    """
    import torch

    require_file(folder / file)
    images = [sample_images(subject.spec.in_channels, subject.resolution, batch) for batch in batches]
    found = fresh.logits_of(Path(__file__).with_name(loader), [folder] * len(images), [i.numpy() for i in images])
    return max(
        require_same(logits_of(model, i), torch.from_numpy(logits), MAX_RUNTIME_DIFFERENCE, f"`{file}` at batch {len(i)}")
        for i, logits in zip(images, found, strict=True)
    )


def require_file(path: Path) -> None:
    """See that a file was written.

    Raises:
        ExportError: it was not.
    """
    if not path.is_file():
        raise ExportError(f"`{path.name}` is missing", "write the export anew")


def facts(subject: Subject) -> Mapping[str, str]:
    """What a runtime's file says of itself, as texts."""
    trained = subject.weights == "trained"
    seed = "" if trained or subject.seed is None else f", seed {subject.seed}"
    channels = "RGB" if subject.spec.in_channels == 3 else f"{subject.spec.in_channels} channels"
    return {
        "title": subject.title,
        "arch_id": subject.spec.arch_id,
        "weights": "trained" if trained else f"initial{seed}: not trained",
        "resolution": str(subject.resolution),
        "input": f"{channels}, channels first, float32 in [0, 1]",
        "normalisation": "none: no mean is subtracted, nothing is divided by a standard deviation",
    }


def missing_packages(*names: str) -> tuple[str, ...]:
    """Those of these packages that are not installed; imports none."""
    return tuple(name for name in names if version(name) is None)


def version(package: str) -> str | None:
    """Its version, None if it is not installed; imports nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
