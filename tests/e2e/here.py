"""The command line without a process of its own: for what ends in a moment, where starting Python would take seconds."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path


def call_here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`mvsearch ARGUMENTS` from this folder, through its own entry point; nobody is at a terminal."""
    from mvsearch.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    before, handlers = Path.cwd(), {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    argv, sys.argv = sys.argv, ["mvsearch", *arguments]
    code: object = 0
    try:
        os.chdir(cwd)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = argv
        os.chdir(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return subprocess.CompletedProcess(
        ["mvsearch", *arguments], code if isinstance(code, int) else 0, out.getvalue(), err.getvalue()
    )
