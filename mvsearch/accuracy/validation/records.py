"""What a validation of estimated top-1 says, as plain data. Everything in it is computed anew from the anchors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from mvsearch.accuracy.validation.ranks import Statistic

Obtained = Literal["counted", "estimated", "untrained network"]
Mark = Literal["size", "no evidence beyond size", "beyond size"]


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """One published MobileViT.

    Attributes:
        network: published name.
        band: size band.
        top1: published, in %.
        scores: what each row of the table says about it; None where a proxy failed.
        low, high: 90 % interval of the estimate with the size band left out, at the scale of `top1`.
    """

    network: str
    band: str
    top1: float
    scores: dict[str, float | None]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Correlation:
    """Rank correlation with published top-1.

    Attributes:
        subset: `all`, or a size band.
        networks: with a score.
        kendall: tau-b.
        spearman: rho.
    """

    subset: str
    networks: int
    kendall: Statistic
    spearman: Statistic


@dataclass(frozen=True, slots=True)
class ProxyResult:
    """One row of the table.

    Attributes:
        name: e.g. `params`.
        obtained: counted, estimated, or computed on the untrained network.
        how: in a few words.
        correlations: over all networks, then per size band.
        right: share of the iso-size pairs (two networks of one size band) that it orders as their labels do.
        pairs: how many iso-size pairs have two scores.
        over_params: its share less that of `params` on the same pairs; None for `params`.
        over_activations: the same for `activations`.
        partial: Spearman's rho given params and MACs; without a value for these two.
        mark: `size` for the counted size itself; `beyond size` if both differences lie above 0 with their intervals.
        seconds: per network, mean; None for what is not timed.
        failures: networks without a finite score.
    """

    name: str
    obtained: Obtained
    how: str
    correlations: tuple[Correlation, ...]
    right: Statistic
    pairs: int
    over_params: Statistic | None
    over_activations: Statistic | None
    partial: Statistic
    mark: Mark
    seconds: float | None
    failures: int


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """Pairs of published networks whose predicted gap lies in a range, each predicted without its family.

    Attributes:
        kind: `any two networks`, `one family`, `two MobileViTs`.
        low, high: predicted gap in points of top-1; `high` is None in the last bin.
        pairs: with different labels.
        stated: mean probability of the right order that the shipped table states for these pairs.
        stated_held_out: the same by a table that has seen no pair with one of the two families.
        observed: share in the right order.
    """

    kind: str
    low: float
    high: float | None
    pairs: int
    stated: float
    stated_held_out: float
    observed: float

    @property
    def error(self) -> float:
        """Largest difference of the two stated probabilities from what was observed."""
        return max(abs(self.stated - self.observed), abs(self.stated_held_out - self.observed))


@dataclass(frozen=True, slots=True)
class KnobRow:
    """A published pair of networks that differ in one thing.

    Attributes:
        knob: `depth`, `patch` or `v1 or v2 to v3`.
        change: from which network to which.
        published: difference in points of top-1.
        estimated: by the estimate.
        seen: how far the labels shaped the estimate.
        source: of the labels.
    """

    knob: str
    change: str
    published: float
    estimated: float
    seen: str
    source: str

    @property
    def error(self) -> float:
        """Estimated less published, in points."""
        return self.estimated - self.published

    @property
    def sign_right(self) -> bool:
        """Both point the same way; an estimate of exactly 0 points nowhere."""
        return self.published * self.estimated > 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many published labels lie in the 90 % intervals of estimates with their size band left out.

    Attributes:
        subset: of the networks, and where the intervals' width comes from.
        inside, networks: how many of how many.
        half_width: mean half width of the intervals, in points.
        mae: mean absolute error of the estimates, in points.
    """

    subset: str
    inside: int
    networks: int
    half_width: float
    mae: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the order of networks of equal size is worth.

    Attributes:
        letter: `A`, `B` or `C`.
        share: of the pairs with params within 20 % that are ordered right; None without a pair.
        pairs: how many, of published and own networks.
        own_share, own_pairs: those among them with at least one own network.
        meaning: in words.
    """

    letter: Literal["A", "B", "C"]
    share: float | None
    pairs: int
    own_share: float | None
    own_pairs: int
    meaning: str


@dataclass(frozen=True, slots=True)
class OwnRow:
    """One network that the user has trained.

    Attributes:
        line: in the file.
        network: as written.
        arch_id: of the architecture.
        resolution: side of the image in pixels.
        top1: the user's, in %.
        shipped, shipped_low, shipped_high: estimate that ships, and its 90 % interval.
        left_out: estimate refitted to the user's other networks; None if there is no other.
        low, high: its interval.
        extrapolating: the estimate says that it is far from evidence.
    """

    line: int
    network: str
    arch_id: str
    resolution: int
    top1: float
    shipped: float
    shipped_low: float
    shipped_high: float
    left_out: float | None
    low: float | None
    high: float | None
    extrapolating: bool


@dataclass(frozen=True, slots=True)
class OwnReport:
    """What the user's networks change.

    Attributes:
        file: where they come from.
        rows: one per network.
        mae_before: mean absolute error of the shipped estimate on them, in points.
        mae_after: the same refitted, each network left out; None for a single one.
        laboratory: what the user's recipe gives over the published ones at 75 % top-1, in points, after shrinkage.
        blocks_before, blocks_after: the block kinds' offsets at 75 % top-1, in points.
        sigma_before, sigma_after: standard deviation of the estimate's error for a network of published shape, in points.
        calibration_pairs: pairs of own networks that were added to the calibration table.
        verdict_before: on published networks only.
    """

    file: str
    rows: tuple[OwnRow, ...]
    mae_before: float
    mae_after: float | None
    laboratory: float
    blocks_before: dict[str, float]
    blocks_after: dict[str, float]
    sigma_before: float
    sigma_after: float
    calibration_pairs: int
    verdict_before: Verdict


@dataclass(frozen=True, slots=True)
class AccuracyValidation:
    """How far estimated top-1 is to be trusted.

    Attributes:
        data_hash: of the anchors.
        anchors: networks of other families behind the regression.
        families: of these.
        level: of all intervals.
        resamples: bootstrap samples of networks behind the intervals of the table.
        seed: of the samples, of untrained weights and of the noise images.
        images: what the proxies looked at; empty without proxies.
        networks: the published MobileViTs and their scores.
        proxies: the table.
        calibration: stated against observed.
        knobs: published pairs that differ in one thing.
        coverage: of the intervals.
        recipe_noise, recipe_noise_max: median and largest difference of one network's labels between two recipes.
        verdict: after the user's own networks, if there are any.
        own: what these change; None without any.
    """

    data_hash: str
    anchors: int
    families: int
    level: float
    resamples: int
    seed: int
    images: str
    networks: tuple[NetworkRow, ...]
    proxies: tuple[ProxyResult, ...]
    calibration: tuple[CalibrationRow, ...]
    knobs: tuple[KnobRow, ...]
    coverage: tuple[Coverage, ...]
    recipe_noise: float
    recipe_noise_max: float
    verdict: Verdict
    own: OwnReport | None

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)
