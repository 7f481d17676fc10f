"""Files of records, one per line, whole and in order of arrival."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from mvsearch.errors import InputError
from mvsearch.files import parse_json, read_bytes

MAX_BYTES = 256 * 2**20
"""Of a file that is read: more than ten thousand measurements."""


class _Record(Protocol):
    def to_json(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=_Record)


class RecordFile(Generic[R]):
    """JSON lines that are only ever appended to.

    Args:
        path: of the file; made with the first record.
        read: makes a record of a line's content, or raises `ValueError`.
    """

    def __init__(self, path: Path, read: Callable[[Any], R]) -> None:
        self.path = path
        self._read = read
        self._lock = threading.Lock()

    def append(self, record: R) -> None:
        """Write a record, unless it is there: durable when this returns; from any thread.

        Raises:
            InputError: the file cannot be written.
        """
        line = json.dumps(record.to_json(), allow_nan=False) + "\n"
        try:
            with self._lock, self.path.open("a+b") as file:
                if record in self.records():
                    return
                if file.tell() and not self._ends_well(file.tell()):
                    line = "\n" + line  # A writer that was killed left half a line, which is not to spoil this one.
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"`{self.path}` cannot be written: {error.strerror}", "make room, then resume") from None

    def records(self) -> list[R]:
        """All records, oldest first; lines that are none are passed over.

        Raises:
            InputError: the file cannot be read, or is larger than any run's.
        """
        try:
            lines = read_bytes(self.path, MAX_BYTES).split(b"\n")
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            with suppress(ValueError):
                found.append(self._read(parse_json(line)))
        return found

    def _ends_well(self, size: int) -> bool:
        with self.path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"
