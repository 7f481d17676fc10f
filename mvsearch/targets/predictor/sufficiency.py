"""Whether a phone's published latencies suffice to predict from: a rule, the same for every phone."""

from __future__ import annotations

from dataclasses import dataclass

MIN_NETWORKS = 30
MIN_FAMILIES = 10
MIN_PROTOCOLS = 2
"""With one laboratory alone nobody can tell its habits from the phone."""
MAX_MAPE = 18.0
MIN_SPEARMAN = 0.9
MAX_FACTOR = 1.6
MAX_OF_BASELINE = 0.75
"""The error may be at most this share of that of a constant plus MACs: otherwise there is no need of more."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a phone's table holds, and what a fit says of families that it has not seen.

    Attributes:
        networks, families, protocols: used by the fit.
        mape: mean absolute error over networks, a family held out at a time, in %.
        spearman: rank correlation of the same.
        factor90: 90 % of the same errors are within x/÷ this.
        baseline_mape: of a constant plus MACs on the same networks, in %.
    """

    networks: int
    families: int
    protocols: int
    mape: float
    spearman: float
    factor90: float
    baseline_mape: float


def shortfalls(e: Evidence) -> tuple[str, ...]:
    """What is missing, each in a few words; empty if the evidence suffices."""
    share = e.mape / e.baseline_mape
    checks = (
        (e.networks >= MIN_NETWORKS, f"{e.networks} networks, {MIN_NETWORKS} needed"),
        (e.families >= MIN_FAMILIES, f"{e.families} families, {MIN_FAMILIES} needed"),
        (e.protocols >= MIN_PROTOCOLS, f"{e.protocols} laboratory, {MIN_PROTOCOLS} needed"),
        (e.mape <= MAX_MAPE, f"unseen families are off by {e.mape:.0f} %, {MAX_MAPE:.0f} % allowed"),
        (e.spearman >= MIN_SPEARMAN, f"their rank correlation is {e.spearman:.2f}, {MIN_SPEARMAN} needed"),
        (e.factor90 <= MAX_FACTOR, f"90 % of their errors are within x/÷ {e.factor90:.2f}, {MAX_FACTOR} allowed"),
        (share <= MAX_OF_BASELINE,
         f"the error is {share:.2f} of that of a constant plus MACs, {MAX_OF_BASELINE} allowed"),
    )  # fmt: skip
    return tuple(text for ok, text in checks if not ok)
