import pytest

from mvsearch.report.words import (
    escape,
    family_of,
    full_text,
    half_width,
    part_rows,
    sentence,
    short_name,
    short_text,
)
from mvsearch.spec.published import network
from mvsearch.spec.record import Measurement

LATENCY = Measurement("latency", 3.1234, "ms", "predicted", 1.64, 5.93, 0.9, "log", target="iphone12")
TOP1 = Measurement("top1", 72.3, "%", "estimated", 69.9, 74.7, 0.9)


def test_numbers_carry_interval_and_kind():
    assert short_text(TOP1) == "72.3 ±2.4"
    assert short_text(LATENCY) == "3.12 (1.64-5.93)"
    assert short_text(Measurement("params", 1_954_618)) == "1.95 M"
    assert full_text(LATENCY) == "3.12 ms (90 %: 1.64 to 5.93), predicted on iphone12"
    assert full_text(Measurement("macs", 407_000_000)) == "407 M, counted"


def test_a_lopsided_interval_is_not_written_as_plus_minus():
    lopsided = Measurement("top1", 72.3, "%", "estimated", 69.9, 73.0, 0.9)
    assert half_width(lopsided) is None
    assert short_text(lopsided) == "72.3 (69.9-73.0)"


@pytest.mark.parametrize(
    ("name", "label", "family"),
    [
        ("mobilevit_xxs", "v1-XXS", "v1"),
        ("mobilevit_s@patch=8,4,2", "v1-S p8,4,2", "v1"),
        ("mobilevitv2_0.5", "v2-0.5", "v2"),
        ("mobilevitv3_xs_l2", "v3-XS-L2", "v3"),
        ("efficientformer_l1", "efficientformer_l1", "other"),
    ],
)
def test_published_networks_have_short_labels(name, label, family):
    assert short_name(name) == label
    assert family_of(name) == family


def test_part_rows_hold_the_whole_configuration():
    rows = part_rows(network("mobilevit_xxs"))
    assert [r.part for r in rows] == ["stem", *(f"stage {i}" for i in range(1, 6)), "head"]
    assert (rows[4].block, rows[4].channels, rows[4].dim, rows[4].depth, rows[4].heads, rows[4].patch) == (
        "v1",
        "64",
        "80",
        "4",
        "4",
        "2x2",
    )
    assert rows[-1].channels == "320"


def test_text_is_escaped_and_units_stay_with_their_number():
    assert escape("<b a='1'>&\"") == "&lt;b a=&#x27;1&#x27;&gt;&amp;&quot;"
    assert escape("71.5 % and 3.1 ms of 2 M") == "71.5\u00a0% and 3.1\u00a0ms of 2\u00a0M"
    assert sentence("done") == "done." and sentence("done.") == "done."
