"""The races of a bench as tables and as files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from mvsearch.errors import InputError
from mvsearch.report.terminal import note, plain_table, titled
from mvsearch.search.bench.contenders import OURS
from mvsearch.search.bench.results import Race
from mvsearch.search.bench.summary import Lead, Standing, leads, marks_up_to, standings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mvsearch.search.bench.problems import Problem
    from mvsearch.search.bench.race import Row

LABELS = {
    OURS: "mvsearch (default)",
    "optuna-tpe": "Optuna TPE",
    "optuna-nsga2": "Optuna NSGA-II",
    "optuna-nsga3": "Optuna NSGA-III",
    "pymoo-nsga2": "pymoo integer NSGA-II",
    "random": "random",
}
SHORT = {"as-is": "as run by users", "screened": "screened", "started": "screened, started"}
VARIANTS = {"as-is": "as its users would run it", "screened": "with our screen", "started": "with our screen and our start"}


def render_bench(
    problems: Sequence[Problem], races: Mapping[Race, Sequence[Row]], reference: Mapping[str, float], trials: int
) -> RenderableType:
    """A table per problem: hypervolume at the marks, median over seeds and range, and our ratio to the best peer.

    Args:
        problems: raced on.
        races: of `Results`.
        reference: hypervolume of each problem's reference front; 0 where none is known.
        trials: per race.
    """
    return Group(*(_of_problem(p, races, reference.get(p.name, 0.0), marks_up_to(trials)) for p in problems))


def _of_problem(problem: Problem, races: Mapping[Race, Sequence[Row]], whole: float, marks: Sequence[int]) -> RenderableType:
    at = [standings(races, problem.name, mark) for mark in marks]
    best = [max((s.median for s in column), default=0.0) for column in at]
    table = plain_table(("engine", False), *((f"{m:,}", True) for m in marks), ("CPU s", True))
    table.columns[0].no_wrap = True
    shown, seeds = "", max((s.seeds for s in at[-1]), default=0)
    decimals = 2 - math.floor(math.log10(best[-1])) if best[-1] > 0 else 2
    for line in zip(*at, strict=True):
        first, last = line[0], line[-1]
        if first.variant != shown and first.contender != OURS:
            shown = first.variant
            table.add_row(Text(VARIANTS[shown], style="dim"))
        cells = [_cell(s, s.median == b, max(0, decimals)) for s, b in zip(line, best, strict=True)]
        fewer = f", {_seeds(last.seeds)}" if last.seeds < seeds else ""
        name = Text(f"{LABELS[first.contender]}{fewer}", style="bold" if first.contender == OURS else "")
        table.add_row(name, *cells, f"{last.seconds:.1f}")
    every = [leads(races, problem.name, m) for m in marks]
    for lead in zip(*every, strict=True):
        table.add_row(Text(f"ours / best {SHORT[lead[0].variant]}"), *(Text(_ratio(one)) for one in lead), "")
    ours = [next((s for s in column if s.contender == OURS), None) for column in at]
    if whole > 0 and all(ours):
        table.add_row("ours / reference front", *(f"{100 * s.median / whole:.1f} %" for s in ours if s), "")
    reference = ", ".join(f"{name} {value:.5g}" for name, value in zip(problem.objectives, problem.reference, strict=True))
    front = f" Reference front: hypervolume {whole:.5g}." if whole > 0 else " No reference front is known."
    return Group(
        titled(f"{problem.name}: {problem.description}", table),
        note(
            f"Hypervolume of feasible evaluated networks by trials, median of {_seeds(seeds)}, lowest and highest below. "
            f"Reference point: {reference}; {problem.reference_note}.{front}"
        ),
    )


def _cell(s: Standing, is_best: bool, decimals: int) -> Text:
    spread = "" if s.seeds == 1 else f"\n{s.low:.{decimals}f}-{s.high:.{decimals}f}"
    return Text(f"{s.median:.{decimals + 1}f}{spread}", style="bold" if is_best and s.median > 0 else "", justify="right")


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"


def _ratio(lead: Lead) -> str:
    return f"{lead.ratio:.2f}" if lead.ratio is not None else "peers at 0"


def write_bench(
    problems: Sequence[Problem],
    races: Mapping[Race, Sequence[Row]],
    reference: Mapping[str, float],
    trials: int,
    folder: Path,
) -> tuple[Path, ...]:
    """Write a picture per problem, as SVG and PNG.

    Raises:
        InputError: the folder cannot be written.
    """
    from mvsearch.report.bench_picture import draw_bench

    paths: list[Path] = []
    try:
        for problem in problems:
            mine = [folder / f"{problem.name}.{suffix}" for suffix in ("svg", "png")]
            draw_bench(problem, races, reference.get(problem.name, 0.0), trials, mine)
            paths += mine
    except OSError as error:
        raise InputError(f"cannot write into `{folder}`: {error.strerror}", "give an `--out` that can be written") from None
    return tuple(paths)
