"""The marriage of estimates and trainings, on simulated records whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mvsearch.accuracy.evidence import KNOBS
from mvsearch.accuracy.fit import fit
from mvsearch.accuracy.marriage import Implied, Marriage, Married, Scored, marry
from mvsearch.accuracy.marriage.combine import combine
from mvsearch.accuracy.marriage.residuals import STEPS, knob_steps
from mvsearch.accuracy.marriage.scale import sigma_of, student
from mvsearch.accuracy.marriage.validation import MIN_PAIRS, judged_without_band
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import network, published_networks
from mvsearch.spec.record import Measurement
from tests.accuracy.simulated import ANCHORS, RECIPES, World, candidate, estimate, training, world


def rmse(found: Marriage, truth: dict[str, float], value: Callable[[Married], float]) -> float:
    errors = [value(n) - truth[n.arch_id] for n in found.networks if n.published is None and n.trained]
    return float(np.sqrt(np.mean(np.square(errors))))


def candidates(found: Marriage) -> list[Married]:
    return [n for n in found.networks if n.published is None]


@pytest.mark.parametrize("seed", range(5))
def test_an_informative_training_beats_the_estimate(seed: int) -> None:
    w = world(seed, 24, ANCHORS, loss_sd=0.005)
    found = marry(w.networks, RECIPES)
    before, after = rmse(found, w.truth, lambda n: n.before.value), rmse(found, w.truth, lambda n: n.after.value)
    print(f"before {before:.2f}, after {after:.2f}; {found.scales[0].why}")
    assert found.used
    assert after < 0.7 * before


def test_where_both_say_something_both_together_say_more() -> None:
    """Losses with as much noise as the estimates: over worlds, the combination is nearer than either."""
    errors: dict[str, list[float]] = {"before": [], "trained": [], "after": []}
    for seed in range(12):
        w = world(seed, 20, ANCHORS, estimate_sigma=1.5, loss_sd=0.08)
        found = marry(w.networks, RECIPES, trusted=True)
        errors["before"].append(rmse(found, w.truth, lambda n: n.before.value))
        errors["trained"].append(rmse(found, w.truth, lambda n: n.trained.top1 if n.trained else np.nan))
        errors["after"].append(rmse(found, w.truth, lambda n: n.after.value))
    mean = {k: float(np.mean(v)) for k, v in errors.items()}
    print(mean)
    assert mean["after"] < 0.9 * min(mean["before"], mean["trained"])


def test_noise_leaves_the_estimates_alone() -> None:
    changed = []
    for seed in range(20):
        w = world(seed, 16, ANCHORS[:8], slope=0)
        found = marry(w.networks, RECIPES)
        assert not found.used
        assert all(n.after == n.before for n in found.networks)
        insisted = marry(w.networks, RECIPES, trusted=True)
        changed.append(insisted.scales[0].usable)
    # A t test at 5 % lets one in twenty pass, even where the user insists.
    assert sum(changed) <= 3


@pytest.mark.parametrize(("anchors", "num"), [(ANCHORS, 24), ((), 24), ((), 8), (ANCHORS[:8], 6)])
@pytest.mark.parametrize("shared", [0.0, 1.5])
def test_intervals_cover(anchors: tuple[str, ...], num: int, shared: float) -> None:
    inside, ratio = [], []
    for seed in range(20):
        w = world(seed, num, anchors, shared=shared * (-1) ** seed)
        for n in candidates(marry(w.networks, RECIPES, trusted=True)):
            assert n.after.low is not None and n.after.high is not None and n.before.low is not None
            inside.append(n.after.low <= w.truth[n.arch_id] <= n.after.high)
            ratio.append((n.after.high - n.after.low) / (2 * (n.before.value - n.before.low)))
    print(
        f"{num} candidates, {len(anchors)} anchors, shared {shared}: {np.mean(inside):.3f} inside, width x {np.mean(ratio):.2f}"
    )
    assert np.mean(inside) > 0.86  # of 90 % intervals


def test_an_error_that_all_estimates_share_needs_anchors() -> None:
    """Training judged by the estimates alone cannot see it, and does not claim to."""
    alone, anchored = world(1, 24, shared=3.0), world(1, 24, ANCHORS, shared=3.0)
    without, with_anchors = (marry(w.networks, RECIPES, trusted=True) for w in (alone, anchored))
    assert rmse(with_anchors, anchored.truth, lambda n: n.after.value) < 1.5
    assert rmse(without, alone.truth, lambda n: n.after.value) > 2.0
    for n in candidates(without):
        assert sigma_of(n.after) > 0.8 * sigma_of(n.before)


@given(
    st.floats(50, 90), st.floats(0.1, 4), st.floats(30, 110), st.floats(0.05, 8), st.floats(0, 1)
)  # fmt: skip
def test_combination(value: float, sigma: float, implied: float, implied_sigma: float, share: float) -> None:
    before = estimate(value, sigma)
    after = combine(before, Implied(0, implied, implied_sigma, share * min(sigma, implied_sigma)), "both")
    assert sigma_of(after) <= sigma * (1 + 1e-9)
    assert min(value, implied) - 1e-9 <= after.value <= max(value, implied) + 1e-9
    if share == 0:
        assert sigma_of(after) ** -2 == pytest.approx(sigma**-2 + implied_sigma**-2)
    assert sigma_of(after) >= share * min(sigma, implied_sigma) * (1 - 1e-9)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_order_of_the_arguments_does_not_matter(data: st.DataObject) -> None:
    w = world(3, 9, ANCHORS[:6], seeds=2)
    mixed = data.draw(st.permutations(w.networks))
    mixed = [replace(n, records=tuple(data.draw(st.permutations(n.records)))) for n in mixed]
    assert marry(mixed, RECIPES, trusted=True) == marry(w.networks, RECIPES, trusted=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(40, 90), st.floats(0, 3), st.one_of(st.none(), st.floats(0, 12)), st.integers(0, 2), st.booleans()),
        max_size=14,
    )
)
def test_whatever_comes_no_interval_grows_and_nothing_is_lost(rows: list[tuple[float, float, float | None, int, bool]]) -> None:
    networks = []
    for i, (value, sigma, loss, rung, is_anchor) in enumerate(rows):
        spec = candidate(i)
        records = tuple(training(spec, loss, 0, recipe) for recipe in RECIPES[: rung + 1])
        networks.append(Scored(spec, estimate(value, sigma), value if is_anchor else None, records))
    found = marry(networks, RECIPES, trusted=True)
    assert {n.arch_id for n in found.networks} == {n.spec.arch_id for n in networks}
    for n in found.networks:
        assert np.isfinite(n.after.value)
        assert sigma_of(n.after) <= sigma_of(n.before) * (1 + 1e-9)
        if n.trained is None:
            assert n.after.value == n.before.value
        else:
            assert np.isfinite((n.trained.top1, n.trained.sigma)).all()
    json.dumps(found.to_json())


def test_a_failed_training_keeps_the_estimate() -> None:
    w = world(0, 24, ANCHORS)
    first = w.networks[0]
    broken = [replace(first, records=(training(first.spec, None),)), *w.networks[1:]]
    n = marry(broken, RECIPES).by_id[first.spec.arch_id]
    assert (n.after.value, n.after.low, n.after.high) == (n.before.value, n.before.low, n.before.high)
    assert "training failed" in n.after.flags
    assert n.failures == ("rung 0, seed 0: nan: loss is not finite after step 33",)
    assert n.rung is None and n.trained is None


def test_one_that_fails_higher_up_keeps_what_it_has() -> None:
    w = world(0, 24, ANCHORS)
    first = w.networks[0]
    broken = [replace(first, records=(*first.records, training(first.spec, None, recipe="middle"))), *w.networks[1:]]
    n = marry(broken, RECIPES).by_id[first.spec.arch_id]
    assert n.rung == 0 and n.trained is not None
    assert "training failed" in n.after.flags


def test_a_training_that_broke_does_not_set_the_scale() -> None:
    w = world(0, 12, ANCHORS)
    whole = marry(w.networks, RECIPES)
    first = w.networks[0]
    broken = [replace(first, records=(training(first.spec, 9.0),)), *w.networks[1:]]
    found = marry(broken, RECIPES)
    n = found.by_id[first.spec.arch_id]
    assert n.trained is None and n.after.value == n.before.value
    assert "training far off the others" in n.after.flags
    assert found.scales[0].slope == pytest.approx(whole.scales[0].slope, rel=0.15)


@pytest.mark.parametrize("losses", [[], [0.9], [0.9] * 12, [None] * 12, [0.9, None], [float("nan")] * 6])
def test_too_little_to_go_by(losses: list[float | None]) -> None:
    networks = [
        Scored(candidate(i), estimate(70 + i, 1.0), None, (training(candidate(i), loss),)) for i, loss in enumerate(losses)
    ]
    found = marry(networks, RECIPES, trusted=True)
    assert all(n.trained is None and n.after.value == n.before.value for n in found.networks)
    assert not found.scales[0].usable and found.scales[0].why
    assert found.sentence.endswith("every top-1 is the estimate.")
    assert marry([], []).networks == ()


def test_a_rising_line_implies_nothing() -> None:
    found = marry(world(0, 24, slope=20.0).networks, RECIPES, trusted=True)
    assert found.scales[0].why == "a lower loss does not go with a higher top-1 here"
    assert all(n.after == n.before for n in found.networks)


def test_anchors_in_order_earn_trust() -> None:
    found = marry(world(0, 12, ANCHORS, loss_sd=0.001).networks, RECIPES)
    v = found.validation
    assert (v.anchors, v.pairs, v.right) == (10, 20, 20)
    assert v.estimator_right < 20 and v.kendall == 1.0
    assert found.earned and found.used
    assert "20 of 20 pairs" in found.sentence


def test_anchors_in_reverse_do_not() -> None:
    w = world(0, 12, ANCHORS, slope=20.0, loss_sd=0.001)
    found = marry(w.networks, RECIPES)
    assert found.validation.right == 0 and found.validation.kendall == -1.0
    assert not found.earned and not found.used
    assert "does not beat the estimate" in found.sentence and "`--trust-training`" in found.sentence
    assert all(n.after == n.before for n in found.networks)


def test_as_many_pairs_as_the_estimate_are_not_enough() -> None:
    """Losses that order the anchors just as the estimate does."""
    estimates = judged_without_band()
    networks = []
    for name in ANCHORS:
        spec, label = network(name), published_label(name)
        networks.append(Scored(spec, estimate(label, 0.6), label, (training(spec, 4 - estimates[name][1] / 25),)))
    v = marry(networks, RECIPES).validation
    assert v.right == v.estimator_right
    assert not v.earned


def published_label(name: str) -> float:
    from mvsearch.accuracy.published import published_top1

    label = published_top1(name)
    assert label is not None
    return label.value


def test_the_estimate_is_judged_without_the_sizes_own_anchors() -> None:
    """The same pairs in the same order as the refit's own count, all bands taken."""
    held_out = fit()["held_out"]["mobilevit_size_band"]
    labels = {name: published_label(name) for name in judged_without_band()}
    right = total = 0
    for a in labels:
        for b in labels:
            (band, x), (other, y) = judged_without_band()[a], judged_without_band()[b]
            if a < b and band == other:
                total += 1
                right += (x > y) == (labels[a] > labels[b])
    assert (right, total) == (held_out["iso_size_pairs_right"], held_out["iso_size_pairs"])


def test_few_pairs_earn_nothing() -> None:
    found = marry(world(0, 12, ANCHORS[:4], loss_sd=0.001).networks, RECIPES)
    assert found.validation.pairs == 6 < MIN_PAIRS
    assert not found.earned
    assert "too few pairs: 6" in found.sentence


def test_no_anchors_earn_nothing_but_the_user_may_insist() -> None:
    w = world(0, 24)
    assert "not validated: `--validate-proxy` trains published networks first" in marry(w.networks, RECIPES).sentence
    assert not marry(w.networks, RECIPES).used
    insisted = marry(w.networks, RECIPES, trusted=True)
    assert insisted.used and not insisted.earned
    assert "you insist" in insisted.sentence
    for n in candidates(insisted):
        assert n.trained is not None
        assert n.trained.sigma >= sigma_of(n.before)  # believed no more than the estimate


def three_rungs(seed: int) -> World:
    """27 candidates at the lowest rung, the best third at the next, three with two seeds and ten anchors at the last."""
    low = world(seed, 27, recipe="short")
    high = {r: {n.spec.arch_id: n.records for n in world(seed, 27, ANCHORS, recipe=r, seeds=2).networks} for r in RECIPES[1:]}
    by_loss = sorted(low.networks, key=lambda n: n.records[0].val_loss or 0)
    networks = [
        replace(
            n,
            records=(
                *n.records,
                *(high["middle"][n.spec.arch_id][:1] if i < 9 else ()),
                *(high["long"][n.spec.arch_id] if i < 3 else ()),
            ),
        )
        for i, n in enumerate(by_loss)
    ]
    anchors = world(seed, 27, ANCHORS, recipe="long", seeds=2)
    return World(low.truth | anchors.truth, networks + [n for n in anchors.networks if n.published is not None])


def test_rungs() -> None:
    w = three_rungs(0)
    found = marry(w.networks, RECIPES, trusted=True)
    assert [(s.candidates, s.anchors) for s in found.scales] == [(27, 0), (9, 0), (3, 10)]
    assert sorted(n.rung for n in candidates(found) if n.rung is not None) == [0] * 18 + [1] * 6 + [2] * 3
    assert [(o.lower, o.upper, o.order.n) for o in found.rung_orders] == [(0, 1, 9), (1, 2, 3)]
    assert found.scales[2].sigma_from_anchors and not found.scales[0].sigma_from_anchors
    assert found.validation.rung == 2
    assert found.scales[2].between_seeds.n == 13 and found.scales[2].replicates == 13
    assert found.scales[2].seed_sd == pytest.approx(0.02, rel=0.5)
    finalist = next(n for n in candidates(found) if n.rung == 2)
    assert finalist.trained is not None and finalist.trained.rung == 2
    assert finalist.after.basis == (
        "257 published networks, nearest mobilevitv3_xs; trained 900 steps at 128 px, 2 seeds, judged on 5,000 images"
    )
    assert finalist.after.kind == "estimated" and finalist.after.n == 257


def test_seeds_and_a_network_given_twice() -> None:
    w = world(0, 12, seeds=3)
    halves = [replace(n, records=n.records[:1]) for n in w.networks] + [replace(n, records=n.records[1:]) for n in w.networks]
    assert marry(halves, RECIPES, trusted=True) == marry(w.networks, RECIPES, trusted=True)
    one, three = (marry(n, RECIPES).networks[0].losses[0] for n in (halves[:12], w.networks))
    assert (one.seeds, three.seeds) == (1, 3) and three.se < one.se


def test_losses_on_different_images_do_not_mix() -> None:
    w = world(0, 6)
    other = replace(w.networks[0], records=tuple(replace(r, images="others") for r in w.networks[0].records))
    with pytest.raises(ValueError, match="several sets of images"):
        marry([other, *w.networks[1:]], RECIPES)


def test_a_gross_contradiction_is_told() -> None:
    w = world(0, 24, ANCHORS)
    first = w.networks[0]
    wrong = replace(first, before=estimate(w.truth[first.spec.arch_id] + 9, 1.0))
    n = marry([wrong, *w.networks[1:]], RECIPES).by_id[first.spec.arch_id]
    assert "training disagrees with the estimate" in n.after.flags


def knob_world(seed: int, effect: float, num: int = 40) -> tuple[list[Scored], dict[str, float]]:
    """Estimates that are wrong by what the FFN ratio and the depth do; 24 candidates are trained, with ten anchors."""
    rng = np.random.default_rng(seed)
    w = world(seed, num, ANCHORS)
    columns = [name for name, _ in STEPS]
    networks = []
    for i, n in enumerate(w.networks):
        if n.published is None:
            steps = knob_steps(n.spec)
            assert steps is not None
            error = effect * (steps[columns.index("FFN ratio")] - steps[columns.index("total depth")]) + rng.normal(0, 0.5)
            n = replace(n, before=estimate(w.truth[n.spec.arch_id] + error, 1.7), records=n.records if i < 24 else ())
        networks.append(n)
    return networks, w.truth


def test_the_knobs_of_trained_networks_tell_of_others() -> None:
    networks, truth = knob_world(0, effect=1.2)
    found = marry(networks, RECIPES, trusted=True)
    assert found.residuals is not None and found.residuals.used and found.residuals.n == 24
    print(found.residuals.why)
    before, after, inside, narrower = [], [], [], []
    for n in networks:
        if n.published is None and not n.records:
            m = found.after_of(n.spec, n.before)
            assert m.low is not None and m.high is not None
            before.append(n.before.value - truth[n.spec.arch_id])
            after.append(m.value - truth[n.spec.arch_id])
            inside.append(m.low <= truth[n.spec.arch_id] <= m.high)
            narrower.append(sigma_of(m) / sigma_of(n.before))
            assert m.basis.endswith("; knobs as in 24 trained networks")
    print(f"untrained: before {np.std(before):.2f}, after {np.std(after):.2f}, width x {np.mean(narrower):.2f}")
    assert np.mean(np.square(after)) < 0.6 * np.mean(np.square(before))
    assert np.mean(inside) > 0.8
    assert max(narrower) <= 1


def test_knobs_that_say_nothing_are_left_alone() -> None:
    used = []
    for seed in range(8):
        networks, _ = knob_world(seed, effect=0.0)
        found = marry(networks, RECIPES, trusted=True)
        assert found.residuals is not None
        used.append(found.residuals.used)
        if not found.residuals.used:
            untrained = next(n for n in networks if not n.records)
            assert found.after_of(untrained.spec, untrained.before) == untrained.before
    assert sum(used) <= 2


def test_eleven_are_too_few_for_a_model_and_unbelieved_training_shifts_nobody() -> None:
    assert marry(world(0, 11, ANCHORS).networks, RECIPES).residuals is None
    networks, _ = knob_world(0, effect=1.2)
    anchors_off = [replace(n, records=()) if n.published is not None else n for n in networks]
    found = marry(anchors_off, RECIPES)
    assert found.residuals is not None and not found.used
    untrained = next(n for n in networks if n.published is None and not n.records)
    assert found.after_of(untrained.spec, untrained.before) == untrained.before
    trained = candidates(found)[0]
    assert found.after_of(spec_of(networks, trained.arch_id), trained.before) == trained.after


def spec_of(networks: list[Scored], arch_id: str) -> ArchSpec:
    return next(n.spec for n in networks if n.spec.arch_id == arch_id)


def test_a_published_network_departs_in_nothing_but_its_kind() -> None:
    for name, spec in published_networks().items():
        if "@" not in name:
            steps = knob_steps(spec)
            assert steps is not None and np.allclose(steps[:-2], 0), name
    assert all(knob in KNOBS for _, knob in STEPS)


@pytest.mark.parametrize(("dof", "quantile"), [(2, 2.920), (3, 2.353), (4, 2.132), (8, 1.860), (30, 1.697), (1000, 1.646)])
def test_student(dof: int, quantile: float) -> None:
    assert student(dof) == pytest.approx(quantile, rel=0.02)


def test_an_estimate_without_interval_stays() -> None:
    w = world(0, 24, ANCHORS)
    bare = replace(w.networks[0], before=Measurement("top1", 71.0, "%", "estimated"))
    n = marry([bare, *w.networks[1:]], RECIPES).by_id[bare.spec.arch_id]
    assert n.after == n.before
