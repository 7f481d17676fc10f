"""Loads `model.pte` by ExecuTorch's runtime alone; run in a process of its own by `mvsearch.export.fresh`."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def load(folder: str) -> Callable[[Any], Any]:
    """Images (1, C, H, W) -> logits (1, classes), for arrays."""
    import torch
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(f"{folder}/model.pte")
    method = program.load_method("forward")
    # The method keeps no reference to its program.
    return lambda images, keep=program: method.execute([torch.from_numpy(images)])[0].numpy()  # type: ignore[misc]
