"""Refits of the estimator, and what they do to the order of a front's members."""

from __future__ import annotations

import csv
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvsearch.accuracy import estimate_top1, explain_top1
from mvsearch.accuracy.anchors import MOBILEVIT, load_anchors
from mvsearch.accuracy.estimator import load_estimator
from mvsearch.accuracy.fit import fit_line, kendall
from mvsearch.accuracy.stability import (
    Refit,
    Stability,
    bootstrap_refits,
    estimates,
    family_refits,
    shaken_bounds,
    stability,
    winner,
)
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.defaults import CONFIDENCE
from mvsearch.spec.published import network
from mvsearch.spec.space_file import load_space

FRONT = Path(__file__).parents[2] / "reports" / "reference" / "front.csv"
SHIPPED = [Refit("shipped", load_estimator())]


def member(row: dict[str, str]) -> ArchSpec:
    """The network of a row of `front.csv`."""
    point: dict[str, int | float | str] = {
        "stem.channels": int(row["stem"]),
        "head": row["head"].split()[0],
        "activation": row["activation"],
    }
    for i in range(1, 6):
        point |= {f"stage{i}.channels": int(row[f"c{i}"]), f"stage{i}.expansion": int(row[f"e{i}"])}
    point["stage2.blocks"] = int(row["n2"])
    for i in (3, 4, 5):
        point |= {f"stage{i}.block": row[f"block{i}"], f"stage{i}.patch": int(row[f"patch{i}"].split("x")[0])}
        point |= {
            f"stage{i}.{key}": int(row[f"{column}{i}"]) for key, column in (("dim", "d"), ("depth", "L"), ("ffn_ratio", "ffn"))
        }
        point[f"stage{i}.heads"] = int(row[f"heads{i}"] or 4)
    spec = load_space("mobilevit").decode(point)
    assert spec.arch_id == row["arch_id"]
    return spec


@cache
def reference_front() -> tuple[list[ArchSpec], list[float]]:
    """The front of the default command: its networks and their predicted latencies."""
    rows = [r for r in csv.DictReader(FRONT.read_text(encoding="utf8").splitlines()) if r["role"] != "struck"]
    assert len(rows) >= 20
    return [member(r) for r in rows], [float(r["latency_ms"]) for r in rows]


def judged(refits: tuple[Refit, ...]) -> Stability:
    specs, latency = reference_front()
    shipped, refitted = (estimates(specs, by, "lower bound", CONFIDENCE) for by in (SHIPPED, refits))
    return stability(shipped, refitted, latency)


@pytest.mark.parametrize("refits", [bootstrap_refits(50), family_refits()], ids=["bootstrap", "without a family"])
def test_the_default_front_keeps_its_order(refits: tuple[Refit, ...]) -> None:
    s = judged(refits)
    print(s)
    assert s.kendall_to_shipped.worse >= 0.8
    assert s.kendall_between.worse >= 0.8
    assert s.near_pairs >= 20
    assert s.near_between.worse >= 0.8
    assert s.winner_in_next == 1
    assert s.winner_gap.worse < 0.75


def test_a_refit_for_every_family() -> None:
    refits, families = family_refits(), {a.family for a in load_anchors()}
    assert {r.name for r in refits} == {f"without {f}" for f in families}
    assert len(refits) == 55
    one = next(r for r in refits if r.name == "without resnet").estimator
    line = fit_line([a for a in load_anchors() if a.family not in ("resnet", MOBILEVIT)])
    assert one.coefficients == pytest.approx(line.tolist())
    assert one.block_offsets["v3"] < one.block_offsets["v1"]
    blind = refits[-1].estimator
    assert set(blind.block_offsets.values()) == {0.0}
    assert blind.coefficients == pytest.approx(load_estimator().coefficients, abs=1e-5)
    assert blind.sigma == load_estimator().sigma_zoo


def test_bootstrap_refits() -> None:
    refits = bootstrap_refits(30, seed=1)
    assert [r.estimator for r in refits[:3]] == [r.estimator for r in bootstrap_refits(3, seed=1)]
    assert refits[0].estimator != bootstrap_refits(1, seed=2)[0].estimator
    slopes = np.array([r.estimator.coefficients for r in refits])
    shipped = np.array(load_estimator().coefficients)
    assert (np.abs(slopes.mean(axis=0) - shipped) < 2 * slopes.std(axis=0)).all()
    assert all(0.3 < r.estimator.sigma < 1.5 for r in refits)


def test_estimates_are_those_of_the_estimator() -> None:
    specs = [network("mobilevitv3_xs"), network("mobilevit_xxs")]
    gain, value = estimates(specs, SHIPPED, "lower bound", 0.8)
    for i, spec in enumerate(specs):
        m = estimate_top1(spec)
        assert (gain[0, i], value[0, i]) == pytest.approx((m.quantile(0.2), m.value))
    plain, also = estimates(reference_front()[0], SHIPPED, "plain", 0.8)
    assert (plain == also).all()
    assert plain[0].tolist() == [explain_top1(s).plain for s in reference_front()[0]]


def test_judgements_shake_only_what_departs_from_evidence() -> None:
    specs = [network("mobilevitv3_xs"), *reference_front()[0][:5]]
    gain, value = shaken_bounds(specs, 40, 0.8)
    assert gain.shape == value.shape == (40, 6)
    assert np.ptp(gain[:, 0]) == pytest.approx(0, abs=1e-9)
    assert gain[0, 0] == pytest.approx(estimate_top1(specs[0]).quantile(0.2))
    for i, spec in enumerate(specs[1:], start=1):
        assert np.ptp(gain[:, i]) > 0.3
        assert gain[:, i].min() < estimate_top1(spec).quantile(0.2) < gain[:, i].max()


VECTORS = st.lists(st.lists(st.floats(0, 100, width=32), min_size=6, max_size=6, unique=True), min_size=2, max_size=4)


@given(VECTORS)
def test_tau_is_kendalls(rows: list[list[float]]) -> None:
    gains = np.array(rows)
    s = stability((gains[:1], gains[:1]), (gains, gains), [1.0, 1.01, 1.02, 1.03, 1.04, 1.05])
    taus = [kendall(gains[0], g) for g in gains]
    assert s.kendall_to_shipped.median == pytest.approx(np.median(taus))
    assert s.kendall_to_shipped.worse == pytest.approx(np.quantile(taus, 0.05))
    between = [kendall(gains[i], gains[j]) for i in range(len(gains)) for j in range(i)]
    assert s.kendall_between.median == pytest.approx(np.median(between))
    assert s.near_pairs == 15
    assert s.near_to_shipped == s.kendall_to_shipped
    assert s.winner_gap.median >= 0


def test_near_pairs_are_judged_by_themselves() -> None:
    """Two neighbours swap; far ones keep their order."""
    shipped, refit = np.array([[70.0, 72.0, 72.2]]), np.array([[70.0, 72.2, 72.0]])
    s = stability((shipped, shipped), (refit, refit), [1.0, 2.0, 2.1])
    assert s.near_pairs == 1
    assert s.near_to_shipped.median == -1
    assert s.kendall_to_shipped.median == pytest.approx(1 / 3)
    apart = stability((shipped, shipped), (refit, refit), [1.0, 2.0, 4.0])
    assert apart.near_pairs == 0
    assert math.isnan(apart.near_between.median)


def test_winner_and_rivals() -> None:
    gain, latency = np.array([74.0, 74.6, 75.0]), [1.0, 2.0, 3.0]
    assert winner(gain, gain, latency) == 1
    shipped = (gain[None], gain[None])
    s = stability(shipped, shipped, latency)
    assert s.winner_gap.median == pytest.approx(0.4)
    assert s.winner_within == s.winner_in_next == 1
    one, two = np.array([[75.8]]), np.array([[75.8, 75.3]])
    assert stability(shipped, shipped, latency, (one, one)).winner_in_next == 1
    beaten = stability(shipped, shipped, latency, (two, two))
    assert beaten.winner_gap.median == pytest.approx(1.2)
    assert beaten.winner_within == 0
    assert beaten.winner_in_next == 0
