"""What the order of networks of equal size is worth: one letter by stated rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from mvsearch.accuracy.validation.records import Verdict

SIMILAR = 1.2
"""Ratio of params up to which two networks count as of equal size."""
GOOD, FAIR = 0.85, 0.7
"""Shares of pairs in the right order."""
MANY, FEW = 30, 10
"""Pairs: from MANY on a share is believed, below FEW it is not."""
RULE = (
    f"pairs with params within 20 %: A from {GOOD:.2f} right on, with {MANY} pairs or more; B from {FAIR:.2f}, or from "
    f"{GOOD:.2f} with {FEW} to {MANY - 1} pairs; C below {FAIR:.2f}, or with fewer than {FEW} pairs"
)
MEANING = {
    "A": "the order at equal size can be relied on",
    "B": "the order at equal size is right more often than not; near estimates are ties",
    "C": "the ranking reflects size only",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network with a label and a prediction that did not know it.

    Attributes:
        arch_id: of the architecture.
        params: learnable numbers, with 1000 classes.
        top1: label, in %.
        predicted: top-1, in %.
        own: whether it is the user's.
    """

    arch_id: str
    params: int
    top1: float
    predicted: float
    own: bool


def verdict(candidates: Sequence[Candidate]) -> Verdict:
    """The letter for these networks.

    Pairs of one architecture (a user's training of a published network beside the published label) and pairs with
    equal labels do not count. A tie in the prediction is half right.
    """
    scored = [(_right(a, b), a.own or b.own) for a, b in combinations(candidates, 2) if _counts(a, b)]
    own = [r for r, is_own in scored if is_own]
    share = sum(r for r, _ in scored) / len(scored) if scored else None
    letter = letter_of(share, len(scored))
    meaning = MEANING[letter]
    if share is not None and letter == "B" and share >= GOOD:
        meaning += f" (the share is that of an A, on fewer than {MANY} pairs)"
    if share is not None and letter == "C" and share >= FAIR:
        meaning += f" (as far as fewer than {FEW} pairs can tell)"
    return Verdict(letter, share, len(scored), sum(own) / len(own) if own else None, len(own), meaning)  # type: ignore[arg-type]


def letter_of(share: float | None, pairs: int) -> str:
    """`A`, `B` or `C` by `RULE`."""
    if share is None or pairs < FEW or share < FAIR:
        return "C"
    return "A" if share >= GOOD and pairs >= MANY else "B"


def _counts(a: Candidate, b: Candidate) -> bool:
    similar = max(a.params, b.params) <= SIMILAR * min(a.params, b.params)
    return similar and a.arch_id != b.arch_id and a.top1 != b.top1


def _right(a: Candidate, b: Candidate) -> float:
    if a.predicted == b.predicted:
        return 0.5
    return float((a.predicted > b.predicted) == (a.top1 > b.top1))
