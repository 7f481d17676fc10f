"""The field beside a run: published numbers, marked as such, and only those that can be compared."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from mvsearch.accuracy.field import field_points
from mvsearch.report.field_marks import field_marks, in_view
from mvsearch.report.picture import FIELD_NAME, draw_picture
from mvsearch.spec.budget import parse_budgets
from tests.report.sample import synthetic_view

SETTINGS = synthetic_view().settings


@pytest.mark.parametrize("cost", ["latency", "params", "macs"])
def test_marks_are_the_published_numbers_of_other_families_without_a_teacher(cost: str) -> None:
    known = {(p.name, p.top1): p for p in field_points("iphone12") if not p.is_distilled}
    marks = field_marks(SETTINGS, cost)
    assert len(marks) > 20
    for m in marks:
        p = known[m.label, m.top1]
        assert m.cost == {"latency": p.latency_ms, "params": p.params / 1e6, "macs": (p.macs or 0) / 1e6}[cost]
        assert not p.family.startswith("MobileViT")
        assert cost != "latency" or p.latencies[0].is_reference


def test_a_target_without_published_latencies_has_no_such_marks() -> None:
    assert field_marks(replace(SETTINGS, target="cpu"), "latency") == ()
    assert len(field_marks(replace(SETTINGS, target="cpu"), "params")) == len(field_marks(SETTINGS, "params"))


def test_a_network_keeps_a_budget_only_if_that_is_known() -> None:
    def feasible(*budgets: str) -> set[str]:
        return {m.label for m in field_marks(replace(SETTINGS, budgets=parse_budgets(budgets)), "params") if m.feasible}

    assert "EdgeNeXt-XXS" in feasible("2M-params") and "EdgeNeXt-XS" not in feasible("2M-params")
    assert "RepNeXt-M0" in feasible("5M-params", "1ms", "900M-flops")
    assert "EMO-1M" not in feasible("2M-params", "1ms")  # No latency of it is published.
    assert feasible("2M-params", "1MB") == set()


def test_the_picture_names_them_as_published(tmp_path: Path) -> None:
    view = synthetic_view()
    draw_picture(view, tmp_path / "a.svg")
    texts = [t.text or "" for t in ElementTree.parse(tmp_path / "a.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert FIELD_NAME in texts and "as published" in FIELD_NAME
    shown = {m.label for m in field_marks(view.settings, "params")} & set(texts)
    assert shown


def test_only_marks_within_the_frame_are_drawn() -> None:
    marks = field_marks(SETTINGS, "params")
    inside = in_view(marks, (1.0, 3.0), (70.0, 75.0))
    assert inside and all(1 < m.cost < 3 and 70 < m.top1 < 75 for m in inside)
    assert in_view(marks, (1e-6, 2e-6), (0, 1)) == []
