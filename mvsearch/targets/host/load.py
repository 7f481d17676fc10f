"""How busy this machine is, as far as the system tells for nothing."""

from __future__ import annotations

import os
from pathlib import Path


def load_conditions(when: str) -> tuple[tuple[str, str], ...]:
    """Conditions of a record: load average of the last minute, and what else wants a core at this moment.

    Args:
        when: `before` or `after`; part of their names.

    Returns:
        `load_WHEN` and, on Linux, `others_runnable_WHEN`; nothing where the system says neither (Windows).
    """
    found: list[tuple[str, str]] = []
    if hasattr(os, "getloadavg"):
        try:
            found.append((f"load_{when}", f"{os.getloadavg()[0]:.2f}"))
        except OSError:
            return ()
    others = _others_runnable()
    return (*found, (f"others_runnable_{when}", str(others))) if others is not None else tuple(found)


def _others_runnable() -> int | None:
    """Threads of this machine that run or wait for a core now, without the caller's."""
    try:
        # 0.48 1.63 1.22 1/90 12880: the fourth is runnable/all.
        return max(0, int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].split("/")[0]) - 1)
    except (OSError, IndexError, ValueError):
        return None
