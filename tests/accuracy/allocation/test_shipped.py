"""The shipped table: of one protocol, about the design of this version, and used by the estimate as its rules say."""

from mvsearch.accuracy.allocation.cases import EXPLOITED, THINNED, cases
from mvsearch.accuracy.allocation.design import BASE_NAME, KNOB_NAMES, design
from mvsearch.accuracy.allocation.findings import findings
from mvsearch.accuracy.allocation.table import SHIPPED, read_results
from mvsearch.accuracy.evidence import KNOBS

RESULTS = read_results(SHIPPED)
FOUND = findings(RESULTS)


def test_the_table_is_large_enough_and_has_replicates() -> None:
    names = {r.name for r in RESULTS} & {c.name for c in design()}
    assert len(names) >= 24
    assert len({r.seed for r in RESULTS if r.name == BASE_NAME}) >= 2
    assert all({r.seed for r in RESULTS if r.name == name} >= {0, 1} for name in cases())
    assert FOUND.top1.noise is not None and FOUND.exchange is not None


def test_every_knob_has_an_effect() -> None:
    assert FOUND.top1.undetermined == ()
    assert {f.effect.knob for f in FOUND.findings} == set(KNOB_NAMES)


def test_the_estimate_allows_the_uncertainty_that_was_found() -> None:
    for finding in FOUND.findings:
        assert finding.kappa == KNOBS[finding.meaning.evidence].kappa, finding.effect.knob


def test_no_effect_enters_the_estimate_unless_its_cost_is_in_the_evidence() -> None:
    """None does by now; one that does has to be written into `evidence.KNOBS` with its source."""
    for finding in FOUND.findings:
        if finding.use == "estimate":
            assert finding.cost is not None
            assert KNOBS[finding.meaning.evidence].bias <= finding.cost + 0.05, finding.effect.knob


def test_training_agrees_that_the_thinned_network_is_better_than_the_exploited_one() -> None:
    exploited, thinned = ([r.top1 for r in RESULTS if r.name == name] for name in (EXPLOITED, THINNED))
    assert min(thinned) - max(exploited) > 3
