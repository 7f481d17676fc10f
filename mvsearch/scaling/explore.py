"""From one network and a range to all that is shown of it: `explore`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mvsearch.accuracy.estimator import Estimator
from mvsearch.errors import InputError
from mvsearch.scaling.compound import Problem, Unreachable, farther_end, fit_compound
from mvsearch.scaling.families import (
    EFFICIENTNET,
    Exponents,
    Point,
    by_depth,
    by_resolution,
    compound_path,
    cost,
    on_path,
    published_factors,
    spread,
    width_path,
)
from mvsearch.scaling.gains import with_gains
from mvsearch.scaling.iso import iso_curves
from mvsearch.scaling.laws import family_laws, published_laws, resolution_laws
from mvsearch.scaling.published import published_members
from mvsearch.scaling.ranges import OPTIONS, SizeRange
from mvsearch.scaling.rules import DEPTH_HOW, RESOLUTION_HOW, WIDTH_HOW, side_step, v2_multiplier
from mvsearch.scaling.solve import solve_width
from mvsearch.scaling.view import CompoundFit, CostMetric, Family, Member, Rule, ScalingView
from mvsearch.search.estimate import estimate
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.budget import Budget, format_value
from mvsearch.spec.published import DEFAULT_RESOLUTION, name_of
from mvsearch.spec.record import Evaluation
from mvsearch.targets import Target

MEMBERS = 8
FEWEST_MEMBERS, MOST_MEMBERS = 2, 1000
_HOW: dict[Rule, str] = {"width": WIDTH_HOW, "depth": DEPTH_HOW, "resolution": RESOLUTION_HOW}
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        name: of the network, as it was asked for.
        spec: the network.
        side: of its image, in pixels.
        within: the range of sizes.
        rules: to scale by.
        members: of a family, at most.
        budget: of the compound fit; None for an end of the range.
        confidence: of the lower bounds of top-1.
    """

    name: str
    spec: ArchSpec
    side: int
    within: SizeRange
    rules: tuple[Rule, ...]
    members: int = MEMBERS
    budget: Budget | None = None
    confidence: float = 0.8


def explore(
    question: Question, target: Target, estimator: Estimator | None = None, progress: Progress | None = None
) -> ScalingView:
    """Families, laws, compound exponents and curves of equal cost of one network.

    Args:
        question: what is asked.
        target: with a predictor.
        estimator: of top-1; the one that ships by default.
        progress: hears what is at hand.

    Raises:
        InputError: the network cannot be evaluated, or not a single family has a member in the range.
        TargetError: the target has no predictor.
    """
    say = progress or (lambda text: None)
    q = question
    target.predict(q.spec, q.side)  # A target without a predictor says so itself, better than a failed evaluation.
    base = estimate(q.spec, q.side, target, estimator)
    if base.failure is not None:
        raise InputError(f"`{q.name}` cannot be evaluated at {q.side} pixels: {base.failure.message}", "scale another network")
    maker = _Maker(q, target, estimator)
    notes: list[str] = []
    fit = None
    if "compound" in q.rules:
        say("compound exponents")
        try:
            fit = _compound(q, target, base, maker)
        except Unreachable as error:
            if q.budget is not None:
                text, _, hint = str(error).partition(";")
                raise InputError(text, hint.strip()) from None
            notes.append(f"No compound fit: {error}.")
    families = []
    for rule in q.rules:
        say(f"family by {rule}")
        families.append(_family(rule, q, target, maker, fit))
    if not any(f.members for f in families):
        reasons = "".join(f"\n  by {f.rule}: {f.why_empty}" for f in families)
        raise InputError(f"`{q.name}` has no size from {q.within.text}{reasons}", _nearest_hint(q, base))
    say("laws and curves")
    published = published_members(q.within, target, estimator)
    laws = [law for f in families for law in family_laws(f)] + list(published_laws(published)) + list(resolution_laws(base))
    notes += [
        f"By {f.rule} there are only {len(f.members)} networks in the range, not {q.members}."
        for f in families
        if 0 < len(f.members) < q.members
    ]
    return ScalingView(
        name=q.name,
        base=base,
        target=target.name,
        target_note=target.describe(),
        resolution=q.side,
        command="",
        asked=q.within.text,
        metric=q.within.metric,
        low=q.within.low,
        high=q.within.high,
        confidence=q.confidence,
        families=tuple(families),
        laws=tuple(laws),
        compound=fit,
        iso=iso_curves(q.spec, q.side, _levels(q, base), target, estimator),
        published=published,
        notes=tuple(notes),
    )


class _Maker:
    """Points -> members, evaluated once each."""

    def __init__(self, question: Question, target: Target, estimator: Estimator | None) -> None:
        self._q, self._target, self._estimator = question, target, estimator
        self._known: dict[tuple[ArchSpec, int], Evaluation] = {}

    def member(self, rule: Rule, point: Point) -> Member | None:
        """The member; None where its evaluation fails."""
        key = point.spec, point.side
        if key not in self._known:
            self._known[key] = estimate(point.spec, point.side, self._target, self._estimator)
        found = self._known[key]
        if found.failure is not None:
            return None
        q = self._q
        return Member(
            rule=rule,
            factor=point.factor,
            width=point.width,
            depth=point.depth,
            resolution=point.side / q.side,
            evaluation=found,
            name=(name_of(point.spec) or "") if point.side == DEFAULT_RESOLUTION else "",
            is_base=point.spec.arch_id == q.spec.arch_id and point.side == q.side,
        )


def _compound(q: Question, target: Target, base: Evaluation, maker: _Maker) -> CompoundFit:
    if q.budget is not None:
        metric: CostMetric = "latency" if q.budget.metric == "latency" else "macs"
        budget, text = q.budget.limit, q.budget.text
    elif q.within.metric == "params":
        metric = "macs"
        end = farther_end(q.within.low, q.within.high, base.measurements["params"].value)
        # Larger images change no parameters: the MACs that width alone would cost at that end.
        solved = solve_width(q.spec, q.side, 1.0, "params", end, target)
        if solved is None:
            raise Unreachable(f"no width reaches {format_value('params', end)} params")
        budget = cost("macs", solved[0].spec, q.side, target)
        text = f"{format_value('macs', budget)} MACs (what width alone takes at {format_value('params', end)} params)"
    else:
        metric = q.within.metric
        budget = farther_end(q.within.low, q.within.high, base.measurements[metric].value)
        text = format_value(metric, budget) + (" MACs" if metric == "macs" else "") + " (an end of the range)"
    problem = Problem(q.spec, q.side, "latency" if metric == "latency" else "macs", budget, text, q.confidence)
    return fit_compound(problem, target, lambda point: maker.member("compound", point))


def _family(rule: Rule, q: Question, target: Target, maker: _Maker, fit: CompoundFit | None) -> Family:
    label, how, exponents = str(rule), _HOW.get(rule, ""), EFFICIENTNET
    if rule == "compound":
        found = "EfficientNet's exponents"
        if fit is not None:
            o = fit.found
            exponents, found = Exponents(o.alpha, o.beta, o.gamma), f"the exponents found for {fit.budget_text}"
        label = f"compound {exponents.alpha:.2f}^phi, {exponents.beta:.2f}^phi, {exponents.gamma:.2f}^phi"
        how = f"Depth, width and resolution by {found} (arXiv 1905.11946, eq. 3), each rounded as it is alone."
    points, why = _points(rule, q, target, exponents)
    if not points:
        return Family(rule, label, how, (), None, why)
    sizes = [cost(q.within.metric, p.spec, p.side, target) for p in points]
    own = next((i for i, p in enumerate(points) if p.side == q.side and p.spec.arch_id == q.spec.arch_id), None)
    made = [maker.member(rule, points[i]) for i in spread(sizes, q.members, own)]
    members, knee = with_gains([m for m in made if m is not None])
    return Family(rule, label, how, members, knee)


def _points(rule: Rule, q: Question, target: Target, exponents: Exponents) -> tuple[Sequence[Point], str]:
    """Every network of a rule in the range; and, where there is none, why."""
    if rule == "resolution" and q.within.metric == "params":
        return (), "larger images change no parameters; give `--macs` or `--ms`"
    if rule == "resolution" and side_step(q.spec) > 2048:
        return (), f"its patches tile their maps only at multiples of {side_step(q.spec):,} pixels, more than 2,048"
    if rule == "width":
        points = on_path(width_path(q.spec, q.side), q.within, target, published_factors(v2_multiplier(q.spec)))
    elif rule == "depth":
        points = by_depth(q.spec, q.side, q.within, target)
    elif rule == "resolution":
        points = by_resolution(q.spec, q.side, q.within, target)
    else:
        points = on_path(compound_path(q.spec, q.side, exponents), q.within, target, (0.0,))
    return points, "" if points else _why_none(rule, q, target, exponents)


def _why_none(rule: Rule, q: Question, target: Target, exponents: Exponents) -> str:
    """How far the rule reaches."""
    metric = q.within.metric
    everything = SizeRange(metric, 1e-9, 1e30)
    if rule == "depth":
        reached = by_depth(q.spec, q.side, everything, target)
    elif rule == "resolution":
        reached = by_resolution(q.spec, q.side, everything, target)
    else:
        path = width_path(q.spec, q.side) if rule == "width" else compound_path(q.spec, q.side, exponents)
        reached = [p for i in range(-32, 33) if (p := path.at(i / 32 * path.limit)) is not None]
    sizes = sorted(cost(metric, p.spec, p.side, target) for p in reached)
    ends = f"{format_value(metric, sizes[0])} to {format_value(metric, sizes[-1])}"
    inside = sizes[0] <= q.within.high and q.within.low <= sizes[-1]
    return f"it reaches {ends}" + (", but in steps that leave the range out" if inside else "")


def _nearest_hint(q: Question, base: Evaluation) -> str:
    own = base.measurements[q.within.metric].value
    option = OPTIONS[q.within.metric]
    return f"`{q.name}` itself has {format_value(q.within.metric, own)}; give `{option}` a range about that, or other `--rules`"


def _levels(q: Question, base: Evaluation) -> dict[CostMetric, tuple[float, ...]]:
    """Ends and middle of the range where it is of the metric; else half, once and twice what the base costs."""
    levels: dict[CostMetric, tuple[float, ...]] = {}
    metrics: tuple[CostMetric, ...] = ("macs", "latency")
    for metric in metrics:
        if q.within.metric == metric:
            levels[metric] = (q.within.low, math.sqrt(q.within.low * q.within.high), q.within.high)
        else:
            own = base.measurements[metric].value
            levels[metric] = (own / 2, own, own * 2)
    return levels
