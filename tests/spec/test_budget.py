import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvsearch.errors import InputError
from mvsearch.spec.budget import Budget, format_count, parse_budgets


@pytest.mark.parametrize(
    ("text", "metric", "limit"),
    [
        ("2M-params", "params", 2e6),
        ("600M-macs", "macs", 600e6),
        ("1.2G-flops", "flops", 1.2e9),
        ("5ms", "latency", 5),
        ("0.5 ms", "latency", 0.5),
        ("4MB", "weight_bytes", 4e6),
        ("1500000-params", "params", 1.5e6),
        ("2m-Params", "params", 2e6),
    ],
)
def test_reads_what_users_write(text, metric, limit):
    assert parse_budgets([text]) == (Budget(metric, limit, text),)


def test_repeated_and_comma_separated_are_alike():
    assert parse_budgets(["2M-params,5ms"]) == parse_budgets(["2M-params", "5ms"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2M-prams", "unknown unit `prams`"),
        ("2M", "no unit"),
        ("", "empty"),
        ("-2M-params", "not above zero"),
        ("0-params", "not above zero"),
        ("nan-params", "not above zero"),
        ("inf-macs", "not above zero"),
        ("params", "no number"),
        ("2Q-params", "unknown unit"),
        ("1.2.3-params", "cannot read `1.2.3`"),
        ("2M-params,3M-params", "2 budgets for one metric"),
    ],
)
def test_refuses_with_one_clear_message(text, said):
    with pytest.raises(InputError) as caught:
        parse_budgets([text])
    assert said in caught.value.message
    assert caught.value.hint


def test_names_the_nearest_unit():
    with pytest.raises(InputError, match="did you mean `2M-params`"):
        parse_budgets(["2M-prams"])


def test_shows_all_faults_at_once():
    with pytest.raises(InputError) as caught:
        parse_budgets(["2M-prams", "-1ms"])
    assert "prams" in caught.value.message
    assert "-1ms" in caught.value.message


@given(st.text(max_size=20))
def test_never_fails_otherwise(text):
    try:
        budgets = parse_budgets([text])
    except InputError:
        return
    assert all(b.limit > 0 for b in budgets)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1_249_448, "1.25 M"), (407_364_096, "407 M"), (2_033_424_384, "2.03 G"), (999, "999"), (48_000, "48.0 k")],
)
def test_counts_have_three_digits(value, text):
    assert format_count(value) == text
