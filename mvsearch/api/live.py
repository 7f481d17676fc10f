"""A run's page while the run goes on: written anew now and then; the page loads itself again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mvsearch.errors import InputError

if TYPE_CHECKING:
    from mvsearch.search.explore import Listener
    from mvsearch.spec.record import Trial

PAUSE_S = 15.0
"""Between two pages, at least."""
SHARE = 0.05
"""Of the run's time that may go into pages."""


class LivePage:
    """A listener that passes on what it hears, and has the page written when it is time.

    A page that cannot be written is said once and not tried again: the run itself goes on.

    Args:
        listener: who hears of the progress.
        write: writes the page.
        clock: seconds.
    """

    def __init__(self, listener: Listener, write: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._listener, self._write, self._clock = listener, write, clock
        self._next = clock() + PAUSE_S
        self._failed = False

    def stage(self, text: str) -> None:
        """See `Listener.stage`."""
        self._listener.stage(text)
        self._refresh()

    def progress(self, done: int, total: int, best: str) -> None:
        """See `Listener.progress`."""
        self._listener.progress(done, total, best)
        self._refresh()

    def first_front(self, trials: Sequence[Trial], front: Sequence[Trial]) -> None:
        """See `Listener.first_front`."""
        self._listener.first_front(trials, front)

    def _refresh(self) -> None:
        start = self._clock()
        if self._failed or start < self._next:
            return
        try:
            self._write()
        except (InputError, OSError) as error:
            self._failed = True
            self._listener.stage(f"the page cannot be written while the run goes on: {error}")
        end = self._clock()
        self._next = end + max(PAUSE_S, (end - start) / SHARE)
