"""Makes timm and transformers importable with a torchvision that was built for another torch.

The wheels of torchvision on PyPI are built for CUDA. With a CPU build of torch their library cannot
be loaded, and importing torchvision fails since two of its operators are then unknown. No network
here uses them; declaring them is enough.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

torch.set_num_threads(1)


def _declare_missing_operators() -> torch.library.Library | None:
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    try:
        torch.ops.load_library(str(Path(spec.origin).with_name("_C.so")))
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None


# The declaration lasts as long as this object.
_LIBRARY = _declare_missing_operators()
