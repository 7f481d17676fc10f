"""Makes exports in a process of its own: reads their names from stdin, a line each, and answers each with a line of JSON."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Serve until stdin ends."""
    # Whoever started this process ends it; what libraries print is not an answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.WARNING)
    import torch

    from mvsearch.errors import MvsearchError
    from mvsearch.export.entry import load, read_config, read_metrics
    from mvsearch.export.exports import make_one
    from mvsearch.export.subject import subject_of

    torch.set_num_threads(1)
    subject, model = subject_of(read_config(folder), read_metrics(folder)), load(folder)
    for line in sys.stdin:
        name = line.strip()
        try:
            outcome = make_one(name, subject, model, folder)
            answer = {"name": name, "info": dict(outcome.info or {}), "seconds": outcome.seconds}
        except MvsearchError as error:
            answer = {"name": name, "error": error.message, "hint": error.hint}
        answers.write(json.dumps(answer, default=str) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
