"""From a run, an entry or a network to what other libraries load."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.api.read import read_network
from mvsearch.errors import InputError
from mvsearch.files import kind_of, read_bytes
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.plain import shown

if TYPE_CHECKING:
    from mvsearch.export.exports import ExportListener, Outcome
    from mvsearch.spec.record import Evaluation

DEFAULT_LIBRARY = "library"
MAX_LABELS_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported, and where it lies.

    Attributes:
        folder: of the entry.
        title: of the network.
        new: whether the entry is new; an entry that was there has been given the exports.
        outcomes: what became of each export.
    """

    folder: Path
    title: str
    new: bool
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class _Network:
    """What an entry is made of: an architecture with its numbers, initial weights of a seed, and where it comes from."""

    evaluation: Evaluation
    seed: int
    labels: tuple[str, ...] | None
    provenance: dict[str, Any]


def export(
    source: str | Path | ArchSpec,
    to: str | Sequence[str] = "all",
    *,
    library: str | Path | None = None,
    member: str | None = None,
    resolution: int | None = None,
    labels: str | Path | Sequence[str] | None = None,
    classes: int | None = None,
    seed: int = 0,
    target: str = "iphone12",
    tags: Sequence[str] = (),
    overwrite: bool = False,
    listener: ExportListener | None = None,
    command: str = "",
) -> Exported:
    """Export a network to libraries and runtimes; each export is rebuilt from its files and compared before it counts.

    Args:
        source: a run's folder, whose winner is exported; the folder of an entry; or a network: a published name, a JSON
            file, an architecture.
        to: names of `mvsearch.export.registry.EXPORTERS`, with commas or as a sequence; `all` is every one that can
            express the network and is installed.
        library: folder of many entries into which the network goes. Without it, exports of a run or an entry go into
            that entry, and a network goes into `library`.
        member: of a run, the `arch_id` of another network than the winner, or the beginning of it.
        resolution: side of the image in pixels, for a network.
        labels: names of the classes in the order of the logits, or a file with one per line; for a network.
        classes: outputs of the classifier, for a network; as many as there are labels by default.
        seed: of the initial weights, for a network.
        target: device that a network's latency is predicted for.
        tags: to find the entry by in its library.
        overwrite: replace exports that are there.
        listener: hears of the progress.
        command: for the record.

    Raises:
        InputError: the source is none of these, an export is unknown or cannot be made, or something is in the way.
        ExportError: what was written is not the network; nothing of it is kept.
    """
    from mvsearch.export.library import add_exports
    from mvsearch.export.registry import ALL, parse_names
    from mvsearch.export.shelf import Library, checked_tag

    asked = to if isinstance(to, str) else ",".join(to)
    names, leave_out = parse_names(asked), ALL in asked.split(",")
    tags = tuple(map(checked_tag, tags))
    entry = None if isinstance(source, ArchSpec) else _entry_of(Path(source), member)
    if entry is not None:
        _refuse_options(source, resolution=resolution, labels=labels, classes=classes)
        if library is None:
            if tags:
                raise InputError("`--tag` without `--library`", "tags belong to the index of a library")
            outcomes = add_exports(entry, names, leave_out=leave_out, overwrite=overwrite, listener=listener)
            return Exported(entry, title_of(entry), False, outcomes)
        shelved, new = Library(library).add(entry, tags)
        place = Library(library).path(shelved)
        outcomes = add_exports(place, names, leave_out=leave_out, overwrite=overwrite, listener=listener)
        return Exported(place, title_of(place), new, outcomes)
    shelf = Library(DEFAULT_LIBRARY if library is None else library)
    if member is not None and not isinstance(source, ArchSpec):
        network = _member(Path(source), member, command)
    else:
        network = _network(source, resolution, labels, classes, seed, target, command)
    return _into(shelf, network, names, leave_out, tags, overwrite, listener)


def _into(
    shelf: Any,
    network: _Network,
    names: tuple[str, ...],
    leave_out: bool,
    tags: tuple[str, ...],
    overwrite: bool,
    listener: ExportListener | None,
) -> Exported:
    """Into a library: a new entry with all exports at once, or exports of the entry that is there."""
    from mvsearch.export.library import add_exports, save_entry
    from mvsearch.export.shelf import Shelved
    from mvsearch.models import build

    spec, resolution = network.evaluation.spec, network.evaluation.resolution
    line = Shelved("", spec.arch_id, "", resolution, spec.num_classes, "initial", "")
    shelf.require_usable()
    there = shelf.same_as(line)
    if there:
        shelf.add(shelf.path(there), tags)
        place = shelf.path(there)
        outcomes = add_exports(place, names, leave_out=leave_out, overwrite=overwrite, listener=listener)
        return Exported(place, title_of(place), False, outcomes)
    with tempfile.TemporaryDirectory(prefix="mvsearch-") as work:
        draft = Path(work) / "entry"
        outcomes = save_entry(
            draft, spec, resolution, build(spec, seed=network.seed).eval(), network.evaluation,
            provenance=network.provenance, seed=network.seed, labels=network.labels, to=names, leave_out=leave_out,
            listener=listener,
        )  # fmt: skip
        shelved, new = shelf.add(draft, tags)
    return Exported(shelf.path(shelved), title_of(shelf.path(shelved)), new, outcomes)


def _entry_of(source: Path, member: str | None) -> Path | None:
    """The folder of the entry that is meant; None if the source is a network of another kind.

    Raises:
        InputError: a folder that is neither a run nor an entry, a run without a winner, or a member of what has none.
    """
    from mvsearch.export.entry import CONFIG, read_config
    from mvsearch.search.folder import RUN_FILE, RunFolder

    is_run = (source / RUN_FILE).is_file()
    if member is not None:
        if not is_run:
            raise InputError(f"`--member` with `{source}`, which is no run", "give a run's folder")
        winner = RunFolder(source).winner
        return winner if (winner / CONFIG).is_file() and read_config(winner)["arch"].get("arch_id") == member else None
    if is_run:
        winner = RunFolder(source).winner
        if not (winner / CONFIG).is_file():
            raise InputError(f"the run in `{source}` has no winner yet", "finish it, or name a network with `--member`")
        return winner
    if kind_of(source) == "folder":
        read_config(source)
        return source
    return None


def _network(
    source: str | Path | ArchSpec,
    resolution: int | None,
    labels: str | Path | Sequence[str] | None,
    classes: int | None,
    seed: int,
    target: str,
    command: str,
) -> _Network:
    from mvsearch.api.describe import describe

    spec = source if isinstance(source, ArchSpec) else read_network(source)
    names = read_labels(labels) if labels is not None else None
    if names is not None and classes not in (None, len(names)):
        raise InputError(f"`--classes` is `{classes}` and there are {len(names):,} labels", "leave `--classes` out")
    number = len(names) if names is not None else classes
    described = describe(spec, target, resolution).evaluation
    if described.failure:
        raise InputError(f"`{source}`: {described.failure.message}", "see `mvsearch describe`")
    evaluation = described if number is None else _with_classes(described, number)
    provenance = {"command": command, "network": str(source) if not isinstance(source, ArchSpec) else spec.arch_id,
                  "target": target, "seed": seed}  # fmt: skip
    return _Network(evaluation, seed, names, {k: v for k, v in provenance.items() if v != ""})


def _with_classes(evaluation: Evaluation, number: int) -> Evaluation:
    """The same network with another classifier: costs are counted anew, latency and top-1 are those of 1,000 classes."""
    from mvsearch.costs import count

    spec = evaluation.spec.with_classes(number)
    counted = count(spec, evaluation.resolution).measurements()
    kept = {
        k: replace(m, flags=(*m.flags, "for 1,000 classes")) for k, m in evaluation.measurements.items() if k not in counted
    }
    return replace(evaluation, spec=spec, measurements={**counted, **kept})


def _member(source: Path, member: str, command: str) -> _Network:
    """A network of a run by the beginning of its `arch_id`."""
    from mvsearch.api.report import read_run

    result = read_run(source)
    found = {e.arch_id: e for e in _evaluations(result.view) if e.arch_id.startswith(member)}
    if len(found) != 1:
        known = ", ".join(f"`{e.arch_id}`" for e in list(found.values())[:5])
        said = f"stands for {len(found)} networks" if found else "is no network"
        raise InputError(
            f"`--member` `{shown(member)}` {said} of `{source}`", known or "`trials.csv` and `front.csv` list them"
        )
    evaluation = next(iter(found.values()))
    settings = result.view.settings
    provenance = {
        "command": command, "run": source.resolve().name, "space": settings.space,
        "budgets": [b.text for b in settings.budgets], "target": settings.target, "seed": settings.seed,
    }  # fmt: skip
    return _Network(evaluation, settings.seed, None, {k: v for k, v in provenance.items() if v != ""})


def _evaluations(view: Any) -> list[Evaluation]:
    """Of all that a run has evaluated; members of the front, which stand higher on the ladder, last."""
    return [*(t.evaluation for t in view.trials), *(m.evaluation for m in view.members)]


def read_labels(labels: str | Path | Sequence[str]) -> tuple[str, ...]:
    """Names of classes, given or from a file with one per line.

    Raises:
        InputError: no such file, fewer than two names, one that is empty, or one given twice.
    """
    if isinstance(labels, str | Path):
        try:
            text = read_bytes(Path(labels), MAX_LABELS_BYTES).decode("utf-8-sig")
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise InputError(
                f"cannot read the labels in `{labels}`: {error}", "a text file in UTF-8, one name per line"
            ) from None
        names = tuple(line.strip() for line in text.splitlines())
        names = names[:-1] if names and not names[-1] else names
    else:
        names = tuple(labels)
    hint = "one name per class, in the order of the logits"
    if not names:
        raise InputError("there are no labels", hint)
    for i, name in enumerate(names):
        if not name or not name.isprintable():
            raise InputError(f"label {i + 1} is `{shown(name)}`", hint)
    twice = next((n for n, before in zip(sorted(names)[1:], sorted(names), strict=False) if n == before), None)
    if twice:
        raise InputError(f"label `{shown(twice)}` is given twice", hint)
    return names


def _refuse_options(source: object, **options: object) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InputError(f"`--{given[0]}` with `{source}`, which has its own", "leave it out; it is for a network")


def title_of(folder: Path) -> str:
    """Name of the network in an entry."""
    from mvsearch.export.card import title
    from mvsearch.export.library import read_config

    return title(read_config(folder))
