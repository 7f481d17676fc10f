"""Runs in a process of its own (`mvsearch.export.fresh`): loads exports by a loader script, and keeps their outputs."""

import importlib.util
import json
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np


@cache
def declare_torchvision_operators() -> Any:
    """Let libraries import a torchvision that was built for another torch; the result has to be kept, which the cache does.

    Its compiled part then does not load, and its import fails for two operators that are not known. No exported network
    uses them, so that declaring them is enough.
    """
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    torch: Any = importlib.import_module("torch")
    try:
        torch.ops.load_library(str(Path(spec.origin).with_name("_C.so")))
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None


def main(work: Path) -> None:
    """Do every job of `jobs.json` in this folder."""
    # What an export needs of us it does not have where it is used.
    sys.modules["mvsearch"] = None  # type: ignore[assignment]
    task = json.loads((work / "jobs.json").read_text())
    declare_torchvision_operators()
    spec = importlib.util.spec_from_file_location("export_loader", task["loader"])
    assert spec is not None and spec.loader is not None, "a loader is a Python file"
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    for job in task["jobs"]:
        images = np.load(work / job["images"], allow_pickle=False)
        np.save(work / job["logits"], np.asarray(loader.load(job["folder"])(images), dtype=np.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
