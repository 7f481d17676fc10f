"""Makes timm and transformers importable with a torchvision that was built for another torch."""

import torch

from mvsearch.export.fresh_runner import declare_torchvision_operators

torch.set_num_threads(1)

# The declaration lasts as long as this object.
_LIBRARY = declare_torchvision_operators()
