"""Slimming: moves, criteria, the greedy step against brute force, whole paths, and a run that is stopped and resumed."""

from __future__ import annotations

import itertools
import math
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvsearch.costs import count
from mvsearch.search.blind import held_values
from mvsearch.search.estimate import estimate
from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.explore import Explorer, Silent
from mvsearch.search.final import FrontVerifier
from mvsearch.search.goals import Goals
from mvsearch.search.measurements import MeasurementFile
from mvsearch.search.measuring import bench_for
from mvsearch.search.packages import Packages
from mvsearch.search.slimming.criterion import CRITERIA, Mes, Standing, limits_of, saving, standing_of, violated, weigh
from mvsearch.search.slimming.measured import TOP, MeasuredSlimming
from mvsearch.search.slimming.moves import Move, Moves, move_between
from mvsearch.search.slimming.record import read_paths, slimming_paths
from mvsearch.search.slimming.slimmer import Slimmer, by_estimate
from mvsearch.search.slimming.strategy import TARGETS
from mvsearch.search.store import Store
from mvsearch.search.view import goals_of
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.record import Failure
from mvsearch.spec.run import SLIM_CRITERIA, RunSettings
from mvsearch.spec.space_file import load_space
from tests.search.fake_phone import IPHONE12, climb
from tests.search.landscape import all_specs, reduced
from tests.search.test_measured_search import Surprise

DEFAULT = load_space("mobilevit")
SMALL = reduced(
    "mobilevit", 0, stage1_channels=(16,), stage2_channels=(24, 48), stage2_blocks=(1, 2, 3),
    stage3_block=("v1", "v3-v1", "v2"), stage3_channels=(48, 64, 96), stage3_dim=(64, 96), stage3_heads=(4,),
    stage3_ffn_ratio=(2,), stage4_channels=(64, 80, 104, 128), stage4_dim=(80, 96, 120), stage4_depth=(2, 3, 4),
    stage4_heads=(4,), stage4_ffn_ratio=(2,), stage5_channels=(80, 128, 160), stage5_dim=(96, 144), stage5_heads=(4,),
    stage5_patch=(1, 2), stage5_ffn_ratio=(1, 2), head=("expand", "pool"),
)  # fmt: skip
"""Some thousand networks of about XXS's size."""
BUDGET = "2.4M-params,2ms"
"""That no published network keeps, so that there is no floor."""


def goals(budget: str) -> Goals:
    return Goals(parse_budgets([budget]), 0.8, 256)


def settings(budget: str, trials: int = 100) -> RunSettings:
    return RunSettings(
        parse_budgets([budget]), "iphone12", "small", SMALL.content_hash, trials, 0, 256, 0.8, strategy="slimming"
    )


def path_of(space, budget, criterion=SLIM_CRITERIA[0], floor=-math.inf):
    """(standing of every network on the path, its point) to the end."""
    g = goals(budget)
    slimmer = Slimmer(space, 256, by_estimate(g, IPHONE12), criterion, floor)
    point, found = slimmer.moves.largest, []
    while point:
        found.append((slimmer.standing(point), point))
        options = slimmer.look(point, limits_of(g)).options
        point = options[0].point if options else None
    return found


# Moves


@pytest.mark.parametrize(
    "name", ["mobilevit", "mobilevit_v1", "mobilevit_v2", "mobilevit_v3", "tiny", "efficientformer", "efficientformerv2"]
)
def test_nothing_is_larger_than_the_largest_by_one_choice(name):
    space = load_space(name)
    moves, held = Moves(space, space.resolution), held_values(space)
    most = count(space.decode(moves.largest), space.resolution)
    for d in space.dimensions:
        assert moves.largest[d.name] == held.get(d.name, moves.largest[d.name])
        for choice in () if d.name in held else d.choices:
            other = count(space.decode({**moves.largest, d.name: choice}), space.resolution)
            assert (other.macs, other.params) <= (most.macs, most.params), (d.name, choice)


def test_the_largest_of_a_small_space_is_the_largest():
    space = reduced("tiny", keep=7)
    largest = space.decode(Moves(space, 256).largest)
    assert count(largest, 256).macs == max(count(s, 256).macs for s in all_specs(space))


def test_moves_go_one_choice_away_from_the_costly_end():
    moves = Moves(DEFAULT, 256)
    found = {m.dimension: m.after for m in moves.of(moves.largest) if DEFAULT.by_name[m.dimension].ordered}
    assert found["stage3.channels"] == 504
    assert found["stage4.depth"] == 5
    assert (found["stage3.patch"], found["stage5.patch"]) == (4, 2)
    assert not any(name.endswith("heads") for name in found), "the estimate is blind to heads"
    blocks = {m.after for m in moves.of(moves.largest) if m.dimension == "stage4.block"}
    assert blocks == {"v2", "v3-v1", "v3-v2"}
    smallest = {d.name: d.choices[0] for d in DEFAULT.dimensions} | {f"stage{i}.patch": 8 // 2 ** (i - 3) for i in (3, 4, 5)}
    assert not [m for m in moves.of(smallest) if DEFAULT.by_name[m.dimension].ordered]


def test_a_move_in_words_and_found_again():
    move = Move("stage4.depth", 5, 4)
    assert move.words == "stage 4: layers 5 to 4"
    assert Move("head", "expand", "pool").words == "head expand to pool"
    assert Move("stage3.ffn_ratio", 2, 1).words == "stage 3: FFN ratio 2 to 1"
    assert Move("stage3.ffn12", 4, 3).words == "stage 3: FFN ratio of block 12, 4 to 3"
    assert Move("stage4.attention", 2, 1).words == "stage 4: attending blocks 2 to 1"
    before = Moves(DEFAULT, 256).largest
    after = Move("stage4.depth", before["stage4.depth"], 4).of(before)
    assert move_between(before, after) == Move("stage4.depth", 6, 4)
    assert move_between(before, before) is None
    assert move_between(before, Move("head", "expand", "pool").of(after)) is None


# Criteria

amounts = st.fixed_dictionaries({m: st.floats(0.5, 4) for m in ("params", "latency", "macs", "flops", "weight_bytes")})
standings = st.builds(lambda a, top1: Standing(top1, 0.8 * a["latency"], a), amounts, st.floats(60, 80))
limits = st.dictionaries(st.sampled_from(["params", "latency", "macs"]), st.floats(0.5, 4), min_size=1)


@given(standings, standings, limits)
def test_a_saving_lowers_what_is_violated_and_keeps_what_is_kept(before, after, limits):
    saved, over = saving(before, after, limits), violated(before, limits)
    assert saved >= 0
    if saved:
        assert set(violated(after, limits)) <= set(over)
        assert all(after.amounts[m] <= before.amounts[m] for m in over)
    if saved and over:
        assert any(after.amounts[m] < before.amounts[m] for m in over)
        assert saved <= len(over)
    elif saved:
        assert saved == pytest.approx(before.ms - after.ms)
    assert saving(before, before, limits) == 0


@given(standings, standings, standings, st.floats(0.5, 4))
def test_one_budget_on_latency_means_accuracy_per_ms(before, one, other, limit):
    a, b = (weigh(before, s, {"latency": limit}) for s in (one, other))
    if a and b and a.lost > 0 < b.lost and min(one.amounts["latency"], other.amounts["latency"]) > limit:
        per_ms = [(before.accuracy - s.accuracy) / (before.amounts["latency"] - s.amounts["latency"]) for s in (one, other)]
        assert (a.rank <= b.rank) == (per_ms[0] <= per_ms[1]) or per_ms[0] == pytest.approx(per_ms[1])


def test_several_budgets_are_weighed_by_what_is_left_of_their_excess():
    before = Standing(75, 8, {"params": 4e6, "latency": 10.0})
    after = Standing(74, 7, {"params": 3e6, "latency": 9.0})
    assert saving(before, after, {"params": 2e6, "latency": 5.0}) == pytest.approx(1 / 2 + 1 / 5)
    assert saving(before, after, {"params": 3.5e6, "latency": 5.0}) == pytest.approx(1 + 1 / 5), "no more than the excess"
    assert saving(before, after, {"params": 5e6, "latency": 5.0}) == pytest.approx(1 / 5)
    assert saving(before, after, {"params": 5e6, "latency": 12.0}) == pytest.approx(1.0), "ms, once all is kept"
    assert saving(before, replace(after, amounts={"params": 4.1e6, "latency": 9.0}), {"params": 2e6, "latency": 5.0}) == 0


def test_larger_networks_have_a_lower_efficiency_score():
    mes = Mes()
    assert mes.of(3e6, 1.0) == pytest.approx(100)
    assert mes.of(12e6, 1.0) == pytest.approx(50)
    assert mes.of(3e6, 2.0) == pytest.approx(50)
    assert mes.of(6e6, 2.0) < mes.of(3e6, 2.0) < mes.of(3e6, 1.0)
    assert Mes(base=1, units={"params": 1e6, "latency": 2}, exponents={"latency": 2}).of(9e9, 4) == pytest.approx(0.25)


@given(standings, standings)
def test_an_efficiency_score_gains_where_a_network_shrinks(before, after):
    gain = Mes().gain(before, after, {})
    smaller = after.amounts["params"] < before.amounts["params"] and after.ms < before.ms
    larger = after.amounts["params"] > before.amounts["params"] and after.ms > before.ms
    assert gain > 0 if smaller else gain < 0 if larger else True


def test_units_of_the_efficiency_score_change_no_choice():
    ends = [Standing(70, ms, {"params": p, "latency": ms}) for p, ms in ((4e6, 2.0), (5e6, 1.0), (2e6, 3.0))]
    plain, other = Mes(), Mes(base=7, units={"params": 1, "latency": 9})
    before = Standing(71, 4, {"params": 9e6, "latency": 4})
    ratios = {round(plain.gain(before, s, {}) / other.gain(before, s, {}), 6) for s in ends}
    assert len(ratios) == 1


# Steps and paths


@pytest.mark.parametrize("criterion", SLIM_CRITERIA)
def test_the_best_move_is_the_best_by_brute_force(criterion):
    """Against an independent search of all points that differ in one dimension, from complete evaluations."""
    g = goals(BUDGET)
    budgets = {b.metric: b.limit for b in g.budgets}
    slimmer = Slimmer(SMALL, 256, by_estimate(g, IPHONE12), criterion)
    point, steps, mes = slimmer.moves.largest, 0, Mes()

    def figures(p):
        e = estimate(SMALL.decode(p), 256, IPHONE12)
        m = e.measurements
        amounts = {"params": m["params"].value, "latency": m["latency"].quantile(0.8)}
        return m["top1"].quantile(0.2), m["latency"].value, amounts

    while True:
        top1, ms, now = figures(point)
        over = [k for k, limit in budgets.items() if now[k] > limit]
        best = None
        for d in SMALL.dimensions:
            at = d.choices.index(point[d.name])
            costly_end_last = not d.name.endswith("patch")
            near = (d.choices[at - 1 : at] if at else ()) if costly_end_last else d.choices[at + 1 : at + 2]
            for choice in near if d.ordered else [c for c in d.choices if c != point[d.name]]:
                other_top1, other_ms, after = figures({**point, d.name: choice})
                rises = any(after[k] > now[k] for k in over)
                breaks = any(after[k] > budgets[k] for k in budgets if k not in over)
                saved = sum(min(1, (now[k] - after[k]) / (now[k] - budgets[k])) for k in over) if over else ms - other_ms
                gain = (
                    saved if criterion == "accuracy-per-ms" else mes.of(after["params"], other_ms) - mes.of(now["params"], ms)
                )
                if rises or breaks or saved <= 0 or gain <= 0:
                    continue
                lost = top1 - other_top1
                rank = (0, lost, -gain) if lost <= 0 else (1, lost / gain, 0)
                if best is None or rank < best[0]:
                    best = (rank, {**point, d.name: choice})
        options = slimmer.look(point, budgets).options
        assert (options[0].point if options else None) == (best[1] if best else None)
        if best is None:
            break
        point, steps = best[1], steps + 1
    assert steps > 8


@pytest.mark.parametrize(
    ("name", "budget", "criterion"),
    [
        ("mobilevit_v2", "600k-params,400M-macs", "accuracy-per-ms"),
        ("mobilevit_v3", "2.5G-flops,3ms", "accuracy-per-ms"),
        ("tiny", "1.1M-params", "accuracy-per-ms"),
        ("tiny", "2.6ms", "mes"),
    ],
)
def test_what_is_violated_falls_along_a_path_until_the_budgets_are_met(name, budget, criterion):
    # Wide steps, so that a path takes tens of them.
    space = load_space(name)
    space = replace(space, dimensions=tuple(replace(d, choices=_thinned(d.choices)) for d in space.dimensions))
    limits, path = limits_of(goals(budget)), path_of(space, budget, criterion)
    assert violated(path[0][0], limits)
    met = False
    for (before, _), (after, point) in itertools.pairwise(path):
        assert space.decode(point) in space
        over = violated(before, limits)
        assert set(violated(after, limits)) <= set(over)
        assert all(after.amounts[m] <= before.amounts[m] for m in over)
        assert any(after.amounts[m] < before.amounts[m] for m in over) or (not over and after.ms < before.ms)
        met = met or not violated(after, limits)
    assert met


def _thinned(choices):
    return choices if len(choices) < 4 else choices[:: len(choices) // 3]


def test_no_network_below_the_floor_is_gone_to_once_the_budgets_are_met():
    limits, floor = limits_of(goals(BUDGET)), 64.0
    free, bounded = path_of(SMALL, BUDGET), path_of(SMALL, BUDGET, floor=floor)
    met = [standing for standing, _ in bounded if not violated(standing, limits)]
    assert met
    assert min(s.accuracy for s in met) >= floor > min(s.accuracy for s, _ in free)


# A run


class Killed(Exception):
    pass


class Stops(Silent):
    """Ends the process, as it were, after so many trials."""

    def __init__(self, after):
        self.after = after

    def progress(self, done, total, best):
        if done == self.after:
            raise Killed


class Fails(InProcessExecutor):
    """Loses every candidate of one of these numbers."""

    def __init__(self, *numbers):
        self.numbers, self.done = numbers, 0

    def feed(self, task, source, resource=None, timeout_s=None):
        for i, result in super().feed(task, source, resource, timeout_s):
            self.done += 1
            yield i, Failure("worker-lost", "it went away") if self.done - 1 in self.numbers else result


def explore(store, budget=BUDGET, trials=100, listener=None, executor=None, space=SMALL, **more):
    g = goals_of(settings(budget), IPHONE12)
    explorer = Explorer(space, g, IPHONE12, store, 0, listener or Silent(), strategy="slimming", stop_flat=False, **more)
    return explorer.run(trials, [executor or InProcessExecutor()]), explorer, g


@pytest.fixture
def store(tmp_path):
    with closing(Store(tmp_path / "t.sqlite", SMALL, 256)) as opened:
        yield opened


def test_a_run_keeps_its_paths_and_its_front_keeps_the_budgets(store):
    trials, explorer, g = explore(store)
    assert "every slimming path has come to its end" in explorer.ended
    assert len({t.evaluation.arch_id for t in trials}) == len(trials)
    assert trials[0].point == Moves(SMALL, 256).largest
    assert [t.number for t in trials] == [t.generation for t in trials] == list(range(len(trials)))
    for t in trials:
        assert t.feasible == (g.excess(t.evaluation.spec) <= 0 and g.violation(t.evaluation) <= 0)
    front = explorer.front(trials)
    assert front
    assert all(t.feasible for t in front)
    paths = slimming_paths(store, trials, g, "accuracy-per-ms")
    assert 2 <= len(paths) <= len(TARGETS)
    passed = {s.trial for p in paths for s in p.steps}
    assert passed == set(range(len(trials))), "every trial is on a path"
    for path in paths:
        assert path.steps[0].trial == 0
        kept = [s.in_budget for s in path.steps]
        assert kept == sorted(kept), "what was met stays met"
        for before, after in itertools.pairwise(path.steps):
            move = move_between(trials[before.trial].point, trials[after.trial].point)
            assert move is not None
            assert after.move == move.words
            assert after.saved_ms == pytest.approx(
                before.evaluation.measurements["latency"].value - after.evaluation.measurements["latency"].value
            )
    proposed, over, same = store.screened()
    assert proposed >= len(trials) + same
    assert over > 0


def test_a_run_that_was_killed_goes_the_same_paths(tmp_path):
    with closing(Store(tmp_path / "whole.sqlite", SMALL, 256)) as whole:
        trials, _, _ = explore(whole, trials=45)
        paths = read_paths(whole)
    assert len(paths) > 1
    for after in (1, 6, 17, 11):  # One after the other: at the start, on the first path, on the second one, past its start.
        with closing(Store(tmp_path / "killed.sqlite", SMALL, 256)) as killed, pytest.raises(Killed):
            explore(killed, trials=45, listener=Stops(len(killed.trials()) + after))
    with closing(Store(tmp_path / "killed.sqlite", SMALL, 256)) as killed:
        again, _, _ = explore(killed, trials=45)
        assert read_paths(killed) == paths
    assert [(t.point, t.origin, t.feasible) for t in again] == [(t.point, t.origin, t.feasible) for t in trials]


def test_a_kill_between_the_path_and_its_trial_changes_nothing(store, monkeypatch):
    add, count_added = store.add, itertools.count()

    def add_or_die(trial):
        if next(count_added) == 9:
            raise Killed
        add(trial)

    monkeypatch.setattr(store, "add", add_or_die)
    with pytest.raises(Killed):
        explore(store)
    assert read_paths(store)[0].trials == tuple(range(10))
    assert len(store.trials()) == 9
    monkeypatch.undo()
    trials, _, _ = explore(store, trials=15)
    assert read_paths(store)[0].trials[:12] == tuple(range(12))
    assert move_between(trials[8].point, trials[9].point)


def test_more_trials_go_on_where_the_path_was(store):
    few, _, _ = explore(store, trials=10)
    more, _, _ = explore(store, trials=20)
    assert len(few) == 10
    assert more[:10] == few
    assert len(more) == 20
    assert move_between(more[9].point, more[10].point)


def test_a_network_that_fails_is_left_and_another_move_taken(store):
    trials, _, g = explore(store, executor=Fails(5, 6), trials=15)
    assert [t.number for t in trials if t.evaluation.failure] == [5, 6]
    path = read_paths(store)[0].trials
    assert {5, 6}.isdisjoint(path)
    assert path[:7] == (0, 1, 2, 3, 4, 7, 8)
    assert len({t.evaluation.arch_id for t in trials}) == len(trials)
    assert slimming_paths(store, trials, g, "accuracy-per-ms")


def test_a_largest_network_that_fails_ends_the_search(store):
    trials, explorer, _ = explore(store, executor=Fails(0))
    assert len(trials) == 1
    assert "no move is left" in explorer.ended


def test_a_budget_that_no_move_reaches_ends_the_search(store):
    trials, explorer, _ = explore(store, budget="0.2ms")
    assert "no move is left that lowers what is over the budget" in explorer.ended
    assert not any(t.feasible for t in trials)
    assert explorer.front(trials) == []


# By measurement


class Measuring:
    """A run over the small space with a phone that is slower on one kind of block than predicted."""

    def __init__(self, folder, store, budget):
        self.phone, self.store = Surprise(), store
        self.trials, _, self.goals = explore(store, budget, trials=22)
        executor = InProcessExecutor()
        self.verifier = FrontVerifier(
            self.goals, store, executor, climb, self.phone, 0, Packages(folder / "coreml"),
            MeasurementFile(folder / "measurements.jsonl"), bench_for(executor, self.phone, 0), most=1,
        )  # fmt: skip

    def run(self, wanted):
        return MeasuredSlimming(SMALL, self.goals, self.phone, self.store, self.verifier).run(self.store.trials(), wanted)


@pytest.mark.parametrize("budget", [BUDGET, "1.1M-params"])
def test_the_move_that_is_best_by_measurement_is_taken(tmp_path, store, monkeypatch, budget):
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "cache"))
    case = Measuring(tmp_path, store, budget)
    trials = case.run(12)
    path = read_paths(store)[-1]
    assert path.measured
    assert 0 < len(case.phone.measured) <= 12
    assert len(set(case.phone.measured)) == len(case.phone.measured)
    known, limits = store.verified(), limits_of(case.goals)

    def standing(number):
        return standing_of(known[trials[number].evaluation.arch_id], case.goals)

    own = [n for n in path.trials if trials[n].evaluation.arch_id in case.phone.measured]
    assert len(own) >= 3
    for before, after in itertools.pairwise(own):
        taken = weigh(standing(before), standing(after), limits, CRITERIA["accuracy-per-ms"])
        assert taken
        near = [
            t.number
            for t in trials
            if t.evaluation.arch_id in known and move_between(trials[before].point, t.point) and t.number != after
        ]
        rivals = [w for n in near if (w := weigh(standing(before), standing(n), limits))]
        assert len(near) >= TOP - 1
        assert all(taken.rank <= w.rank for w in rivals)
    last = slimming_paths(store, trials, case.goals, "accuracy-per-ms")[-1]
    assert last.measured
    assert last.steps[-1].evaluation.measurements["latency"].kind == "measured"


def test_measured_slimming_goes_on_after_a_kill(tmp_path, store, monkeypatch):
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "cache"))
    case = Measuring(tmp_path, store, BUDGET)
    case.run(6)
    half = read_paths(store)[-1].trials
    assert len(case.phone.measured) <= 6
    case.run(6)
    assert read_paths(store)[-1].trials == half
    first = len(case.phone.measured)
    case.run(12)
    assert first < len(case.phone.measured) <= 12
    assert read_paths(store)[-1].trials[: len(half)] == half
