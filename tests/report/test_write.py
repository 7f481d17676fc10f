import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from mvsearch.report import REPORT_FILES, write_report
from mvsearch.report.picture import draw_picture
from tests.report.sample import synthetic_view


def test_writes_all_files_and_leaves_no_draft(tmp_path):
    start = time.process_time()
    written = write_report(synthetic_view(), tmp_path)
    assert time.process_time() - start < 15  # about 3 s on an idle core
    assert [p.name for p in written] == list(REPORT_FILES)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(REPORT_FILES)
    assert (tmp_path / "report.html").stat().st_size < 8e6


def test_a_failing_writer_leaves_the_old_file_alone(tmp_path):
    (tmp_path / "trials.csv").write_text("old")
    broken = replace(synthetic_view(), trials=(None,))
    with pytest.raises(AttributeError):
        write_report(broken, tmp_path)
    assert (tmp_path / "trials.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["trials.csv"]


def test_picture_is_deterministic_and_its_text_is_text(tmp_path):
    view = synthetic_view(budgets="5ms,400M-macs", space="<script>.yaml $x_1$")
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    draw_picture(view, first)
    draw_picture(view, second)
    assert first.read_bytes() == second.read_bytes()
    text = " ".join(t.text or "" for t in ElementTree.parse(first).iter("{http://www.w3.org/2000/svg}text"))
    for word in ("predicted latency on iphone12, ms", "budget 5ms", "budget 400M-macs", "v3-XXS", "<script>.yaml", "$x_1$"):
        assert word in text, word
    assert "<dc:date>" not in first.read_text(encoding="utf-8")


def test_panels_fill_the_picture(tmp_path):
    """Published networks outside the view must not squeeze the panels."""
    from matplotlib.image import imread

    draw_picture(synthetic_view(), tmp_path / "a.png")
    pixels = imread(tmp_path / "a.png")[:, :, :3]
    empty = (pixels > 0.97).all(axis=(0, 2))
    widest = max(map(len, "".join("#" if e else " " for e in empty).split()), default=0)
    assert widest < pixels.shape[1] / 20
