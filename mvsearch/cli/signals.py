"""Ctrl-C and SIGTERM: the first one lets what is under way end and be saved, the second one stops at once."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from typing import Any

from mvsearch.search.interrupt import DRAIN_S, STOP, Stop

_SAID = (
    f"\nstopping: what is under way has up to {DRAIN_S:.0f} s to end and be saved; once more to stop at once\n"
)  # fmt: skip


class Signals:
    """Hears the signals that ask a process to end.

    Args:
        stop: what is asked first.
        drain_s: after so long, the first signal counts as a second.
    """

    def __init__(self, stop: Stop = STOP, drain_s: float = DRAIN_S) -> None:
        self._stop, self._drain_s = stop, drain_s
        self._first: int | None = None

    def install(self) -> None:
        """From now on."""
        signal.signal(signal.SIGTERM, self._hear)
        # A process in the background was told to ignore it, and goes on doing so.
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._hear)

    @property
    def exit_code(self) -> int:
        """As shells have it: 128 and the number of the first signal."""
        return 128 + (self._first or signal.SIGINT)

    def _hear(self, number: int, _: Any) -> None:
        self._first = self._first or number
        if not self._stop.ask():
            raise KeyboardInterrupt
        # `print` may be what was interrupted.
        os.write(2, _SAID.encode())
        timer = threading.Timer(self._drain_s, _again)
        timer.daemon = True
        timer.start()


def _again() -> None:
    """Signal the main thread once more, so that it wakes from whatever it waits for."""
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
