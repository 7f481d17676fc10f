"""Why an export did not come about."""

from __future__ import annotations

from mvsearch.errors import MvsearchError
from mvsearch.spec.record import Failure, FailureKind


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

    kind: FailureKind = "convert-fail"

    def __init__(self, message: str, hint: str = "", op: str = "", location: str = "") -> None:
        super().__init__(message, hint)
        self.op = op
        self.location = location

    def as_failure(self) -> Failure:
        """The same as the record that strikes a candidate off."""
        return Failure(self.kind, self.message)
