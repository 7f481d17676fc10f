"""Configuration of a network that mvsearch has found, for transformers."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig


class MvsearchConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """An architecture as plain data, and the rates of its dropouts.

    Args:
        arch: stem, stages, head, activation and `in_channels`; the number of classes is `num_labels`.
        image_size: side of the images that it was made for, in pixels; it takes any other.
        classifier_dropout_prob: dropout before the classifier.
        hidden_dropout_prob: dropout of every attention's and feed-forward network's output.
        kwargs: of the base class, e.g. `num_labels`, `id2label`.
    """

    model_type = "mvsearch"

    def __init__(
        self,
        arch: dict[str, Any] | None = None,
        image_size: int = 256,
        classifier_dropout_prob: float = 0.0,
        hidden_dropout_prob: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.arch = arch
        self.image_size = image_size
        self.classifier_dropout_prob = classifier_dropout_prob
        self.hidden_dropout_prob = hidden_dropout_prob
        super().__init__(**kwargs)
