"""Loads `model.pt2` by torch alone; run in a process of its own by `mvsearch.export.fresh`."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def load(folder: str) -> Callable[[Any], Any]:
    """Images (B, C, H, W) -> logits (B, classes), for arrays."""
    import torch

    torch.set_num_threads(1)
    network = torch.export.load(f"{folder}/model.pt2").module()

    def run(images: Any) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(images)).numpy()

    return run
