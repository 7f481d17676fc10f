"""A polite stop: what is under way may end and be saved, nothing new is begun.

The command line asks for it at the first Ctrl-C or SIGTERM; executors heed it wherever they hand out work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

DRAIN_S = 30.0
"""What is under way has so long after the first request."""


class Stop:
    """Whether somebody asked to stop, and whether somebody is there to heed it."""

    def __init__(self) -> None:
        self.asked = False
        self._heeding = 0

    def ask(self) -> bool:
        """Ask for a stop.

        Returns:
            False if it was asked for before, or if nothing is under way that could end: then stop at once.
        """
        if self.asked or not self._heeding:
            return False
        self.asked = True
        return True

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Work is handed out in here until `asked`.

        Raises:
            KeyboardInterrupt: at the end, if a stop was asked for; what was under way has ended by then.
        """
        self._heeding += 1
        try:
            yield
            if self.asked:
                raise KeyboardInterrupt
        finally:
            self._heeding -= 1
            if not self._heeding:
                self.asked = False


STOP = Stop()
"""Of this process: signals are, too."""
