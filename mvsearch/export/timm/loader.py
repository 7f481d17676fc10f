"""Loads an export by timm alone; runs where mvsearch is not installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np


def load(entry: str) -> Callable[[np.ndarray], np.ndarray]:
    """The network that the file in an entry's `timm` folder registers: images (B, C, H, W) in [0, 1] -> logits.

    Raises:
        ValueError: a weight is not in the model as it stands in the file.
    """
    import timm
    import torch
    from safetensors.torch import load_file

    (file,) = Path(entry, "timm").glob("*.py")
    sys.dont_write_bytecode = True  # Nothing is left in the entry.
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None, "a Python file"
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = timm.create_model(f"mvsearch_{file.stem}", pretrained=True).eval()
    written, state = load_file(file.with_name("model.safetensors")), model.state_dict()
    if written.keys() != state.keys():
        raise ValueError(f"weights that are not in both: {sorted(written.keys() ^ state.keys())[:3]}")
    for name, tensor in written.items():
        if not torch.equal(tensor, state[name]):
            raise ValueError(f"`{name}` was loaded with other values than the file has")

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits: np.ndarray = model(torch.from_numpy(images)).numpy()
            return logits

    return run
