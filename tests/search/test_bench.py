import random
import sys
from dataclasses import replace
from statistics import correlation, mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume

from mvsearch.api.bench import bench
from mvsearch.errors import InputError
from mvsearch.report.bench import render_bench, write_bench
from mvsearch.report.table import print_renderable
from mvsearch.search.belief import Belief
from mvsearch.search.bench import tabular
from mvsearch.search.bench.contenders import CONTENDERS, OURS, OptunaContender, make, variants_of
from mvsearch.search.bench.problems import PROBLEMS, Problem, nadir, problem_of
from mvsearch.search.bench.race import Ledger, Row, race
from mvsearch.search.bench.reference import FOLDER, load_reference, merge
from mvsearch.search.bench.results import Results, race_of
from mvsearch.search.bench.summary import leads, marks_up_to, row_at
from mvsearch.search.bench.volume import front, gains, hypervolume, insert
from mvsearch.search.screen import Screen
from mvsearch.spec.published import published_networks
from mvsearch.spec.space_file import load_space

COORDINATE = st.integers(-2, 6).map(float)
UP_DOWN = ("maximize", "minimize")


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[COORDINATE] * n), max_size=12)))
def test_hypervolume_agrees_with_optunas(points):
    import numpy as np

    inside = [p for p in points if all(v > 0 for v in p)]
    expected = compute_hypervolume(-np.array(inside), np.zeros(len(inside[0]))) if inside else 0.0
    assert hypervolume(points) == pytest.approx(expected)
    assert hypervolume([points[i] for i in front(points)]) == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE), max_size=12))
def test_a_front_holds_what_no_other_point_dominates(points):
    members = [points[i] for i in front(points)]
    grown = []
    for p in points:
        insert(grown, p)
    assert sorted(grown) == sorted(members)
    assert len(set(members)) == len(members)
    for p in points:
        assert any(all(a >= b for a, b in zip(m, p, strict=True)) for m in members)
    for m in members:
        assert not any(p != m and all(a >= b for a, b in zip(p, m, strict=True)) for p in points)


def test_gains_are_in_the_direction_of_each_objective():
    assert gains((71.0, 1.5), UP_DOWN, (68.0, 2.5)) == (3.0, 1.0)
    assert nadir([(71.0, 1.5), (68.0, 1.2)], UP_DOWN) == (68.0, 1.5)


SPECS = list(published_networks().values())


def test_the_screen_rejects_what_is_known_to_be_of_no_use():
    screen = Screen(UP_DOWN, patience=3)
    a, b = SPECS[:2]
    assert screen.reason(a, 0.1, None) == "over-budget"
    assert screen.reason(a, -0.1, Belief((70.0, 2.0), 0.2)) == "over-budget"
    assert screen.reason(a, -0.1, Belief((70.0, 2.0))) is None
    screen.add(a, (70.0, 2.0), True)
    assert screen.reason(a, -0.1, None) == "duplicate"
    assert screen.reason(b, -0.1, Belief((69.0, 2.0))) == "dominated"
    assert screen.reason(b, -0.1, Belief((69.0, 1.9))) is None


def test_the_screen_lets_a_belief_be_wrong_after_a_while_but_never_a_count():
    screen = Screen(UP_DOWN, patience=3)
    screen.add(SPECS[0], (70.0, 2.0), True)
    worse = Belief((60.0, 3.0))
    assert [screen.reason(SPECS[1], -0.1, worse) for _ in range(4)] == ["dominated"] * 3 + [None]
    for _ in range(5):
        assert screen.reason(SPECS[1], 0.1, worse) == "over-budget"
        assert screen.reason(SPECS[0], -0.1, worse) == "duplicate"


def test_an_infeasible_evaluation_dominates_nothing():
    screen = Screen(UP_DOWN)
    screen.add(SPECS[0], (80.0, 1.0), False)
    assert screen.reason(SPECS[1], -0.1, Belief((60.0, 3.0))) is None


@pytest.fixture(scope="module")
def table():
    problem = problem_of("tabular")
    rng = random.Random(0)
    return problem, [problem.space.decode(problem.space.random_point(rng)) for _ in range(250)]


def test_beliefs_about_the_table_are_biased_and_bent(table):
    problem, specs = table
    truth, belief = [problem.evaluate(s).values for s in specs], [b.values for b in problem.prior(specs)]
    error = [b[0] - t[0] for b, t in zip(belief, truth, strict=True)]
    points = [problem.space.encode(s) for s in specs]
    by_block = {k: mean(e for e, p in zip(error, points, strict=True) if p["stage5.block"] == k) for k in ("v1", "v2")}
    assert by_block["v2"] - by_block["v1"] > 1.0
    deep, shallow = (mean(e for e, p in zip(error, points, strict=True) if p["stage4.depth"] == d) for d in (4, 1))
    assert shallow - deep > 1.0
    slow = [b[1] / t[1] for b, t in zip(belief, truth, strict=True) if t[1] > 2.2]
    fast = [b[1] / t[1] for b, t in zip(belief, truth, strict=True) if t[1] < 1.4]
    assert mean(slow) > 1.05 > 0.95 > mean(fast)
    assert correlation([t[0] for t in truth], [b[0] for b in belief]) > 0.3


@pytest.mark.parametrize(("trust", "low", "high"), [("uninformative", -0.2, 0.2), ("misleading", -0.95, -0.4)])
def test_harsher_beliefs(table, trust, low, high):
    problem, specs = table
    truth, belief = [problem.evaluate(s).values for s in specs], tabular.tabular(trust).prior(specs)
    assert low < correlation([t[0] for t in truth], [b.values[0] for b in belief]) < high
    assert abs(correlation([t[1] for t in truth], [b.values[1] for b in belief])) < 0.2


def test_the_front_of_the_table_is_its_front(table):
    problem, specs = table
    members = load_reference("tabular")
    by_knobs = {m.arch_id: m.values for m in members}
    assert len(members) == len(merge(members, UP_DOWN)) > 5
    for s in specs:
        if problem.excess(s) <= 0:
            mine = problem.evaluate(s).values
            assert s.arch_id in by_knobs or any(v[0] >= mine[0] and v[1] <= mine[1] for v in by_knobs.values())
    assert all(problem.reference[0] < v[0] and v[1] < problem.reference[1] for v in by_knobs.values())


def test_what_is_raced_first_has_a_reference_front():
    assert {"two-objectives", "tabular"} <= {p.stem for p in FOLDER.glob("*.csv")} <= set(PROBLEMS)


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.csv")))
def test_members_of_a_reference_front_are_what_the_problem_says(name):
    problem, members = problem_of(name), load_reference(name)
    assert len(members) > 5
    for m in members[:: max(1, len(members) // 5)]:
        cells = m.point.split("|")
        point = {
            d.name: next(c for c in d.choices if str(c) == x) for d, x in zip(problem.space.dimensions, cells, strict=True)
        }
        spec = problem.space.decode(point)
        outcome = problem.evaluate(spec)
        assert spec.arch_id == m.arch_id
        assert outcome.values == pytest.approx(m.values)
        assert problem.constraint(spec, outcome) <= 0


def test_the_reference_point_is_the_worst_of_the_published_networks_in_budget():
    problem = problem_of("two-objectives")
    kept = [problem.evaluate(s).values for s in SPECS if problem.excess(s) <= 0]
    assert problem.reference == (min(v[0] for v in kept), max(v[1] for v in kept))
    assert all(len(d.choices) == 1 for d in problem.space.dimensions if d.name.endswith(".heads"))


def tiny_problem():
    """A handful of networks in a space of 64, a third of them over budget."""
    space = load_space("tiny")

    def values(spec):
        number = int(spec.arch_id[:6], 16)
        return 60.0 + number % 97 / 10, 1.0 + number % 89 / 100

    return Problem(
        "tiny", "made up", space, ("top-1 (%)", "latency (ms)"), UP_DOWN, (60.0, 2.0), "a corner", lambda s: Belief(values(s)),
        lambda s: 0.2 if int(s.arch_id[:6], 16) % 3 == 0 else -0.2, lambda specs: [Belief(values(s)) for s in specs],
    )  # fmt: skip


# TPE's proposals are dear, and a screened one makes many: it is raced as it is.
RACES = [(c, v) for c in CONTENDERS for v in ("as-is", "screened") if c != OURS and (c, v) != ("optuna-tpe", "screened")]


@pytest.mark.parametrize(("contender", "variant"), RACES)
def test_every_engine_races(contender, variant):
    if contender == "pymoo-nsga2":
        pytest.importorskip("pymoo")
    problem = tiny_problem()
    rows = race(problem, contender, variant, 0, 12, Ledger(problem))
    assert [r.trials for r in rows] == [10, 12]
    assert [r.hypervolume for r in rows] == sorted(r.hypervolume for r in rows)
    assert rows[-1].hypervolume > 0
    again = race(problem, contender, variant, 0, 12, Ledger(problem))
    assert [r.hypervolume for r in again] == [r.hypervolume for r in rows]
    if variant == "screened":
        assert (rows[-1].duplicates, rows[-1].infeasible) == (0, 0)
        assert rows[-1].proposals > 12
    else:
        assert rows[-1].infeasible > 0
        assert rows[-1].proposals == 12


@pytest.mark.parametrize("contender", ["random", "optuna-nsga2", "pymoo-nsga2"])
def test_an_engine_may_start_from_the_published_networks(contender):
    if contender == "pymoo-nsga2":
        pytest.importorskip("pymoo")
    evaluated = []
    problem = problem_of("two-objectives")
    watched = replace(problem, evaluate=lambda s: evaluated.append(s.arch_id) or problem.evaluate(s))
    rows = race(watched, contender, "started", 0, 3, Ledger(watched))
    kept = [s.arch_id for s in SPECS if problem.excess(s) <= 0]
    assert set(evaluated) <= set(kept)
    assert rows[-1].hypervolume > 1


def test_remembered_evaluations_are_charged_again():
    problem = tiny_problem()

    def slow(spec):
        sum(range(200_000))
        return Belief((61.0, 1.5))

    ledger = Ledger(replace(problem, evaluate=slow))
    first = race(ledger.problem, "random", "as-is", 0, 20, ledger)[-1].seconds
    second = race(ledger.problem, "random", "as-is", 0, 20, ledger)[-1].seconds
    assert second == pytest.approx(first, rel=0.5)


def test_a_race_whose_proposals_are_used_up_stays_where_it_is():
    problem = replace(tiny_problem(), excess=lambda s: 1.0)
    rows = race(problem, "random", "screened", 0, 15, Ledger(problem))
    assert [(r.trials, r.hypervolume) for r in rows] == [(10, 0.0), (15, 0.0)]


def test_a_rejected_proposal_is_told_as_a_budget_missed_or_as_a_failure():
    from optuna.samplers import RandomSampler
    from optuna.trial import TrialState

    engine = OptunaContender(tiny_problem(), RandomSampler(seed=0))
    engine.ask()
    engine.reject("over-budget", 0.7)
    engine.ask()
    engine.reject("dominated", -0.2)
    over, dominated = engine._study.trials
    assert over.constraints == {"budget": 0.7}
    assert dominated.state == TrialState.FAIL


def test_a_proposal_that_is_redrawn_is_the_one_after_a_failed_trial():
    from optuna.samplers import NSGAIISampler
    from optuna.trial import TrialState

    def drawn(redraw):
        engine, points = OptunaContender(tiny_problem(), NSGAIISampler(population_size=4, seed=0)), []
        for i in range(24):
            points.append(dict(engine.ask()))
            if i < 8 or i % 3 == 0:
                engine.tell((60.0 + i, 1.0), -1.0)
            elif redraw:
                engine.reject("dominated", -0.2)
            else:
                engine._suggested()
                engine._study.tell(engine._trial, state=TrialState.FAIL)
                engine._trial = None
        return points, len(engine._study.trials)

    (redrawn, few), (failed, many) = drawn(True), drawn(False)
    assert redrawn == failed
    assert few < many == 24


def test_without_pymoo_one_clear_message(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymoo.algorithms.moo.nsga2", None)
    with pytest.raises(InputError, match="pymoo-nsga2"):
        make("pymoo-nsga2", tiny_problem(), 0, lambda specs: [])


def rows_of(contender, variant, seed, volumes):
    return [Row("tiny", contender, variant, seed, 10 * (i + 1), (i + 1) / 10, v, 10, 0, 0) for i, v in enumerate(volumes)]


def test_leads_are_medians_over_the_best_peer():
    races = {}
    for contender, variant, last in (
        (OURS, "as-is", (4, 6, 5)),
        ("random", "as-is", (1, 2, 3)),
        ("optuna-tpe", "as-is", (9, 1, 1)),
    ):
        for seed, volume in enumerate(last):
            rows = rows_of(contender, variant, seed, [0.0, volume])
            races[race_of(rows[0])] = rows
    (lead,) = leads(races, "tiny", 20)
    assert (lead.peer, lead.ratio) == ("random", 2.5)
    (early,) = leads(races, "tiny", 10)
    assert early.ratio is None
    assert row_at(rows_of("random", "as-is", 0, [1.0, 2.0]), 19).hypervolume == 1.0
    assert marks_up_to(300) == (50, 100, 250, 300)


def test_results_survive_being_cut_short(tmp_path):
    results = Results(tmp_path / "races.csv")
    for seed in range(2):
        results.add(rows_of("random", "as-is", seed, [1.0, 2.0]), {"tiny": 4.0})
    whole = results.races()
    assert len(results.finished(20)) == 2
    text = results.path.read_text()
    assert text.splitlines()[2].endswith(",0.50000")
    results.path.write_text(text[:-30])
    assert list(results.finished(20)) == [("tiny", "random", "as-is", 0)]
    results.rewrite(whole, {})
    assert results.races() == whole
    further = rows_of("random", "as-is", 0, [1.0, 2.0, 3.0])
    results.add(further, {})
    assert results.races()["tiny", "random", "as-is", 0] == further


def test_a_file_that_holds_no_races_is_refused(tmp_path):
    path = tmp_path / "races.csv"
    path.write_text("problem,contender\nx,y\nz,w\n")
    with pytest.raises(InputError, match="line 2"):
        Results(path).races()


def test_a_bench_from_end_to_end(tmp_path, capsys):
    heard = []

    def run(resume):
        return bench(
            ["tabular"], ["random", "optuna-nsga2"], trials=20, seeds=2, out=tmp_path / "b", resume=resume,
            progress=lambda done, total, text: heard.append((done, total)),
        )  # fmt: skip

    found = run(False)
    assert heard == [(i, 8) for i in range(1, 9)]
    assert len(found.races) == 8
    with pytest.raises(InputError, match="exists"):
        run(False)
    bench(["tabular"], ["random"], ["as-is"], trials=10, seeds=3, out=tmp_path / "b", resume=True)
    again = run(True).races
    assert {race: len(rows) for race, rows in again.items()} == {race: len(rows) for race, rows in found.races.items()}
    assert len(Results(tmp_path / "b" / "races.csv").races()) == 9, "what is not asked for stays"
    assert len(heard) == 8, "nothing is raced twice"
    paths = write_bench(found.problems, found.races, found.reference, 20, tmp_path / "b")
    assert [p.name for p in paths] == ["tabular.svg", "tabular.png"]
    assert all(p.stat().st_size > 1000 for p in paths)
    print_renderable(render_bench(found.problems, found.races, found.reference, 20))
    shown = capsys.readouterr().out
    assert "Optuna NSGA-II" in shown
    assert "Reference front: hypervolume" in shown


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"problems": ["x"]}, "unknown problem `x`"),
        ({"contenders": ["x"]}, "unknown contender `x`"),
        ({"variants": ["x"]}, "unknown variant `x`"),
        ({"trials": 0}, "`--trials` is `0`"),
    ],
)
def test_what_is_not_known_is_refused_and_nothing_written(tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        bench(**{"problems": ["tabular"], "out": tmp_path / "b", **change})
    assert not (tmp_path / "b").exists()


def test_names():
    assert variants_of(OURS) == ("as-is",)
    assert variants_of("random") == ("as-is", "screened", "started")
    assert "tabular-misleading" in PROBLEMS
