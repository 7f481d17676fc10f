"""What a lesson is, what came out of it on a target, and the rule of its verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mvsearch.costs import Costs, OpKind
from mvsearch.spec.lessons import LessonNetwork
from mvsearch.spec.record import Measurement

Verdict = Literal["agrees", "disagrees", "cannot tell", "no finding"]
MATERIAL = 0.02
"""Share of the latency below which a difference is none: measurements of one network repeat within 2 to 3 % here."""
ALIKE = 1.1
"""Networks whose latencies differ by less than this factor count as about equally fast."""
RULE = (
    f"slower: agrees if the interval of the ratio lies above 1 and the ratio is {1 + MATERIAL:g} or more, disagrees if all of "
    f"the interval lies below {1 + MATERIAL:g}. About as fast: agrees if the interval lies within x/÷ {ALIKE:g}, disagrees if "
    "it lies outside. Else it cannot be told. A lesson agrees where all its pairs do, and disagrees where one does."
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the paper says of a pair.

    Attributes:
        how: the first network is `slower` than the second, or about as fast (`alike`).
        text: the paper's words in short, with its numbers where there are any.
        factors: from how many to how many times slower, where the paper has a number; None without.
    """

    how: Literal["slower", "alike"]
    text: str
    factors: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two networks that differ in one thing.

    Attributes:
        differs: that thing.
        first, second: the networks; where the paper finds one slower, it is the first.
        claim: the paper's finding; None where it has none.
        caveat: what a prediction cannot see of it, or what else is known; empty for nothing.
    """

    differs: str
    first: LessonNetwork
    second: LessonNetwork
    claim: Claim | None = None
    caveat: str = ""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One observation and the pairs that it is tried on.

    Attributes:
        name: short, for columns and files.
        finding: the observation, as the paper heads it.
        source: paper and section.
        certainty: what of it is quoted, and what was not checked against the text.
        pairs: at least one.
    """

    name: str
    finding: str
    source: str
    certainty: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Latency of the first network over that of the second.

    Attributes:
        value: best estimate.
        low, high: interval at `level`.
        level: coverage.
        first_slower: probability that the ratio is above 1; None where it was measured.
        basis: what the interval rests on.
    """

    value: float
    low: float
    high: float
    level: float
    first_slower: float | None
    basis: str


@dataclass(frozen=True, slots=True)
class KindDifference:
    """Operations of one kind that only one of two networks has, or that differ in size.

    Attributes:
        kind: one of `costs.OP_KINDS`.
        first, second: operations in each network that the other lacks.
        ms: predicted, first less second; None where nothing is predicted.
        share: of the predicted difference of the networks; None where nothing is predicted, or there is no difference.
    """

    kind: OpKind
    first: int
    second: int
    ms: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class PairResult:
    """What came out of a pair on a target.

    Attributes:
        pair: the networks.
        costs: counted, of both.
        latencies: of both, in ms.
        ratio: first over second, with an interval of its own: the two share most of their errors.
        kinds: where their operations differ.
        verdict: whether that agrees with the paper.
        why: of the verdict, in a few words.
    """

    pair: Pair
    costs: tuple[Costs, Costs]
    latencies: tuple[Measurement, Measurement]
    ratio: Ratio
    kinds: tuple[KindDifference, ...]
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True)
class LessonResult:
    """What came out of a lesson on a target.

    Attributes:
        lesson: the observation.
        pairs: in its order.
        verdict: of all pairs together.
    """

    lesson: Lesson
    pairs: tuple[PairResult, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class LessonsView:
    """All lessons on one target.

    Attributes:
        target: name of the device.
        kind: whether latencies were measured or predicted.
        device: the hardware.
        runtime: what executes the networks.
        conditions: load of the machine before and after a measurement; empty for predictions.
        results: one per lesson.
    """

    target: str
    kind: Literal["measured", "predicted"]
    device: str
    runtime: str
    conditions: tuple[tuple[str, str], ...]
    results: tuple[LessonResult, ...]


def judge(claim: Claim | None, ratio: Ratio) -> tuple[Verdict, str]:
    """Whether a ratio agrees with what the paper says, by `RULE`; and why, in a few words."""
    if claim is None:
        return "no finding", "the paper compares no such pair"
    if claim.how == "alike":
        if ratio.low >= 1 / ALIKE and ratio.high <= ALIKE:
            return "agrees", f"within x/÷ {ALIKE:g}"
        if ratio.low > ALIKE or ratio.high < 1 / ALIKE:
            return "disagrees", f"not within x/÷ {ALIKE:g}"
        return "cannot tell", f"the interval crosses x/÷ {ALIKE:g}"
    if ratio.high < 1 + MATERIAL:
        return (
            "disagrees",
            "the first is the faster one" if ratio.high < 1 else f"slower by less than {100 * MATERIAL:g} % at most",
        )
    if ratio.low <= 1:
        return "cannot tell", "the interval of the ratio holds 1"
    if ratio.value < 1 + MATERIAL:
        return "cannot tell", f"surely slower, yet by less than {100 * MATERIAL:g} %"
    if claim.factors is None:
        return "agrees", "surely slower"
    least, most = claim.factors
    how = "less than" if ratio.high < least else "more than" if ratio.low > most else "about as much as"
    return "agrees", f"surely slower, {how} in the paper (x {factors_text(claim.factors)})"


def factors_text(factors: tuple[float, float]) -> str:
    """`3.7`, or `1.1 to 1.3`."""
    least, most = (f"{f:.3g}" for f in factors)
    return least if least == most else f"{least} to {most}"


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a lesson from those of its pairs; pairs without a finding do not count."""
    found = {v for v in verdicts if v != "no finding"}
    if "disagrees" in found:
        return "disagrees"
    if "cannot tell" in found or not found:
        return "cannot tell"
    return "agrees"
