"""The page of a run that goes on: written now and then, never in the way."""

import pytest

from mvsearch.api import live, search
from mvsearch.search.explore import Silent


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Heard(Silent):
    def __init__(self):
        self.stages, self.done = [], []

    def stage(self, text):
        self.stages.append(text)

    def progress(self, done, total, best):
        self.done.append(done)


def test_it_is_written_now_and_then_and_takes_a_small_share_of_the_time():
    clock, heard, written = Clock(), Heard(), []

    def write():
        written.append(clock.now)
        clock.now += 4.0

    page = live.LivePage(heard, write, clock)
    for i in range(2000):
        clock.now += 0.5
        page.progress(i, 2000, "")
    assert heard.done == list(range(2000))
    assert written[0] == pytest.approx(100 + live.PAUSE_S, abs=1)
    assert 4.0 * len(written) <= 1.1 * live.SHARE * (clock.now - 100)
    assert len(written) >= 10


def test_a_page_that_cannot_be_written_is_said_once_and_the_run_goes_on():
    clock, heard = Clock(), Heard()

    def write():
        raise OSError("no space left on device")

    page = live.LivePage(heard, write, clock)
    for i in range(100):
        clock.now += 10
        page.progress(i, 100, "")
    assert len(heard.done) == 100
    assert len(heard.stages) == 1
    assert "no space left" in heard.stages[0]


def test_a_run_under_way_has_a_page_of_what_was_found(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "PAUSE_S", 0.0)
    monkeypatch.setattr(live, "SHARE", 1.0)

    class Interrupting(Silent):
        def progress(self, done, total, best):
            if done > 60:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search("2M-params", trials=100, in_process=True, exports="onnx", out=tmp_path / "run", listener=Interrupting())
    text = (tmp_path / "run" / "report.html").read_text()
    assert "not finished" in text
    assert not list((tmp_path / "run").glob(".*draft*"))
