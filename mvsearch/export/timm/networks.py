"""Networks that timm does not have, in its own terms; the exporter copies those that it needs into the network's file.

Source: timm's `EfficientFormer`, whose names of parameters they keep.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.helpers import to_2tuple
from timm.models.efficientformer import Attention, EfficientFormer, MetaBlock1d


class OtherEfficientFormer(EfficientFormer):
    """timm's EfficientFormer with what it lacks: images of another size than 224 pixels, and a single classifier.

    Args:
        img_size: of the images, which attention's tables are made for: sides are multiples of 32.
        distillation: whether a second classifier learns from a teacher, and the mean of both counts.
    """

    head_dist: Any
    stages: Any

    def __init__(
        self,
        img_size: Any = 224,
        distillation: bool = True,
        device: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        dd = {"device": device, "dtype": dtype}
        super().__init__(img_size=img_size, **dd, **kwargs)
        sides: Any = tuple(side // 32 for side in to_2tuple(img_size))
        for block in self.stages[-1].blocks:
            if isinstance(block, MetaBlock1d) and sides != (7, 7):
                block.token_mixer = Attention(self.num_features, resolution=sides, **dd).apply(self._init_weights)
        self.distillation = distillation
        if not distillation:
            self.head_dist = None

    def get_classifier(self) -> Any:
        """The classifier, or both."""
        return (self.head, self.head_dist) if self.distillation else self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Classifiers of other classes."""
        super().reset_classifier(num_classes, global_pool)
        if not self.distillation:
            self.head_dist = None

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> Any:
        """(B, N, C) -> (B, num_classes), or features (B, C)."""
        if self.distillation or pre_logits:
            return super().forward_head(x, pre_logits=pre_logits)
        return self.head(super().forward_head(x, pre_logits=True))
