"""Files of records, one per line, whole and in order of arrival."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from mvsearch.errors import InputError


class _Record(Protocol):
    def to_json(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=_Record)


class RecordFile(Generic[R]):
    """JSON lines that are only ever appended to.

    Args:
        path: of the file; made with the first record.
        read: makes a record of a line's content.
    """

    def __init__(self, path: Path, read: Callable[[dict[str, Any]], R]) -> None:
        self.path = path
        self._read = read
        self._lock = threading.Lock()

    def append(self, record: R) -> None:
        """Write a record, unless it is there: durable when this returns; from any thread.

        Raises:
            InputError: the file cannot be written.
        """
        line = json.dumps(record.to_json()) + "\n"
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
        """All records, oldest first; lines that are none are passed over."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"`{self.path}` cannot be read: {error.strerror}", "") from None
        found = []
        for line in lines:
            try:
                found.append(self._read(json.loads(line)))
            except (ValueError, TypeError, AttributeError, KeyError):
                continue
        return found

    def _ends_well(self, size: int) -> bool:
        with self.path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"
