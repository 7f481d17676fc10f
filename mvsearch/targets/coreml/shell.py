"""The one door to other programs, so that tests can play the device behind it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mvsearch.errors import MeasureError


@dataclass(frozen=True, slots=True)
class Done:
    """A program that ended: its exit status and its output."""

    status: int
    out: str = ""
    err: str = ""

    @property
    def output(self) -> str:
        """Both outputs, one after the other."""
        return f"{self.out}\n{self.err}"


class Shell(Protocol):
    """Runs a program."""

    def __call__(self, command: Sequence[str], timeout_s: float, folder: Path | None = None) -> Done:
        """Run it to its end.

        Args:
            command: the program and its arguments; no shell reads them.
            timeout_s: after which it is killed.
            folder: to run it in.

        Raises:
            MeasureError: `timeout`, or `tool` if there is no such program.
        """
        ...


def run_command(command: Sequence[str], timeout_s: float, folder: Path | None = None) -> Done:
    """The real one."""
    try:
        done = subprocess.run(
            list(command), capture_output=True, text=True, errors="replace", timeout=timeout_s, cwd=folder,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise timed_out(command, timeout_s) from None
    except OSError as error:
        raise MeasureError(
            "tool", f"`{command[0]}` cannot be run: {error.strerror or error}", "install Xcode 15 or newer"
        ) from None
    return Done(done.returncode, done.stdout, done.stderr)


def timed_out(command: Sequence[str], timeout_s: float) -> MeasureError:
    """The fault of a program that did not end."""
    return MeasureError(
        "timeout",
        f"`{_name(command)}` did not end within {timeout_s:.0f} s",
        "where a phone is in play, unlock it and plug it in again",
        retryable=True,
    )


def _name(command: Sequence[str]) -> str:
    """The words of a command before its first option."""
    words = []
    for word in command:
        if word.startswith("-") or "/" in word:
            break
        words.append(word)
    return " ".join(words) or Path(command[0]).name
