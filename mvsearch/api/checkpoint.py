"""Weights of other libraries into an entry of ours."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.api.export import DEFAULT_LIBRARY, Exported, read_labels, title_of
from mvsearch.api.read import read_network
from mvsearch.errors import InputError
from mvsearch.spec.arch import ArchSpec

if TYPE_CHECKING:
    from mvsearch.export.exports import ExportListener


def import_checkpoint(
    checkpoint: str | Path,
    network: str | Path | ArchSpec | None = None,
    *,
    library: str | Path = DEFAULT_LIBRARY,
    to: str | Sequence[str] | None = None,
    resolution: int | None = None,
    labels: str | Path | Sequence[str] | None = None,
    target: str = "iphone12",
    bgr: bool = False,
    trust_pickle: bool = False,
    tags: Sequence[str] = (),
    listener: ExportListener | None = None,
    command: str = "",
) -> tuple[Exported, tuple[str, ...]]:
    """Bring a checkpoint under official names into a library, as an entry with trained weights.

    Args:
        checkpoint: a file of CVNets (v1, v2, v3), timm, transformers or ours.
        network: what it is of, which decides what shapes do not tell (patches, heads, activation); by default the published
            network that it fits.
        library: folder of many entries.
        to: exports to make at once; see `export`.
        resolution: side of its images in pixels.
        labels: names of its classes, or a file with one per line.
        target: device that its latency is predicted for.
        bgr: it takes BGR images; the first layer is turned round.
        trust_pickle: unpickle a file that needs it, which runs what it holds.
        tags: to find the entry by.
        listener: hears of the progress.
        command: for the record.

    Returns:
        The entry, and notes on what was found in the file.

    Raises:
        InputError: the file cannot be read without running it, or does not fit; with the first entries that do not.
    """
    from mvsearch.api.describe import describe
    from mvsearch.export.checkpoint import import_weights, read_checkpoint
    from mvsearch.export.library import save_entry
    from mvsearch.export.registry import ALL, parse_names
    from mvsearch.export.shelf import Library, checked_tag
    from mvsearch.export.weights import sha256
    from mvsearch.models import build

    shelf = Library(library)
    shelf.require_usable()
    asked = "" if to is None else to if isinstance(to, str) else ",".join(to)
    names = parse_names(asked) if asked else ()
    tags = tuple(map(checked_tag, tags))
    classes = read_labels(labels) if labels is not None else None
    given = network if isinstance(network, ArchSpec) or network is None else read_network(network)
    found = read_checkpoint(checkpoint, trust_pickle)
    spec, state, notes = import_weights(found, given, bgr)
    if classes is not None and len(classes) != spec.num_classes:
        raise InputError(
            f"there are {len(classes):,} labels, and the checkpoint has {spec.num_classes:,} classes", "one label per class"
        )
    model = build(spec)
    model.load_state_dict(state, strict=True)
    evaluation = describe(spec, target, resolution).evaluation
    if evaluation.failure:
        raise InputError(f"`{checkpoint}`: {evaluation.failure.message}", "see `mvsearch describe`")
    provenance = {
        "command": command,
        "checkpoint": Path(checkpoint).name,
        "checkpoint_sha256": sha256(Path(checkpoint)),
        "names": found.format,
        "target": target,
        "read": list(notes),
    }
    # Nobody here has seen how accurate these weights are: the estimate is of the architecture.
    top1 = evaluation.measurements["top1"]
    flags = (*top1.flags, "of the architecture, not of these weights")
    evaluation = replace(evaluation, measurements={**evaluation.measurements, "top1": replace(top1, flags=flags)})
    with tempfile.TemporaryDirectory(prefix="mvsearch-") as work:
        draft = Path(work) / "entry"
        outcomes = save_entry(
            draft, spec, evaluation.resolution, model.eval(), evaluation,
            provenance={k: v for k, v in provenance.items() if v != ""}, weights="trained", labels=classes,
            to=names, leave_out=ALL in asked.split(","), listener=listener,
        )  # fmt: skip
        shelved, new = shelf.add(draft, tags)
    place = shelf.path(shelved)
    if not new and names:
        from mvsearch.export.library import add_exports

        outcomes = add_exports(place, names, leave_out=True, listener=listener)
    return Exported(place, title_of(place), new, outcomes), notes
