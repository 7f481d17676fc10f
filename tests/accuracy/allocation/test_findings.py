"""From a table of trainings to what is used of it: only what stands out and agrees with what is published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvsearch.accuracy.allocation.__main__ import lines, main
from mvsearch.accuracy.allocation.cases import EXPLOITED, THINNED, cases
from mvsearch.accuracy.allocation.design import BASE_NAME, KNOB_NAMES, NUM_CLASSES, base, by_name, design
from mvsearch.accuracy.allocation.effects import Effect
from mvsearch.accuracy.allocation.findings import (
    MEANINGS,
    Exchange,
    exchange_rate,
    findings,
    judge,
    size_correction,
    size_slopes,
)
from mvsearch.accuracy.allocation.table import COLUMNS, Result, append_result, read_results, result_of
from mvsearch.accuracy.evidence import KNOBS
from mvsearch.accuracy.trained import Recipe, TrainingRecord
from mvsearch.errors import InputError

RATE = Exchange(value=0.5, se=0.1, estimated=4.0, trained=8.0, trained_se=0.5)


def result(name: str, seed: int, top1: float) -> Result:
    candidate = by_name(name)
    spec = candidate.spec if candidate else cases()[name].with_classes(NUM_CLASSES)
    loss = 3.0 - 0.03 * top1
    return Result(name, spec.arch_id, seed, 64, 750, loss, 0.01, top1, 5000, 300.0, 320.0, "recipe", "images", "cpu", "2.0")


def simulated(truth: dict[str, float], noise: float = 0.3, seed: int = 0) -> list[Result]:
    random = np.random.default_rng(seed)
    rows = []
    for c in design():
        mean = 60 + sum(truth.get(k, 0.0) * step for k, step in c.steps.items())
        seeds = range(4 if c.name == BASE_NAME else 2)
        rows += [result(c.name, s, mean + noise * random.standard_normal()) for s in seeds]
    rows += [result(THINNED, s, 68 + noise * random.standard_normal()) for s in range(2)]
    return rows + [result(EXPLOITED, s, 62 + noise * random.standard_normal()) for s in range(2)]


def effect(knob: str, value: float, se: float, p_holm: float) -> Effect:
    return Effect(knob, value, se, value / se, p_holm, p_holm, 4, 8)


def test_every_knob_has_a_published_meaning() -> None:
    assert set(MEANINGS) == set(KNOB_NAMES)
    assert all(m.evidence in KNOBS for m in MEANINGS.values())


def test_agreeing_effect_is_used_for_the_estimate() -> None:
    found = {f.effect.knob: f for f in findings(simulated({"total depth": 3.0, "heads": -2.0})).findings}
    depth, heads, ffn = found["total depth"], found["heads"], found["FFN ratio"]
    assert depth.use == "estimate"
    assert depth.translated is not None
    assert depth.cost is not None
    published = KNOBS["total depth"].bias
    assert min(published, -depth.translated) <= depth.cost <= max(published, -depth.translated)
    assert depth.kappa >= KNOBS["total depth"].kappa
    assert heads.use == "uncertainty"
    assert heads.cost is None
    assert heads.kappa > KNOBS["heads"].kappa
    assert ffn.use == "nothing"
    assert ffn.cost is None


def test_noise_changes_nothing() -> None:
    found = findings(simulated({}, noise=1.0))
    assert all(f.use == "nothing" and f.cost is None for f in found.findings)
    assert all(f.kappa == KNOBS[f.meaning.evidence].kappa for f in found.findings)
    assert any("nothing of this is used" in line for line in lines(simulated({}, noise=1.0)))


def test_judged_by_significance_and_sign() -> None:
    assert judge(effect("FFN ratio", -4.0, 0.5, 0.001), RATE).use == "estimate"
    assert judge(effect("FFN ratio", 4.0, 0.5, 0.001), RATE).use == "uncertainty"
    assert judge(effect("FFN ratio", -4.0, 3.0, 0.2), RATE).use == "nothing"
    assert judge(effect("late expansion", -4.0, 0.5, 0.001), RATE).use == "uncertainty"
    without_rate = judge(effect("FFN ratio", -4.0, 0.5, 0.001), None)
    assert without_rate.use == "nothing"
    assert without_rate.translated is None


@pytest.mark.parametrize("knob", KNOB_NAMES)
@pytest.mark.parametrize("value", [-6.0, -0.5, 0.5, 6.0])
@pytest.mark.parametrize("p", [0.001, 0.9])
def test_uncertainty_never_falls_and_no_cost_becomes_a_gain(knob: str, value: float, p: float) -> None:
    finding = judge(effect(knob, value, 0.4, p), RATE)
    assert finding.kappa >= KNOBS[MEANINGS[knob].evidence].kappa
    assert finding.cost is None or finding.cost <= 0


def test_exchange_rate_needs_both_networks_and_a_difference() -> None:
    rows = simulated({})
    rate = exchange_rate(rows)
    assert rate is not None
    assert rate.value == pytest.approx(rate.estimated / 8, rel=0.15)
    assert rate.se > 0
    assert exchange_rate([r for r in rows if r.name != THINNED]) is None
    assert exchange_rate([replace(r, top1=60.0 + 0.1 * r.seed) for r in rows]) is None
    assert exchange_rate([r for r in rows if r.seed == 0]) is None


def test_size_is_corrected_by_the_estimate_s_slopes() -> None:
    per_params, per_activations = size_slopes()
    assert 1 < per_params < 5
    assert 1 < per_activations < 5
    assert size_correction(base(), 2.0) == 0
    assert all(abs(size_correction(c, 1.0)) < 0.3 for c in design())


def test_trainings_that_cannot_be_compared_are_refused() -> None:
    rows = simulated({})
    with pytest.raises(InputError, match="recipes"):
        findings([*rows[1:], replace(rows[0], recipe="other")])
    with pytest.raises(InputError, match="not in this version's design"):
        findings([*rows[1:], replace(rows[0], arch_id="0" * 12)])


def test_table_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = simulated({})[:5]
    for row in rows:
        append_result(path, row)
    assert read_results(path) == tuple(rows)
    path.write_text("# a comment\n" + path.read_text())
    assert read_results(path) == tuple(rows)


def cut(text: str, number: int, column: str, value: str) -> str:
    rows = text.splitlines()
    cells = rows[number].split(",")
    cells[COLUMNS.index(column)] = value
    rows[number] = ",".join(cells)
    return "\n".join(rows) + "\n"


FAULTS: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda t: "", "columns"),
    "columns": (lambda t: t.replace("top1", "top5", 1), "columns"),
    "text for a number": (lambda t: cut(t, 2, "top1", "high"), "line 3: `top1` is `high`"),
    "not finite": (lambda t: cut(t, 2, "val_loss", "nan"), "line 3: `val_loss` is `nan`"),
    "above 100": (lambda t: cut(t, 1, "top1", "101"), "line 2: `top1`"),
    "no steps": (lambda t: cut(t, 1, "steps", "0"), "line 2: `steps`"),
    "no name": (lambda t: cut(t, 1, "name", ""), "line 2: `name`"),
    "cut off": (lambda t: t[:-40], "line 3: `"),
    "twice": (lambda t: t + t.splitlines()[1] + "\n", "line 4: `.*` stands there twice"),
    "fraction for a seed": (lambda t: cut(t, 1, "seed", "0.5"), "line 2: `seed` is `0.5`"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_tables_are_refused(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for row in simulated({})[:2]:
        append_result(path, row)
    spoil, message = FAULTS[fault]
    path.write_text(spoil(path.read_text()))
    with pytest.raises(InputError, match=message):
        read_results(path)


def test_no_table_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.csv")]) == 2
    error = capsys.readouterr().err
    assert "none.csv" in error
    assert "hint:" in error


def test_a_row_from_a_training() -> None:
    recipe = Recipe(750, resolution=64)
    record = TrainingRecord(
        arch_id=base().spec.arch_id, images="i", recipe=recipe.key, steps=750, resolution=64, seed=3, val_loss=1.0,
        val_loss_se=0.01, top1=60.0, num_val=5000, curve=(), images_per_second=300.0, seconds=320.0, device="cpu",
        precision="float32", versions=(("torch", "2.0"),), taken_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    row = result_of(BASE_NAME, record)
    assert (row.name, row.seed, row.top1, row.torch) == (BASE_NAME, 3, 60.0, "2.0")
    assert row.key == (base().spec.arch_id, "i", recipe.key, 3)


def test_printed_table_says_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.csv"
    for row in simulated({"total depth": 3.0}):
        append_result(path, row)
    assert main([str(path)]) == 0
    text = capsys.readouterr().out
    assert "these points are not ImageNet's" in text
    assert all(knob in text for knob in KNOB_NAMES)
    assert "estimate: significant, sign as published" in text
    assert "Case `exploited`" in text
