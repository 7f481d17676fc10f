"""What the terminal shows: errors, progress, early looks. Data goes to stdout, all of this to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from mvsearch.errors import MvsearchError, NoCandidateError


def print_error(error: MvsearchError) -> None:
    """`error: ...` and `hint: ...`, readable without colour; the nearest candidates where none fits."""
    colour = sys.stderr.isatty()
    red, blue, plain = ("\033[1;31m", "\033[1;36m", "\033[0m") if colour else ("", "", "")
    print(f"{red}error{plain}: {error.message}", file=sys.stderr)
    if isinstance(error, NoCandidateError) and error.nearest:
        from rich.console import Console

        from mvsearch.report.nearest import render_nearest
        from mvsearch.report.table import print_renderable

        print(file=sys.stderr)
        print_renderable(render_nearest(error.nearest, error.budgets, error.confidence), Console(stderr=True))
    if error.hint:
        print(f"\n{blue}hint{plain}: {error.hint}", file=sys.stderr)


class TerminalListener:
    """Draws a run's progress: a bar in a terminal, a line now and then in a pipe."""

    PIPE_SECONDS = 10.0

    def __init__(self, confidence: float) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._confidence = confidence
        self._bar: Any = None
        self._task: Any = None
        self._start = self._stage_start = self._last_line = time.monotonic()
        self._first: int | None = None

    def stage(self, text: str) -> None:
        """See `Listener.stage`."""
        self.close()
        self._first, self._stage_start = None, time.monotonic()
        self._say(f"{self._clock()}  {text}")

    def progress(self, done: int, total: int, best: str) -> None:
        """See `Listener.progress`."""
        if self._first is None:
            self._first = done - 1
        if self._console.is_terminal:
            self._draw(done, total, best)
        elif time.monotonic() - self._last_line > self.PIPE_SECONDS:
            self._last_line = time.monotonic()
            rate = self._rate(done)
            left = f"{(total - done) / rate:.0f} s left" if rate else "time left unknown"
            self._say(f"{self._clock()}  {done:,} of {total:,}, {_per_second(rate)}, {left}; {best}")

    def first_front(self, trials: Sequence[Any], front: Sequence[Any]) -> None:
        """See `Listener.first_front`."""
        self.close()
        self._say(f"{self._clock()}  first front, after {len(trials):,} trials (the search goes on):")
        step = max(1, -(-len(front) // 8))
        for t in front[::-1][::step][::-1]:
            m = t.evaluation.measurements
            top1, latency = m["top1"], m["latency"]
            lower = top1.quantile(1 - self._confidence)
            self._say(
                f"         {t.evaluation.arch_id}  {latency.value:5.2f} ms {latency.kind}"
                f" ({latency.low:.2f} to {latency.high:.2f})  top-1 {top1.value:.1f} % {top1.kind},"
                f" at least {lower:.1f} %  {m['params'].value / 1e6:.2f} M params"
            )

    def note(self, text: str) -> None:
        """A line of its own."""
        self.close()
        self._say(text)

    def close(self) -> None:
        """Leave the progress bar as it stands."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _draw(self, done: int, total: int, best: str) -> None:
        if self._bar is None:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
                TextColumn("{task.fields[best]}"), console=self._console, transient=True,
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task("", total=total, completed=done, rate="", best="")
        self._bar.update(self._task, completed=done, total=total, rate=_per_second(self._rate(done)), best=best)

    def _rate(self, done: int) -> float:
        """Per second in this stage; what a resumed run had done before does not count."""
        return (done - (self._first or 0)) / max(1e-9, time.monotonic() - self._stage_start)

    def _say(self, text: str) -> None:
        # What users wrote (paths, names) is text, never markup.
        self._console.print(text, soft_wrap=True, markup=False)

    def _clock(self) -> str:
        return f"{time.monotonic() - self._start:6.1f} s"


def _per_second(rate: float) -> str:
    return f"{rate:.{0 if rate >= 10 else 1}f} per s"
