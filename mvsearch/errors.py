"""What users see when something is wrong: one message, one hint, one exit code."""

from __future__ import annotations

import re
from typing import Any, Literal

MeasureFault = Literal["unplugged", "locked", "hot", "low-power", "load", "timeout", "unsteady", "unavailable", "tool"]
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """A text without what steers a terminal, turns its direction, or cannot be written as UTF-8; lines and tabs stay."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


class MvsearchError(Exception):
    """An error that is shown to the user without a traceback.

    Args:
        message: what is wrong, with the offending value in backticks; no full stop.
        hint: what is allowed, or what to do next; may be empty.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        # What is wrong may be a stranger's text, and this goes to a terminal.
        self.message = printable(message)
        self.hint = printable(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message


class InputError(MvsearchError):
    """The user's input cannot be used as it is (exit code 2)."""


class SpecError(InputError):
    """An architecture that cannot exist: a width, a patch or a head count that does not fit."""


class SpaceError(InputError):
    """A search space file with faults; `faults` holds every one of them."""

    def __init__(self, faults: tuple[str, ...], hint: str = "") -> None:
        plural = "fault" if len(faults) == 1 else "faults"
        super().__init__(f"{len(faults)} {plural} in the search space:\n" + "\n".join(f"  {f}" for f in faults), hint)
        self.faults = faults


class NoCandidateError(MvsearchError):
    """No candidate of the space keeps the budget (exit code 3).

    Args:
        message: what was not found.
        hint: what to do next.
        nearest: evaluations of the candidates that come nearest, for the command line to show.
        budgets: that were asked for.
        confidence: with which a predicted budget had to be met.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        hint: str = "",
        nearest: tuple[Any, ...] = (),
        budgets: tuple[Any, ...] = (),
        confidence: float = 0.8,
    ) -> None:
        super().__init__(message, hint)
        self.nearest = nearest
        self.budgets = budgets
        self.confidence = confidence


class TargetError(InputError):
    """A target that is unknown, or that cannot do here what was asked of it."""


class MeasureError(TargetError):
    """A measurement that did not come about.

    Args:
        kind: `unplugged` (the device is gone), `locked`, `hot` (throttled), `low-power`, `load` (the runtime refuses
            the network), `timeout`, `unsteady` (drift), `unavailable` (not here at all), `tool` (its tools failed).
        message: what happened.
        hint: what to do.
        retryable: whether the same may succeed later without anybody changing the network.
    """

    def __init__(self, kind: MeasureFault, message: str, hint: str = "", *, retryable: bool = False) -> None:
        super().__init__(message, hint)
        self.kind = kind
        self.retryable = retryable


class ExportError(MvsearchError):
    """Something that was to be exported is not what it should be; nothing is left at its final place."""


class ConversionError(ExportError):
    """A network that a runtime's converter does not take.

    Args:
        message: what failed, with the operation in backticks.
        hint: what to do next; may be empty.
        op: the operation at which it failed, e.g. `fold`; empty if the converter does not say.
        location: path of the module that holds the operation, e.g. `stages.2.1`; may be empty.
    """

    kind: Literal["convert-fail"] = "convert-fail"

    def __init__(self, message: str, hint: str = "", op: str = "", location: str = "") -> None:
        super().__init__(message, hint)
        self.op = op
        self.location = location


def first_line(error: BaseException, most: int = 300) -> str:
    """What an error of somebody else's says first; the name of its class if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]
