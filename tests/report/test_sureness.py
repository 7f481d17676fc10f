"""Every place that shows the front or the winner says how sure it is."""

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from mvsearch.export import card
from mvsearch.report import print_front
from mvsearch.report.csv import front_rows, trial_rows, write_csv
from mvsearch.report.page import render_page
from mvsearch.report.words import probability_text, runner_up_text
from mvsearch.spec.run import RunnerUp
from tests.report.sample import synthetic_view


def printed(view):
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="utf-8", write_through=True))
    print_front(view, console)
    return raw.getvalue().decode()


def without_doubt(view):
    return replace(view, runner_up=None, front=tuple(replace(m, probability_on_front=None) for m in view.front))


@pytest.mark.parametrize("budgets", ["2M-params", "2M-params,5ms"])
def test_the_terminal_says_it_in_a_column_and_of_the_winner_in_words(budgets):
    view = synthetic_view(budgets=budgets)
    text = printed(view)
    said = " ".join(text.split())
    assert "P(on" in text and "`P(on front)`:" in said
    assert f"on the true front with probability {view.winning_member.probability_on_front:.2f}" in said
    assert f"runner-up: {view.runner_up.arch_id}, the better choice with probability 0.43" in said
    assert "it is a coin flip" in said
    assert max(map(len, text.splitlines())) <= 100
    assert "v3-v2" in text, "the blocks keep their column"


def test_a_view_without_doubt_says_nothing_of_it():
    view = without_doubt(synthetic_view())
    text = printed(view)
    assert "P(on" not in text and "runner-up" not in text
    assert "true front" not in render_page(view).split("What every number means")[0]


def test_front_csv_has_the_probability_and_trials_csv_leaves_it_open(tmp_path):
    view = synthetic_view()
    write_csv(tmp_path / "front.csv", front_rows(view))
    write_csv(tmp_path / "trials.csv", trial_rows(view))
    front, trials = (list(csv.DictReader((tmp_path / n).open(encoding="utf-8"))) for n in ("front.csv", "trials.csv"))
    assert [float(r["probability_on_front"]) for r in front] == pytest.approx([m.probability_on_front for m in view.front])
    assert {r["probability_on_front"] for r in trials} == {""}


def test_the_page_says_it_in_words_in_the_table_and_of_every_member():
    view = synthetic_view()
    page = render_page(view)
    assert "P(on front)" in page
    assert f"The runner-up is <code>{view.runner_up.arch_id}</code>, the better choice" in page
    data = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    (metric,) = [m for m in data["metrics"] if m["key"] == "on_front"]
    shown = dict(zip(data["names"], metric["values"], strict=True))
    for member in view.front:
        assert shown[member.evaluation.arch_id] == pytest.approx(member.probability_on_front, abs=0.005)
    assert sum(value is not None for value in shown.values()) == len(view.front)


@pytest.mark.parametrize(("p", "said"), [(0.001, "<0.01"), (0.01, "0.01"), (0.427, "0.43"), (0.995, ">0.99"), (0.99, "0.99")])
def test_no_probability_is_shown_that_draws_cannot_tell(p, said):
    assert probability_text(p) == said


@pytest.mark.parametrize(
    ("p", "said"),
    [(0.2, "faster)"), (0.41, "coin flip"), (0.59, "coin flip"), (0.8, "likely so, but the choice goes by lower")],
)
def test_how_sure_the_choice_is_stands_in_words(p, said):
    text = runner_up_text(RunnerUp("abc", p))
    assert said in text
    assert ("coin flip" in text) == (0.4 <= p <= 0.6)


def test_the_card_has_a_section_of_its_own_only_where_a_search_has_said_so():
    metrics = {
        "measurements": {}, "exports": {}, "resolution": 256,
        "provenance": {"seed": 0, "probability_on_front": 0.31, "runner_up": "abc", "probability_runner_up_better": 0.44},
    }  # fmt: skip
    text = "\n".join(card._sureness(metrics))
    assert (
        "With probability 0.31" in text and "`abc`, is the better choice with probability 0.44" in text and "coin flip" in text
    )
    lone = {**metrics, "provenance": {"probability_on_front": 1.0}}
    assert "runner-up" not in "\n".join(card._sureness(lone))
    assert card._sureness({"provenance": {"seed": 0}}) == []
