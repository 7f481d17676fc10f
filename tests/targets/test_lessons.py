"""Controlled pairs on a target: what differs in them, how sure a ratio is, and the rule of the verdicts."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections import Counter, defaultdict
from dataclasses import replace
from statistics import NormalDist

import pytest
from typer.testing import CliRunner

from mvsearch.api.lessons import lessons as try_lessons
from mvsearch.cli.main import app
from mvsearch.costs.count import total
from mvsearch.costs.lessons import lower_lesson
from mvsearch.errors import InputError, TargetError
from mvsearch.spec.arch import NORMS, ArchSpec
from mvsearch.spec.efficientformer import DoubleConvStem, EfficientFormerStage, TokenHead
from mvsearch.spec.lessons import LessonNetwork, MlpBlocks, PatchEmbedding
from mvsearch.spec.published import network
from mvsearch.targets import StopPolicy, get_target
from mvsearch.targets.lessons.catalog import lessons
from mvsearch.targets.lessons.lesson import Claim, Pair, Ratio, judge, together
from mvsearch.targets.lessons.measure import measure_pair
from mvsearch.targets.lessons.predict import LEVEL, RATE_SPREAD, op_groups, predicted_ratio
from mvsearch.targets.predictor.study import phone_study

PHONE = get_target("iphone12")
MODEL = PHONE.latency_model
PAIRS = {f"{lesson.name}: {p.first.name}": (lesson.name, p) for lesson in lessons() for p in lesson.pairs}


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_differs_in_one_thing(name: str) -> None:
    lesson, pair = PAIRS[name]
    first, second = lower_lesson(pair.first), lower_lesson(pair.second)
    assert pair.first.resolution == pair.second.resolution
    if lesson == "patch embedding":
        # The stem alone, and it writes the same map.
        assert [p.output for p in first] == [p.output for p in second]
        assert first[1:] == second[1:] and first[0] != second[0]
    elif lesson == "activations":
        kinds = {"gelu", "relu", "silu", "sigmoid", "elementwise"}
        differ = (op_groups(first) - op_groups(second)) + (op_groups(second) - op_groups(first))
        assert {group[0] for group in differ} <= kinds
        assert total(first).params == total(second).params and total(first).macs == total(second).macs
    elif lesson == "norms":
        assert total(first).macs == total(second).macs
        assert [p.output[1:] for p in first if len(p.output) == 2] == [p.output[1:] for p in second if len(p.output) == 2]


def test_blocks_in_turn_are_the_same_blocks_and_more_reshapes() -> None:
    _, pair = PAIRS["reshapes: blocks in turn"]
    one, other = op_groups(lower_lesson(pair.first)), op_groups(lower_lesson(pair.second))
    assert not other - one
    assert Counter(group[0] for group in (one - other).elements()) == {"transpose": 4, "reshape": 4}
    assert total(lower_lesson(pair.first)).params == total(lower_lesson(pair.second)).params


@pytest.mark.parametrize("name", ["mobilevit_xs", "mobilevitv2_0.5", "mobilevitv3_xxs"])
def test_folded_norms_leave_nothing_but_their_parameters(name: str) -> None:
    spec = network(name)
    plain, folded = (lower_lesson(LessonNetwork("", replace(spec, norm=norm), 256)) for norm in NORMS)
    assert total(plain).params == total(folded).params
    assert not op_groups(folded).keys() & {g for g in op_groups(plain) if g[0] in ("layer_norm",)}
    assert sum(op_groups(folded).values()) < sum(op_groups(plain).values())
    assert total(folded).weight_bytes < total(plain).weight_bytes


def test_a_ratio_is_sure_where_one_network_has_all_of_the_others_operations() -> None:
    _, pair = PAIRS["reshapes: blocks in turn"]
    first, second = lower_lesson(pair.first), lower_lesson(pair.second)
    ratio = predicted_ratio(MODEL, first, second)
    assert ratio.first_slower == 1.0 and 1 < ratio.low < ratio.value < ratio.high
    back = predicted_ratio(MODEL, second, first)
    assert back.value == pytest.approx(1 / ratio.value) and back.first_slower == 0.0
    same = predicted_ratio(MODEL, first, first)
    assert (same.value, same.low, same.high, same.first_slower) == (1, 1, 1, 0)


def test_intervals_of_ratios_hold_published_ones() -> None:
    # Every network predicted by a fit without its family; two networks under one protocol share its scale.
    study = phone_study("iphone12")
    rates = study.fit().rates
    features: dict[str, dict[object, float]] = {}
    for name in study.features:
        times: dict[object, float] = defaultdict(float, base=rates.base_ms)
        for kind, macs, num_bytes, weights in study.ops[name]:
            bound = rates.kinds[kind].bound_ms(macs, num_bytes, weights)
            times[kind, "speed"] += bound
            times[kind, "overhead"] += rates.kinds[kind].overhead_us / 1e3
            times[kind, macs, num_bytes, weights] += bound
        whole = sum(ms for key, ms in times.items() if len(key) != 4 or key == "base")  # type: ignore[arg-type]
        features[name] = {key: ms / whole for key, ms in times.items()}
    by_protocol = defaultdict(list)
    for held in study.leave_family_out():
        by_protocol[held.protocol].append(held)
    z, inside = NormalDist().inv_cdf((1 + LEVEL) / 2), []
    for rows in by_protocol.values():
        for a, b in itertools.combinations(rows, 2):
            if a.network == b.network:
                continue
            x, y = features[a.network], features[b.network]
            deviation = RATE_SPREAD * math.sqrt(sum((x.get(k, 0.0) - y.get(k, 0.0)) ** 2 for k in x.keys() | y.keys()))
            error = (a.predicted - b.predicted) - (a.raw - b.raw)
            inside.append(abs(error) <= z * deviation)
    assert len(inside) == 889
    assert LEVEL <= sum(inside) / len(inside) <= LEVEL + 0.03


def ratio(value: float, low: float, high: float) -> Ratio:
    return Ratio(value, low, high, 0.9, 0.5, "")


@pytest.mark.parametrize(
    ("how", "found", "verdict"),
    [
        ("slower", ratio(1.1, 1.05, 1.2), "agrees"),
        ("slower", ratio(1.1, 0.99, 1.2), "cannot tell"),
        ("slower", ratio(1.01, 1.005, 1.03), "cannot tell"),
        ("slower", ratio(1.01, 1.005, 1.015), "disagrees"),
        ("slower", ratio(0.9, 0.8, 0.97), "disagrees"),
        ("alike", ratio(1.05, 1.0, 1.09), "agrees"),
        ("alike", ratio(1.05, 0.85, 1.09), "cannot tell"),
        ("alike", ratio(1.3, 1.15, 1.4), "disagrees"),
        ("alike", ratio(0.8, 0.7, 0.9), "disagrees"),
    ],
)
def test_the_rule_of_the_verdicts(how: str, found: Ratio, verdict: str) -> None:
    assert judge(Claim(how, ""), found)[0] == verdict


def test_a_lesson_agrees_where_all_its_pairs_do() -> None:
    assert judge(None, ratio(2, 1.5, 3))[0] == "no finding"
    assert together(["agrees", "no finding"]) == "agrees"
    assert together(["agrees", "cannot tell"]) == "cannot tell"
    assert together(["agrees", "cannot tell", "disagrees"]) == "disagrees"
    assert together(["no finding"]) == "cannot tell"


def test_the_papers_number_is_set_beside_ours() -> None:
    for factors, how in (((3.7, 3.7), "less than"), ((1.01, 1.05), "more than"), ((1.1, 1.25), "about as much as")):
        verdict, why = judge(Claim("slower", "", factors), ratio(1.2, 1.1, 1.4))
        assert verdict == "agrees" and f"{how} in the paper (x {factors[0]:g}" in why


def test_a_prediction_of_all_lessons_as_tables_and_a_picture(tmp_path) -> None:
    view = try_lessons("iphone12", out=tmp_path / "out")
    assert view.kind == "predicted" and [r.lesson.name for r in view.results] == [
        "patch embedding", "reshapes", "norms", "activations",
    ]  # fmt: skip
    with (tmp_path / "out" / "lessons.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(PAIRS)
    for row in rows:
        assert float(row["ratio_low"]) <= float(row["ratio"]) <= float(row["ratio_high"])
        assert float(row["first_ms"]) / float(row["second_ms"]) == pytest.approx(float(row["ratio"]), rel=1e-5)
    with (tmp_path / "out" / "operations.csv").open(encoding="utf-8") as file:
        operations = list(csv.DictReader(file))
    for row in rows:
        mine = [o for o in operations if (o["lesson"], o["first"]) == (row["lesson"], row["first"])]
        assert sum(float(o["ms"]) for o in mine) == pytest.approx(float(row["first_ms"]) - float(row["second_ms"]), abs=2e-5)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"lessons.csv", "operations.csv", "lessons.svg", "lessons.png"}


def test_the_command_prints_what_it_found_within_100_columns() -> None:
    shown = CliRunner().invoke(app, ["lessons"])
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= 100
    for text in (
        "1. patch embedding",
        "2. reshapes",
        "3. norms",
        "4. activations",
        "Operations that differ",
        "transpose 4 / 0",
    ):
        assert text in shown.stdout
    data = json.loads(CliRunner().invoke(app, ["lessons", "--json"]).stdout)
    assert data["kind"] == "predicted" and len(data["lessons"]) == 4
    assert data["lessons"][3]["pairs"][1]["paper"]["factors"] == pytest.approx([44.5 / 11.9] * 2)


def test_what_cannot_be_done_is_refused_before_anything_is_written(tmp_path) -> None:
    with pytest.raises(InputError, match="iphone12"):
        try_lessons("iphone12", measure=True, out=tmp_path / "out")
    with pytest.raises(InputError, match="calibration"):
        try_lessons("cpu", measure=True, calibration="x.json")
    with pytest.raises(TargetError, match="iphone14"):
        try_lessons("iphone14")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="no folder"):
        try_lessons("iphone12", out=tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_a_pair_measured_here() -> None:
    spec = ArchSpec(
        DoubleConvStem(16, "relu"),
        (EfficientFormerStage(16, 1, stride=1), EfficientFormerStage(32, 6)),
        TokenHead(),
        "gelu",
        10,
    )
    policy = StopPolicy(warm_up_s=0.05, max_s=0.4, min_rounds=16, precision=0.02, max_drift=3.0)
    long, short = (replace(spec, stages=(spec.stages[0], replace(spec.stages[1], depth=depth))) for depth in (12, 2))
    pair = Pair(
        "depth", LessonNetwork("12", long, 64, MlpBlocks("layer_norm")), LessonNetwork("2", short, 64, PatchEmbedding(7, 4)),
        Claim("slower", "more blocks"),
    )  # fmt: skip
    found = measure_pair(pair, get_target("cpu"), policy)
    assert found.verdict == "agrees" and found.ratio.first_slower is None
    assert all(m.kind == "measured" and m.low <= m.value <= m.high for m in found.latencies)
    assert all(k.ms is None and k.share is None for k in found.kinds)
