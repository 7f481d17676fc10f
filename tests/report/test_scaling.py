"""A scaled network's tables, figures and files. The values are invented; see `scaling_sample`."""

import re
from dataclasses import replace

import pytest
from rich.console import Console

from mvsearch.report.figures import plotly_script
from mvsearch.report.scaling import SCALING_FILES, write_scaling
from mvsearch.report.scaling_cost_figures import ISO_VIEWS
from mvsearch.report.scaling_figures import MAX_BARS, scaling_figures
from mvsearch.report.scaling_page import render_scaling_page
from mvsearch.report.scaling_picture import draw_scaling
from mvsearch.report.scaling_table import MAX_ROWS, render_scaling, shown_members
from mvsearch.report.scaling_words import SIZE_AXES, exponent_text, formula, knee_sentence, size_text
from mvsearch.report.scene import plain_ticks
from mvsearch.report.traces import log_ticks_between
from mvsearch.scaling.view import Uncertain
from tests.report.scaling_sample import HOSTILE, RULE, scaling_view


@pytest.fixture(scope="module")
def page():
    """The page without plotly's own code."""
    return render_scaling_page(scaling_view()).replace(plotly_script(), "")


def text_of(view):
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(render_scaling(view))
    return console.export_text()


def test_every_figure_has_its_place_on_the_page(page):
    figures = scaling_figures(scaling_view())
    assert {f"sizes-{a}" for a in SIZE_AXES} | {f"iso-{m}-{a}" for m, a in ISO_VIEWS} <= set(figures)
    assert {"marginal", "compound", "law-error-params", "law-latency-macs", "law-error-resolution"} <= set(figures)
    assert "law-latency-resolution" not in figures, "there is no such law"
    for name in figures:
        assert f'id="{name}"' in page, name


def test_the_sizes_are_drawn_where_their_numbers_are():
    view = scaling_view()
    figure = scaling_figures(view)["sizes-latency"]
    (family,) = [t for t in figure["data"] if t.get("legendgroup") == "width" and "error_y" in t]
    for x, y, up, m in zip(family["x"], family["y"], family["error_y"]["array"], view.families[0].members, strict=True):
        numbers = m.evaluation.measurements
        assert x == pytest.approx(numbers["latency"].value, rel=1e-4)
        assert y == pytest.approx(numbers["top1"].value, rel=1e-4)
        assert y + up == pytest.approx(numbers["top1"].high, rel=1e-4)
    (knee,) = [t for t in figure["data"] if t.get("name") == "stops paying"]
    assert knee["x"] == [family["x"][3]]
    published = [t for t in figure["data"] if t.get("legendgroup") == "published"]
    assert sum(len(t["x"]) for t in published) == len(view.published)
    assert all("published" in text for t in published for text in t["text"])
    assert "error_x" not in scaling_figures(view)["sizes-params"]["data"][2], "counted costs have no interval"


def test_steps_that_do_not_pay_are_open():
    (trace,) = scaling_figures(scaling_view())["marginal"]["data"]
    assert trace["marker"]["symbol"] == ["circle", "circle", "circle", "circle-open"]
    assert "no slower" in text_of(scaling_view()), "a step that adds no latency has no rate"


def test_the_tables_fit_and_say_what_was_found():
    text = text_of(scaling_view())
    assert max(map(len, text.splitlines())) <= 100
    flat = re.sub(r"\s+", " ", text)
    for words in ("By width", "last", RULE, "By depth there is none: it reaches 2 M to 3 M", "-0.30 ±0.10", "0.990", "3G-macs",
                  "depth 1.00 to 1.30", "Worse at the same cost: width only", "depth only cannot reach it", "counted",
                  "predicted", "estimated"):  # fmt: skip
        assert words in flat, words
    assert HOSTILE in text, "text is text"


def test_hostile_text_is_text(page):
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert page.count("<script") == page.count("</script>") == 4
    assert not re.search(r"https?://", page)
    assert "default-src 'none'" in page


def test_words():
    view = scaling_view()
    wide = view.families[0].members
    assert [size_text(m) for m in wide] == ["width 0.5", "width 0.75", "the base", "width 1.25", "width 1.5"]
    assert size_text(view.families[2].members[1]) == "320 px"
    assert knee_sentence(view.families[0]) == "By width: it stops paying at 4.00 ms."
    assert exponent_text(Uncertain(-0.5, -0.6, -0.1)) == "-0.50 (-0.60 to -0.10)"
    assert exponent_text(Uncertain(-0.5, -0.501, -0.499)) == "-0.500 ±0.001"
    assert formula(view.laws[0]) == "20 x (parameters / 5.50 M)^-0.30 + 4"


def test_ticks():
    assert plain_ticks(18, 34)[1] == ["18", "20", "22", "24", "26", "28", "30", "32", "34"]
    for low, high in ((18, 34), (0.9, 3.1), (1, 12)):
        ticks, _ = log_ticks_between(low, high)
        assert 2 <= len(ticks) <= 9
        assert all(low <= t <= high for t in ticks)


def test_a_view_with_little_in_it_has_a_page_too():
    view = scaling_view()
    bare = replace(view, families=(replace(view.families[0], members=view.families[0].members[:1], knee=None),), laws=(),
                   compound=None, iso=(), published=(), notes=(), command="")  # fmt: skip
    assert set(scaling_figures(bare)) == {f"sizes-{a}" for a in SIZE_AXES}
    assert "Every size" in render_scaling_page(bare)
    assert "By width" in text_of(bare)


def test_files_are_the_same_for_the_same_view(tmp_path):
    files = write_scaling(scaling_view(), tmp_path)
    assert [f.name for f in files] == list(SCALING_FILES)
    assert all(f.stat().st_size for f in files)
    again = tmp_path / "again.svg"
    draw_scaling(scaling_view(), [again])
    assert again.read_bytes() == (tmp_path / "scale.svg").read_bytes()
    assert HOSTILE.replace("<", "&lt;").replace(">", "&gt;") in again.read_text()


def test_a_long_family_is_thinned_in_the_terminal_alone():
    family = scaling_view().families[0]
    many = replace(family, members=family.members[:2] * 30 + family.members[2:], knee=replace(family.knee, index=31))
    assert {31, 60} < set(shown_members(many)), "the base and the last that pays"
    assert len(shown_members(many)) <= MAX_ROWS + 2
    view = replace(scaling_view(), families=(many,))
    assert "of 63 sizes" in text_of(view)
    (trace,) = [t for t in scaling_figures(view)["sizes-params"]["data"] if "error_y" in t]
    assert len(trace["x"]) == 63
    assert sum(v > 0 for v in trace["error_y"]["array"]) == MAX_BARS
    (steps,) = scaling_figures(view)["marginal"]["data"]
    assert len(steps["x"]) <= MAX_BARS
    assert not any(steps["error_y"]["array"]), "no interval is known between sizes that are not neighbours"
