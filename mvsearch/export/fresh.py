"""Exports loaded by their library alone: in a process of its own, from which mvsearch cannot be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.errors import ExportError

if TYPE_CHECKING:
    import numpy as np

TIMEOUT_SECONDS = 600.0
_RUNNER = Path(__file__).with_name("fresh_runner.py")


def logits_of(
    loader: Path, folders: Sequence[Path], images: np.ndarray | Sequence[np.ndarray], timeout: float = TIMEOUT_SECONDS
) -> list[np.ndarray]:
    """What exports give for these images.

    Args:
        loader: a script that imports the library alone and defines `load(folder) -> (images -> logits)`, for arrays.
        folders: of the entries, as many as one process is to load.
        images: (B, C, H, W) float32 in [0, 1], for all folders or one array for each.
        timeout: seconds for all of them.

    Returns:
        Logits (B, classes) for each folder.

    Raises:
        ExportError: one of them does not load or does not run; with what the library said.
    """
    import numpy as np

    each = [images] * len(folders) if isinstance(images, np.ndarray) else list(images)
    with tempfile.TemporaryDirectory(prefix="mvsearch-fresh-") as work:
        jobs = []
        for i, (folder, batch) in enumerate(zip(folders, each, strict=True)):
            np.save(Path(work) / f"images-{i}.npy", batch)
            jobs.append({"folder": str(folder.resolve()), "images": f"images-{i}.npy", "logits": f"logits-{i}.npy"})
        (Path(work) / "jobs.json").write_text(json.dumps({"loader": str(loader.resolve()), "jobs": jobs}))
        _run(work, timeout)
        return [np.load(Path(work) / f"logits-{i}.npy", allow_pickle=False) for i in range(len(folders))]


def _run(work: str, timeout: float) -> None:
    # Libraries ask their hubs for news and draw bars; neither belongs here.
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"}
    # A cache of its own for code that a library copies before it imports it.
    homes = {"HF_HOME": str(Path(work) / "hf"), "HF_MODULES_CACHE": str(Path(work) / "hf" / "modules")}
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(_RUNNER), work],
            cwd=work, env={**os.environ, **quiet, **homes}, capture_output=True, text=True, errors="replace", timeout=timeout,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"what was exported was not loaded within {timeout:g} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        said = lines[-1].strip()[:500] if lines else f"the process ended with {done.returncode}"
        raise ExportError(f"what was exported does not load: {said}")
