"""A network scaled: families, gains, compound exponents, curves of equal cost."""

import math
from itertools import pairwise

import pytest

from mvsearch.accuracy import estimate_top1
from mvsearch.costs import count
from mvsearch.errors import InputError, TargetError
from mvsearch.scaling.explore import Question, explore
from mvsearch.scaling.gains import WINDOW, with_gains
from mvsearch.scaling.ranges import parse_range
from mvsearch.scaling.view import RULES
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import network, with_patches
from mvsearch.targets import get_target

PHONE = get_target("iphone12")


def asked(name, metric, text, **more):
    spec = more.pop("spec", None) or network(name)
    return explore(
        Question(name, spec, more.pop("side", 256), parse_range(metric, text), more.pop("rules", RULES), **more), PHONE
    )


@pytest.fixture(scope="module")
def view():
    return asked("mobilevitv2_1.0", "macs", "400M..4G", members=6)


def test_members_are_exact_distinct_within_the_range_and_even(view):
    for family in view.families:
        sizes = []
        for m in family.members:
            found = m.evaluation.measurements
            costs = count(m.evaluation.spec, m.evaluation.resolution)
            assert (found["params"].value, found["macs"].value) == (costs.params, costs.macs)
            assert view.low <= costs.macs <= view.high
            sizes.append(costs.macs)
        assert len({(m.arch_id, m.evaluation.resolution) for m in family.members}) == len(family.members)
        assert sizes == sorted(sizes)
        assert sum(m.is_base for m in family.members) == 1
    wide = next(f for f in view.families if f.rule == "width")
    sizes = [m.evaluation.measurements["macs"].value for m in wide.members]
    steps = [math.log(b / a) for a, b in pairwise(sizes)]
    assert max(steps) < 2 * min(steps)


def test_the_published_multipliers_are_members_by_name():
    wide = asked("mobilevitv2_0.75", "params", "1.3M..19M", rules=("width",), members=400).families[0]
    names = {m.name for m in wide.members}
    assert names >= {f"mobilevitv2_{w}" for w in ("0.5", "0.75", "1.0", "1.25", "1.5", "1.75", "2.0")}
    assert next(m for m in wide.members if m.name == "mobilevitv2_1.5").factor == pytest.approx(2)


def test_published_points_lie_beside_the_families(view):
    series = {p.series for p in view.published}
    assert series == {"MobileViT v1", "MobileViTv2", "MobileViTv3", "MobileViTv3 L2", "MobileViTv3 on v2"}
    named = {p.name: p for p in view.published}
    assert named["mobilevitv3_s"].top1.kind == "published"
    assert named["mobilevitv2_1.25"].in_range
    assert not named["mobilevitv2_2.0"].in_range
    assert not any("@" in name for name in named)


def test_gains_add_up_and_carry_their_doubt(view):
    for family in view.families:
        first, *rest = family.members
        assert first.marginal is None
        whole = rest[-1].evaluation.measurements["top1"].value - first.evaluation.measurements["top1"].value
        assert sum(m.marginal.points.value for m in rest) == pytest.approx(whole)
        for m in rest:
            g = m.marginal
            assert g.points.low < g.points.value < g.points.high
            assert (g.probability > 0.5) == (g.points.value > 0)
            assert (g.points_per_ms is None) == (g.added_ms <= 0)


def test_the_knee_does_not_hang_on_how_many_members_there_are():
    places = []
    for members in (8, 40):
        deep = asked("mobilevitv2_1.0", "params", "3M..20M", rules=("depth",), members=members).families[0]
        places.append(deep.members[deep.knee.index].evaluation.measurements["latency"].value)
        assert f"{places[-1]:.2f} ms" in deep.knee.text
    assert max(places) / min(places) < WINDOW


def test_a_family_of_one_has_no_gain(view):
    assert with_gains(view.families[0].members[:1]) == (view.families[0].members[:1], None)


def test_compound_options_cost_the_same_and_the_best_is_found(view):
    fit = view.compound
    assert fit.metric == "macs"
    for option in (fit.found, *fit.others):
        spent = option.member.evaluation.measurements["macs"].value
        assert spent == pytest.approx(fit.budget, rel=fit.tolerance if option is fit.found else 0.1)
        # alpha^phi, beta^phi and gamma^phi are what was done.
        made = option.alpha**option.phi, option.beta**option.phi, option.gamma**option.phi
        assert made == pytest.approx((option.member.depth, option.member.width, option.member.resolution))
    labels = [o.label for o in fit.others] + [label for label, _ in fit.missing]
    assert [label.split()[0].rstrip(",") for label in labels] == ["EfficientNet's", "width", "depth", "resolution"]
    assert all(v >= 1 - 1e-9 for v in (fit.found.alpha, fit.found.beta, fit.found.gamma))
    wide = next(o for o in fit.others if o.label == "width only")
    assert fit.found.lower_top1 >= wide.lower_top1 - 1e-9
    assert all(low <= getattr(fit.found, name) <= high for name, low, high in fit.ranges)
    assert len(fit.limits) >= 3


def test_compound_for_a_latency_budget():
    fit = asked("mobilevitv3_xs", "params", "1M..8M", rules=("compound",), budget=parse_budgets(["8ms"])[0]).compound
    assert fit.metric == "latency"
    assert fit.found.member.evaluation.measurements["latency"].value == pytest.approx(8, rel=0.05)
    assert fit.budget_text == "8ms"


def test_curves_of_equal_cost_cost_the_same(view):
    assert {(c.metric, c.y_axis) for c in view.iso} == {(m, y) for m in ("macs", "latency") for y in ("depth", "resolution")}
    for curve in view.iso:
        assert [p[0] for p in curve.points] == sorted(p[0] for p in curve.points)
        ys = [p[1] for p in curve.points]
        assert ys[0] > ys[-1], "wider has to be shallower, or smaller, at the same cost"


def test_laws_say_what_they_are_of(view):
    kinds = {(law.kind, law.y) for law in view.laws}
    assert kinds == {("estimated", "error"), ("predicted", "latency"), ("published", "error")}
    for law in view.laws:
        assert law.exponent.low <= law.exponent.value <= law.exponent.high
        assert (law.exponent.value < 0) == (law.y == "error")
        for p in law.curve:
            assert p.new_low <= p.low <= p.y <= p.high <= p.new_high
        assert law.caution
    v2 = next(law for law in view.laws if law.of.startswith("MobileViTv2,") and law.x == "params")
    assert (v2.n, v2.form, v2.prior) == (7, "power with offset", "")
    v1 = next(law for law in view.laws if law.of.startswith("MobileViT v1,") and law.x == "params")
    assert v1.n == 3
    assert "25 published series" in v1.prior


def test_top1_is_as_everywhere_else_at_any_side():
    found = asked("mobilevit_xs", "macs", "300M..3G", side=192, rules=("width", "resolution"), members=4)
    members = [m.evaluation for f in found.families for m in f.members]
    assert len({e.resolution for e in members}) > 3
    for e in (found.base, *members):
        assert e.measurements["top1"] == estimate_top1(e.spec, e.resolution)


def test_patches_that_tile_nothing_leave_other_rules():
    odd = with_patches(network("mobilevit_xs"), (7, 5, 9))
    found = asked("odd", "macs", "500M..2G", spec=odd, members=3)
    families = {f.rule: f for f in found.families}
    assert not families["resolution"].members
    assert "patches tile" in families["resolution"].why_empty
    assert families["width"].members
    with pytest.raises(InputError, match="patches tile"):
        asked("odd", "macs", "500M..2G", spec=odd, rules=("resolution",))


@pytest.mark.parametrize(
    ("text", "rules", "said"),
    [
        ("900M..950M", RULES, "by width: it reaches"),
        ("2001000..2001100", RULES, "in steps that leave the range out"),
        ("1M..8M", ("resolution",), "larger images change no parameters"),
    ],
)
def test_what_cannot_be_reached_is_said(text, rules, said):
    with pytest.raises(InputError, match=said):
        asked("mobilevitv2_1.0", "params", text, rules=rules)


def test_a_budget_at_the_base_tells_no_exponents():
    with pytest.raises(InputError, match="no exponents can be told"):
        asked("mobilevitv2_1.0", "params", "1M..8M", rules=("compound",), budget=parse_budgets(["1.8G-macs"])[0])


def test_a_target_without_a_predictor_says_so():
    with pytest.raises(TargetError, match="iphone14"):
        explore(Question("x", network("mobilevit_xs"), 256, parse_range("params", "1M..8M"), RULES), get_target("iphone14"))
