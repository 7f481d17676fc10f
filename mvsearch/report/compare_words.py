"""What a comparison says: one wording for the page and the terminal."""

from __future__ import annotations

from mvsearch.report.compare_data import Comparison, Duel, Group, GroupFronts, Panel, Spread
from mvsearch.report.words import plural
from mvsearch.search.attainment import median_and_range

UNITS = {"latency": "ms", "params": "M parameters", "macs": "M MACs"}
LEVELS_MEANING = (
    "The line of a group is what at least half of its runs attain: for every cost the best lower bound of top-1 that half of "
    "the seeds found at that cost or less. The band reaches from what every run attains up to the best of all."
)
AREA_MEANING = (
    "Hypervolume: area that a run's front dominates, down to one reference point for all runs of an axis, the worst corner "
    "of all fronts on it. It has meaning in comparison only."
)


def name_of(group: Group) -> str:
    """`A: 2M-params`, as it stands in tables and keys."""
    return f"{group.letter}: {group.label}"


def seeds_text(group: Group) -> str:
    """`3 runs, seeds 0, 1, 2`; `1 run, seed 0, not finished`."""
    seeds = [r.view.settings.seed for r in group.runs]
    shown = ", ".join(map(str, seeds[:8])) + (", ..." if len(seeds) > 8 else "")
    said = f"{plural(len(seeds), 'run')}, {'seed' if len(seeds) == 1 else 'seeds'} {shown}"
    if not group.unfinished:
        return said
    return f"{said}, {'not' if len(seeds) == 1 else f'{group.unfinished} not'} finished"


def number(value: float) -> str:
    """A hypervolume, or another plain number, with three significant digits or more."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spread_text(spread: Spread, many: bool) -> str:
    """`12.3 (11.9 to 12.5)`; without the range for a single run."""
    return f"{number(spread[0])} ({number(spread[1])} to {number(spread[2])})" if many else number(spread[0])


def share_text(share: Spread | None, pairs: int) -> str:
    """`62 % (50 to 70 %)`; `no front` where there was nothing to dominate."""
    if share is None:
        return "no front"
    middle = f"{100 * share[0]:.0f} %"
    if pairs == 1 or share[1] == share[2]:
        return middle
    return f"{middle} ({100 * share[1]:.0f} to {100 * share[2]:.0f} %)"


def area_of(found: GroupFronts) -> Spread:
    """Hypervolume over the runs of a group."""
    return median_and_range(found.areas)


def axis_text(panel: Panel) -> str:
    """`latency, iphone12`: which panel this is."""
    names = {"latency": "latency", "params": "parameters", "macs": "MACs"}
    return names[panel.axis] + (f", {panel.scope}" if panel.scope else "")


def duel_sentences(comparison: Comparison, panel: Panel, duel: Duel) -> list[str]:
    """Who dominates whom, and where, in plain words."""
    a, b = comparison.groups[duel.first], comparison.groups[duel.second]
    one, other = f"{a.letter} ({a.label})", f"{b.letter} ({b.label})"
    if duel.of_first is None or duel.of_second is None:
        return [f"{one} and {other} cannot be compared: one of them has found nothing within its budget."]
    over = f", over {plural(duel.pairs, 'pair')} of runs" if duel.pairs > 1 else ""
    said = [
        f"{one} against {other}: {a.letter}'s front dominates {share_text(duel.of_second, duel.pairs)} of the networks on "
        f"{b.letter}'s, and {b.letter}'s {share_text(duel.of_first, duel.pairs)} of those on {a.letter}'s{over}.",
        _where(panel, duel, a, b),
    ]
    fronts = {f.group: f for f in panel.fronts}
    if sure := _areas_apart(fronts[duel.first], fronts[duel.second], a, b):
        said.append(sure)
    return said


def _where(panel: Panel, duel: Duel, a: Group, b: Group) -> str:
    unit = UNITS[panel.axis]
    typical = "a typical run of " if max(len(a.runs), len(b.runs)) > 1 else ""
    parts = []
    for group, share, most in ((a, duel.higher, duel.lead), (b, duel.lower, duel.lag)):
        if most is not None:
            parts.append(
                f"{typical}{group.letter} is the more accurate on {100 * share:.0f} % of the range that both reach, by "
                f"{most[0]:.2f} points at most (at {most[1]:.3g} {unit})"
            )
    if not parts:
        return f"At equal cost the two are the same in {'their medians' if typical else 'everything'}."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _areas_apart(x: GroupFronts, y: GroupFronts, a: Group, b: Group) -> str:
    """Whether every run of one dominates more than every run of the other; says so only where there are several runs."""
    if len(x.areas) < 2 or len(y.areas) < 2:
        return ""
    for better, worse, one, other in ((x, y, a, b), (y, x, b, a)):
        if min(better.areas) > max(worse.areas):
            return f"Every run of {one.letter} has a larger hypervolume than every run of {other.letter}."
    return f"Their hypervolumes overlap: with {len(x.areas)} and {len(y.areas)} runs, neither is clearly the larger."


def winners_sentence(group: Group) -> str:
    """Whether the seeds of a group agree; empty for a single run."""
    winners = [r.view.winner for r in group.runs if r.winner is not None]
    if len(winners) < 2:
        return ""
    distinct = len(set(winners))
    bounds = [r.winner.lower_top1 for r in group.runs if r.winner is not None]
    between = f"{min(bounds):.2f} and {max(bounds):.2f} %"
    agree = "all ended with the same winner" if distinct == 1 else f"ended with {distinct} different winners"
    return f"The {len(winners)} runs of {group.letter} {agree}; their lower bounds of top-1 lie between {between}."
