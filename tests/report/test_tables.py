import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from mvsearch.report import print_front, print_renderable, render_nearest, render_network
from mvsearch.report.nearest import excess
from mvsearch.report.select import MAX_FRONT_ROWS, shown_members, staircase, thinned
from mvsearch.report.words import short_text
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import network
from mvsearch.targets.anatomy import anatomy
from tests.report.sample import NOTE, invented_evaluation, synthetic_view


def piped(encoding="utf-8"):
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    return console, lambda: raw.getvalue().decode(encoding)


@pytest.mark.parametrize("budgets", ["2M-params", "2M-params,5ms"])
def test_front_fits_100_columns_and_is_plain_in_a_pipe(budgets):
    console, text = piped()
    print_front(synthetic_view(budgets=budgets), console)
    assert "\x1b" not in text()
    assert max(map(len, text().splitlines())) <= 100


def long_view():
    """Long names, three-digit milliseconds with intervals, and a column of two kinds."""

    def slow(evaluation, kind, level):
        latency, top1 = (evaluation.measurements[m] for m in ("latency", "top1"))
        times = {k: 37 * getattr(latency, k) for k in ("value", "low", "high")}
        changed = {"latency": replace(latency, kind=kind, level=level, **times), "top1": replace(top1, kind="measured")}
        return replace(evaluation, measurements={**evaluation.measurements, **changed})

    view = synthetic_view(budgets="2M-params,5ms")
    kinds = ("predicted", "measured")
    return replace(
        view,
        settings=replace(view.settings, target="gpu@precision=float32,batch=100,launch=eager,device=1", confidence=0.975),
        front=tuple(replace(m, evaluation=slow(m.evaluation, kinds[i % 2], 0.95)) for i, m in enumerate(view.front)),
        published=tuple(
            replace(p, name=f"{p.name}@patch=[16,16],16,16", evaluation=slow(p.evaluation, "predicted", 0.9), feasible=True)
            for p in view.published
        ),
    )


@pytest.mark.parametrize("width", [None, 60, 70, 80, 90, 100, 160])
@pytest.mark.parametrize("names", ["short", "long"])
def test_no_cell_of_the_front_is_cut_short_however_wide_it_is(names, width):
    view = long_view() if names == "long" else synthetic_view(budgets="2M-params,5ms")
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    console = Console(file=file, force_terminal=width is not None, width=width, color_system=None)
    print_front(view, console)
    lines = raw.getvalue().decode().splitlines()
    assert max(map(len, lines)) <= min(width or 100, 100)
    assert not any("…" in line for line in lines)
    head = next(line.split() for line in lines if line.split()[:1] == ["network"])
    member = next(line for line in lines if line.startswith(view.front[0].evaluation.arch_id))
    latency = view.front[0].evaluation.measurements["latency"]
    assert short_text(latency) in member
    # Which blocks a network has may take several lines; nothing of it may be lost.
    if "stages" in head:
        start = lines.index(member)
        column = lines[start - 2].index("stages 3-5")
        mine = [line[column:] for line in lines[start : start + 4] if line is member or not line[:column].strip()]
        blocks = view.front[0].evaluation.spec.blocks
        assert tuple(" ".join(mine).split())[: len(blocks)] == blocks
    else:
        assert re.search(r"Too narrow for: .*blocks of stages 3-5; front.csv", " ".join(" ".join(lines).split()))
    assert ("stages" in head) == (width is None or width >= 100)


def test_front_marks_roles_and_kinds_without_colour():
    view = synthetic_view(budgets="2M-params,5ms")
    console, text = piped()
    print_front(view, console)
    out = text()
    assert f"{view.winner} winner" in out
    assert any(f"{m.evaluation.arch_id} tied" in out for m in view.front if m.tied)
    for word in ("estimated", "predicted", "counted", "P(in", "published networks:"):
        assert word in out, word
    assert NOTE in " ".join(out.split())


def test_a_mixed_column_gives_every_kind_its_own_level():
    view = synthetic_view()
    member = view.front[0]
    latency = replace(member.evaluation.measurements["latency"], kind="measured", level=0.95)
    evaluation = replace(member.evaluation, measurements={**member.evaluation.measurements, "latency": latency})
    console, text = piped()
    print_front(replace(view, front=(replace(member, evaluation=evaluation), *view.front[1:])), console)
    said = " ".join(text().split())
    assert "measured with 95 % interval" in said
    assert "predicted with 90 % interval" in said


def test_probability_is_shown_only_with_a_latency_budget_and_authors_are_quoted():
    console, text = piped()
    print_front(synthetic_view(), console)
    assert "P(in" not in text()
    assert "authors: 71.0 %" in text()


def test_an_encoding_without_plus_minus_gets_plain_signs():
    console, text = piped("ascii")
    print_front(synthetic_view(), console)
    assert "+-" in text()


def test_a_long_front_is_spread_and_holds_winner_and_ends():
    view = synthetic_view()
    shown = shown_members(view, 5)
    assert len(shown) == 5
    assert shown[0] is view.front[0] and shown[-1] is view.front[-1]
    assert view.winning_member in shown
    assert list(shown) == sorted(shown, key=lambda m: m.evaluation.measurements["latency"].value)
    assert len(shown_members(view)) == min(MAX_FRONT_ROWS, len(view.front))


def test_staircase_keeps_what_nothing_beats():
    assert staircase([(2, 5), (1, 3), (3, 4), (1, 2), (4, 6)]) == [(1, 3), (2, 5), (4, 6)]
    assert thinned(range(10), 3) == [0, 3, 6]


def test_network_table_shows_every_metric_and_where_costs_go():
    evaluation = invented_evaluation(network("mobilevitv3_xxs"))
    console, text = piped()
    print_renderable(render_network("mobilevitv3_xxs", evaluation, anatomy(evaluation.spec, 256)), console)
    out = text()
    for word in ("1,249,448", "weights", "peak activation", "predicted", "estimated", "stage 3", "v3-v1", "cannot split"):
        assert word in out, word
    assert max(map(len, out.splitlines())) <= 100


def test_nearest_says_which_budget_binds_and_by_how_much():
    view = synthetic_view()
    console, text = piped()
    budgets = parse_budgets(["0.1M-params,3ms"])
    print_renderable(render_nearest([t.evaluation for t in view.trials], budgets), console)
    out = text()
    assert "What binds is 0.1M-params" in out
    assert "times the limit" in out
    smallest = min(view.trials, key=lambda t: t.evaluation.measurements["params"].value)
    assert smallest.evaluation.arch_id in out


@pytest.mark.parametrize(("ratio", "said"), [(0.9, "fits"), (1.12, "+12 %"), (1.0001, "+0.1 %"), (3.4, "3.4 times")])
def test_excess_wording(ratio, said):
    assert excess(ratio) == said
