"""All that a page, a table or a file shows of one network scaled: `ScalingView` and its parts, as plain frozen data.

Nothing here computes. Intervals are central, at the `level` beside them. Costs are counted, latencies predicted, top-1
estimated; only what says so is published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mvsearch.spec.record import Evaluation, Measurement

Rule = Literal["width", "depth", "resolution", "compound"]
RULES: tuple[Rule, ...] = ("width", "depth", "resolution", "compound")
CostMetric = Literal["params", "macs", "latency"]
"""What a range or a budget is of; `latency` in ms. All three are keys of `Evaluation.measurements`."""
LawInput = Literal["params", "macs", "activations", "resolution"]
LawOutput = Literal["error", "latency"]
LawForm = Literal["power", "power with offset"]


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A number that is neither of a network nor counted, with its central interval.

    Attributes:
        value: best guess.
        low, high: ends of the interval; low <= value <= high.
        level: coverage that it is meant to have, e.g. 0.9.
    """

    value: float
    low: float
    high: float
    level: float = 0.9


@dataclass(frozen=True, slots=True)
class Marginal:
    """What a member gains over the member before it in its family, and what that costs.

    Attributes:
        points: top-1 gained, in points.
        added_ms: predicted latency added, in ms; zero or negative where the larger network is predicted no slower.
        points_per_ms: `points` by `added_ms`; None where no latency is added.
        probability: that the step gains any accuracy at all.
        pays: whether it pays by the knee's rule.
    """

    points: Uncertain
    added_ms: float
    points_per_ms: Uncertain | None
    probability: float
    pays: bool


@dataclass(frozen=True, slots=True)
class Member:
    """One network of a family.

    Attributes:
        rule: that made it.
        factor: by which the rule scaled, 1 for the base: of all widths, of all depths, of the image's side, or
            2^phi for `compound`, where phi is EfficientNet's coefficient and 2 the growth of the cost per unit of phi.
        width, depth, resolution: factors of the three dimensions; 1 where nothing was scaled.
        evaluation: counted costs, predicted `latency`, estimated `top1`; holds the spec and its resolution in pixels.
        name: published name, if the network has one and is shown at the resolution that it was published for; else empty.
        is_base: whether it is the network that was scaled.
        marginal: over the member before; None for the first.
    """

    rule: Rule
    factor: float
    width: float
    depth: float
    resolution: float
    evaluation: Evaluation
    name: str = ""
    is_base: bool = False
    marginal: Marginal | None = None

    @property
    def arch_id(self) -> str:
        """Content hash of the network; members that differ in resolution only share it."""
        return self.evaluation.arch_id


@dataclass(frozen=True, slots=True)
class Knee:
    """Where a family stops paying.

    Attributes:
        index: of the last member that pays, in the family's `members`; None where every step pays, or none could be judged.
        rule: the rule, in one sentence, the same for every family.
        text: what it found here, in one sentence.
    """

    index: int | None
    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Family:
    """Sizes of one network by one rule, the cheapest first by the metric that was asked for; all distinct.

    Attributes:
        rule: key.
        label: for a legend, e.g. `width`, `compound 1.2^phi, 1.1^phi, 1.15^phi`.
        how: what the rule does and how it rounds, in one or two sentences.
        members: within the asked range. Empty where the network cannot be scaled that way in this range: `why_empty`.
        knee: where the family stops paying; None with fewer than two members.
        why_empty: reason and what would help, in one sentence; empty otherwise.
    """

    rule: Rule
    label: str
    how: str
    members: tuple[Member, ...]
    knee: Knee | None = None
    why_empty: str = ""


@dataclass(frozen=True, slots=True)
class LawPoint:
    """A network that a law was fitted on (`fitted`), or that it is compared with.

    Attributes:
        label: name or arch_id.
        x, y: in the law's units.
        fitted: whether the fit has seen it.
    """

    label: str
    x: float
    y: float
    fitted: bool = True


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A law at one place.

    Attributes:
        x: in the law's unit.
        y: best guess.
        low, high: confidence band of the law itself.
        new_low, new_high: prediction band: where one more network of the family would lie.
    """

    x: float
    y: float
    low: float
    high: float
    new_low: float
    new_high: float


@dataclass(frozen=True, slots=True)
class Law:
    """`y = coefficient * (x / x_scale) ** exponent + offset`, fitted by least squares in logarithms.

    Attributes:
        y: `error` (100 - top-1, in %) or `latency` (ms).
        x: `params`, `macs`, `activations`, or `resolution` (pixels of the side).
        of: what it was fitted on, e.g. `mobilevitv2, published top-1`, `width family, estimated top-1`.
        kind: of the values of y: published, estimated or predicted.
        rule: of the family that it belongs to; None for published networks.
        form: `power`, or `power with offset`.
        why_form: how the form was chosen, in one sentence.
        exponent: with its interval.
        coefficient: value at `x_scale`, less the offset.
        offset: in the unit of y; 0 for a pure power law.
        x_scale: geometric mean of the fitted x.
        n: networks fitted on.
        r2: share of the variance of ln y that the law explains; None with fewer than three networks.
        residual_sd: standard deviation of the residuals of ln y (0.01 is about 1 % of y); None where it cannot be known.
        prior: what was assumed beyond the data (shrinkage of the exponent), in one sentence; empty if nothing.
        level: coverage of both bands.
        points: networks fitted on and compared with.
        curve: for drawing, by rising x; x beyond the fitted range is extrapolated.
        caution: what the law cannot know, in one sentence.
    """

    y: LawOutput
    x: LawInput
    of: str
    kind: Literal["published", "estimated", "predicted"]
    rule: Rule | None
    form: LawForm
    why_form: str
    exponent: Uncertain
    coefficient: float
    offset: float
    x_scale: float
    n: int
    r2: float | None
    residual_sd: float | None
    prior: str
    level: float
    points: tuple[LawPoint, ...]
    curve: tuple[CurvePoint, ...]
    caution: str = ""


@dataclass(frozen=True, slots=True)
class CompoundOption:
    """One way to spend the budget of a compound fit.

    Attributes:
        label: `found`, `EfficientNet's`, `width only`, `depth only`, `resolution only`; where whole layers or whole patches
            miss the budget by more than 10 %: `depth, rest by width`, `resolution, rest by width`.
        alpha, beta, gamma: growth of depth, width and resolution per unit of phi (arXiv 1905.11946, eq. 3).
        phi: at which the budget is reached.
        member: the network; what was found costs the budget within `tolerance`, others within 10 %.
        lower_top1: lower bound of its top-1 in % at the view's confidence: what the fit maximises.
        probability_worse: probability that it is less accurate in truth than what was found; None for that itself.
        tied: whether the estimate cannot tell it from what was found.
    """

    label: str
    alpha: float
    beta: float
    gamma: float
    phi: float
    member: Member
    lower_top1: float
    probability_worse: float | None
    tied: bool


@dataclass(frozen=True, slots=True)
class CompoundFit:
    """The compound exponents that were found best for a target and a budget.

    Attributes:
        metric: cost that one unit of phi doubles, and that the budget is of.
        budget: in its unit (count, or ms).
        budget_text: as asked, or how it was chosen.
        tolerance: share of the budget by which an option may miss it, for networks come in steps.
        found: the best by the lower bound of top-1.
        others: compared at the same cost, in the order: EfficientNet's, width only, depth only, resolution only; one
            that cannot reach the budget is missing, and named in `missing`.
        missing: (label, why) of these.
        ranges: dimension -> (least, greatest) exponent among the candidates that the estimate cannot tell from the best;
            wide ranges say that the exponents are hardly determined.
        tried: candidates that were evaluated.
        limits: what the estimate cannot know, in sentences.
    """

    metric: CostMetric
    budget: float
    budget_text: str
    tolerance: float
    found: CompoundOption
    others: tuple[CompoundOption, ...]
    missing: tuple[tuple[str, str], ...]
    ranges: tuple[tuple[Literal["alpha", "beta", "gamma"], float, float], ...]
    tried: int
    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IsoCurve:
    """Factors that cost the same.

    Attributes:
        metric: `macs` (counted) or `latency` (predicted, ms).
        level: the cost.
        x_axis, y_axis: the two dimensions that vary, as factors of the base; the third is 1.
        points: (x factor, y factor, estimated top-1 in %) of networks, by rising x. Widths move in steps of 8, so that a
            point's cost may miss the level by up to 5 %.
    """

    metric: CostMetric
    level: float
    x_axis: Literal["width"]
    y_axis: Literal["depth", "resolution"]
    points: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class PublishedMember:
    """A published network to compare with, by our own costs and predictions.

    Attributes:
        name: e.g. `mobilevitv2_1.25`.
        series: e.g. `MobileViTv2`: networks of one series are joined by a line.
        evaluation: counted, predicted, estimated at `evaluation.resolution`, its published one.
        top1: as its authors (or timm) report it, kind `published`; None if nobody does.
        in_range: whether it lies in the range that was asked for.
    """

    name: str
    series: str
    evaluation: Evaluation
    top1: Measurement | None
    in_range: bool


@dataclass(frozen=True, slots=True)
class ScalingView:
    """All that is shown of one network, scaled.

    Attributes:
        name: of the network, as it was asked for (a stranger's text: show it as text).
        base: it, at `resolution`.
        target: device of the latencies.
        target_note: one line on how they are obtained.
        resolution: side of the image of the base, in pixels.
        command: the command line; empty if there was none.
        asked: the range in words, e.g. `1 M to 8 M params`.
        metric: what the range is of; families are sorted by it.
        low, high: the range in its unit.
        confidence: of the lower bounds of top-1.
        families: one per rule asked for, in the order of `RULES`.
        laws: of the families, then of published series.
        compound: the best exponents; None if compound scaling was not asked for or cannot be done, `notes` say why.
        iso: curves of equal cost.
        published: MobileViT v1, v2 and v3, each series by rising size.
        notes: what else there is to say, in sentences.
        seconds: it took.
        versions: (package, version).
    """

    name: str
    base: Evaluation
    target: str
    target_note: str
    resolution: int
    command: str
    asked: str
    metric: CostMetric
    low: float
    high: float
    confidence: float
    families: tuple[Family, ...]
    laws: tuple[Law, ...]
    compound: CompoundFit | None
    iso: tuple[IsoCurve, ...]
    published: tuple[PublishedMember, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    versions: tuple[tuple[str, str], ...] = ()
