"""A network that mvsearch has found, as a model of transformers.

The network itself is built by mvsearch's own modules, copies of which lie beside this file where it was exported.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention

from mvsearch.export.transformers.configuration_mvsearch import MvsearchConfig
from mvsearch.models.build import build
from mvsearch.spec.arch import ArchSpec, from_json


def spec_of(config: MvsearchConfig) -> ArchSpec:
    """The architecture of a configuration, with as many classes as it has labels."""
    return from_json({**(config.arch or {}), "num_classes": config.num_labels})


class MvsearchForImageClassification(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Images -> logits, and a loss where labels are given."""

    config_class = MvsearchConfig
    base_model_prefix = "network"
    main_input_name = "pixel_values"

    def __init__(self, config: MvsearchConfig) -> None:
        super().__init__(config)
        network = self._built(seed=0)
        # transformers makes a model on the meta device where weights follow; what is built always is on the CPU.
        self.network = network.to("meta") if torch.empty(0).device.type == "meta" else network
        self._initial: dict[str, Tensor] = {}
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the network.

        Args:
            pixel_values: (B, C, H, W) in [0, 1], RGB.
            labels: (B,) classes for cross-entropy; (B, num_labels) for several labels at once.
            output_hidden_states: also give the map after the stem and after every stage.
            return_dict: an object with names instead of a tuple.
            kwargs: of callers that know more arguments; not used.
        """
        states: tuple[Tensor, ...] = ()
        x = pixel_values
        for name, part in self.network.named_children():
            for layer in part.children() if name == "stages" else (part,):
                x = layer(x)
                if name in ("stem", "stages"):
                    states = (*states, x)
        loss = None if labels is None else self.loss_function(labels, x, self.config)
        hidden = output_hidden_states if output_hidden_states is not None else self.config.output_hidden_states
        if return_dict is False or (return_dict is None and not self.config.return_dict):
            output = (x, *((states,) if hidden else ()))
            return output if loss is None else (loss, *output)
        return ImageClassifierOutputWithNoAttention(loss=loss, logits=x, hidden_states=states if hidden else None)

    def _built(self, seed: int) -> nn.Module:
        config: Any = self.config
        return build(
            spec_of(config),
            drop_rate=config.classifier_dropout_prob,
            transformer_drop_rate=config.hidden_dropout_prob,
            seed=seed,
        )

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Give what a module itself holds, and what was not loaded, its initial values: those of mvsearch."""
        own = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
        own = {name: t for name, t in own.items() if not getattr(t, "_is_hf_initialized", False)}
        if own:
            if not self._initial:
                with torch.device("cpu"):
                    fresh = self._built(seed=int(torch.randint(2**31, ())))
                self._initial = {**dict(fresh.named_parameters()), **dict(fresh.named_buffers())}
            path = next(name for name, m in self.network.named_modules() if m is module)
            for name, tensor in own.items():
                tensor.copy_(self._initial[f"{path}.{name}" if path else name])
        if module is self:
            # The last one: nothing asks again.
            self._initial = {}
