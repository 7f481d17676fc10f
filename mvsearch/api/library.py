"""What a library holds, and what of it keeps a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import InputError
from mvsearch.spec import defaults
from mvsearch.spec.budget import Budget, parse_budgets
from mvsearch.spec.record import Measurement

if TYPE_CHECKING:
    from mvsearch.export.shelf import Library, Shelved


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a library with its numbers.

    Attributes:
        entry: its line of the index.
        measurements: its numbers by metric; the latency is of the target that was asked for, if one was.
        exports: names of what has been exported.
    """

    entry: Shelved
    measurements: dict[str, Measurement]
    exports: tuple[str, ...]


def listed(
    folder: str | Path,
    budgets: Sequence[str] = (),
    target: str | None = None,
    tags: Sequence[str] = (),
    confidence: float = defaults.CONFIDENCE,
) -> tuple[Listed, ...]:
    """Entries that keep every budget and have every tag, the most accurate first.

    Args:
        folder: of the library.
        budgets: as for a search: `2M-params`, `5ms`.
        target: device for latencies; an entry with numbers for another one has its latency predicted anew. By default
            each entry's own.
        tags: all of which an entry has to have.
        confidence: with which a predicted latency has to keep its budget.

    Raises:
        InputError: no library, a budget or target that cannot be read, or an entry whose numbers cannot.
    """
    from mvsearch.export.shelf import Library

    limits = parse_budgets(budgets) if budgets else ()
    if target is not None:
        from mvsearch.targets import get_target

        get_target(target)
    if not 0 < confidence < 1:
        raise InputError(f"`--confidence` is `{confidence:g}`", "a number between 0 and 1")
    library = Library(folder)
    found = [
        one
        for entry in library.entries()
        if set(tags) <= set(entry.tags)
        for one in (_listed(library, entry, target),)
        if all(_keeps(one, b, confidence) for b in limits)
    ]
    return tuple(sorted(found, key=lambda one: -_top1(one)))


def show(folder: str | Path, key: str) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """An entry's folder, its configuration and its metrics.

    Raises:
        InputError: no library, or no such entry.
    """
    from mvsearch.export.library import read_config, read_metrics
    from mvsearch.export.shelf import Library

    library = Library(folder)
    path = library.path(library.find(key))
    return path, read_config(path), read_metrics(path)


def _listed(library: Library, entry: Shelved, target: str | None) -> Listed:
    from mvsearch.export.library import read_config, read_metrics
    from mvsearch.export.shelf import measurements_of

    path = library.path(entry)
    if not path.is_dir():
        raise InputError(f"`{path}` is listed and is not there", f"`mvsearch library verify {library.folder}` mends the index")
    numbers = measurements_of(path)
    latency = numbers.get("latency")
    if target is not None and (latency is None or latency.target != target):
        from mvsearch.export.entry import spec_of
        from mvsearch.targets.prepare import ready_target

        spec = spec_of(path, read_config(path))
        numbers = {**numbers, "latency": ready_target(target, entry.resolution)[0].predict(spec, entry.resolution)}
    return Listed(entry, numbers, tuple(read_metrics(path)["exports"]))


def _keeps(one: Listed, budget: Budget, confidence: float) -> bool:
    m = one.measurements.get(budget.metric)
    if m is None:
        return False
    return m.value <= budget.limit if budget.is_counted else m.probability_at_most(budget.limit) >= confidence


def _top1(one: Listed) -> float:
    m = one.measurements.get("top1")
    return m.value if m else 0.0
