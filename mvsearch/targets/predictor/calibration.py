"""What a refit to somebody's own measurements did, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """One measurement of the user's, and what the predictor says before and after.

    Attributes:
        line: of the CSV, the header being line 1.
        network: as in the CSV.
        resolution: side of the image in pixels.
        measured_ms: as in the CSV.
        before_ms: by the shipped predictor.
        after_ms: by a refit that has not seen this row; None with a single row.
        low_ms, high_ms: the interval of the calibrated predictor around its prediction of this network.
    """

    line: int
    network: str
    resolution: int
    measured_ms: float
    before_ms: float
    after_ms: float | None
    low_ms: float
    high_ms: float


@dataclass(frozen=True)
class CalibrationReport:
    """What a refit to one's own measurements did.

    Attributes:
        target: e.g. `iphone12`.
        csv: file that was read.
        csv_hash: of its content.
        anchors: networks in it.
        scale: the user's protocol over the reference, as fitted.
        mape_before: mean absolute error of the shipped predictor on these rows, in %.
        mape_after: the same with each row left out of the refit in turn; None with a single row.
        expected_mape_before, expected_mape_after: on published families with as many anchors (at most 3), simulated.
        factor_before, factor_after: the intervals' x/÷ on these networks (geometric mean), shipped and calibrated.
        level: of the intervals.
        corrections: by block (`v1`, `v2`, `v3-v1`, ...), (factor before, factor after) of the family's correction.
        rows: one by one.
        warnings: e.g. a row far from the rest.
        disagreement: the intervals are widened by this since the rows lie further apart than published ones do; at least 1.
    """

    target: str
    csv: str
    csv_hash: str
    anchors: int
    scale: float
    mape_before: float
    mape_after: float | None
    expected_mape_before: float
    expected_mape_after: float
    factor_before: float
    factor_after: float
    level: float
    corrections: dict[str, tuple[float, float]]
    rows: tuple[CalibrationRow, ...]
    warnings: tuple[str, ...] = ()
    disagreement: float = 1.0
