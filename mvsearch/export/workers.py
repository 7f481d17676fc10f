"""Several exports at a time, each in a worker of its own: libraries change torch while they trace, and would meet."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mvsearch.errors import ExportError

WORKERS = 2
"""Each takes a core and a gigabyte."""
SILENCE_SECONDS = 1800
"""After which a library is taken to hang."""
LONGEST_FIRST = ("executorch", "coreml", "torch", "transformers", "timm", "onnx", "cvnets", "training")


def made_by_workers(names: Sequence[str], folder: Path, began: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Make exports in an entry that is not yet at its place.

    Args:
        names: of exporters.
        folder: of the entry.
        began: hears of each export as it is begun.

    Yields:
        `name`, `info` and `seconds` of each, as soon as it is there.

    Raises:
        ExportError: the first that fails; the others are stopped.
    """
    waiting = sorted(names, key=lambda n: LONGEST_FIRST.index(n) if n in LONGEST_FIRST else -1)
    answers: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
    with _workers(min(WORKERS, len(waiting), os.cpu_count() or 1), folder, answers) as workers:
        busy: dict[int, str] = {}

        def give(number: int) -> None:
            if waiting:
                busy[number] = waiting.pop(0)
                began(busy[number])
                stdin: IO[str] = workers[number][0].stdin  # type: ignore[assignment]
                try:
                    stdin.write(busy[number] + "\n")
                    stdin.flush()
                except OSError:
                    pass  # It has died; its end is in the queue of answers.

        for number in range(len(workers)):
            give(number)
        while busy:
            try:
                number, answer = answers.get(timeout=SILENCE_SECONDS)
            except queue.Empty:
                doing = ", ".join(f"`{name}`" for name in busy.values())
                raise ExportError(f"{doing}: nothing was heard for {SILENCE_SECONDS} s", "try fewer at a time") from None
            name = busy.pop(number, "")
            if answer is None:
                raise ExportError(f"`{name}`: its process ended: {_last_line(workers[number][1])}", "nothing was written")
            if "error" in answer:
                raise ExportError(answer["error"], answer["hint"])
            yield answer
            give(number)


@contextmanager
def _workers(
    number: int, folder: Path, answers: queue.Queue[tuple[int, dict[str, Any] | None]]
) -> Iterator[list[tuple[subprocess.Popen[str], Path]]]:
    """Processes with what they say on stderr; all are gone at the end, whatever happened."""
    started: list[tuple[subprocess.Popen[str], Path]] = []
    with tempfile.TemporaryDirectory(prefix="mvsearch-workers-") as work:
        try:
            for i in range(number):
                said = Path(work) / f"{i}.txt"
                with said.open("wb") as stderr:
                    process = subprocess.Popen(
                        [sys.executable, "-m", "mvsearch.export.worker", str(folder)],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, encoding="utf-8",
                        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                        start_new_session=True,
                    )  # fmt: skip
                started.append((process, said))
                threading.Thread(target=_listen, args=(i, process, answers), daemon=True).start()
            yield started
        finally:
            for process, _ in started:
                process.kill()
            for process, _ in started:
                process.wait()


def _listen(number: int, process: subprocess.Popen[str], answers: queue.Queue[tuple[int, dict[str, Any] | None]]) -> None:
    assert process.stdout is not None, "it was opened as a pipe"
    for line in process.stdout:
        answers.put((number, json.loads(line)))
    answers.put((number, None))


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
