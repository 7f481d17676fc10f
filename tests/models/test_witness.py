"""The witness counts what there is, lists what it adds, and does not pass over what it cannot count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from mvsearch.costs import count
from mvsearch.models import build
from mvsearch.models.witness import BuiltCosts, UncountedOperatorError, count_built, verify
from mvsearch.spec.published import network
from tests.models.test_build import SMALL

torch.set_num_threads(1)


def test_extra_terms_are_listed_and_not_added() -> None:
    """MobileViT-XXS at 224: the figures are those that fvcore gives for the official network."""
    built = count_built(build(network("mobilevit_xxs")), 256)
    assert built.macs == 407364096
    extra = dict(built.extra)
    assert set(extra) == {"adaptive_avg_pool2d", "batch_norm", "layer_norm"}
    # fvcore's total for the official code, which takes the mean without a pooling layer.
    assert built.macs + extra["batch_norm"] + extra["layer_norm"] == 418183680
    assert dict(built.uncounted)["aten::softmax"] == 9


def test_resize_is_an_extra_term() -> None:
    built = count_built(build(network("mobilevit_xxs")), 224)
    # Up to 8 x 8 and back to 7 x 7 at 96 channels, four per element written.
    assert dict(built.extra)["upsample_bilinear2d"] == 4 * 96 * (8 * 8 + 7 * 7)


class Fused(nn.Module):
    """Attention as most libraries write it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.conv(x).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        return nn.functional.scaled_dot_product_attention(query, key, value)


def test_fused_attention_is_an_error_and_not_nothing() -> None:
    with pytest.raises(UncountedOperatorError, match="aten::scaled_dot_product_attention"):
        count_built(Fused(), 32)


def test_the_model_is_left_as_it_was(capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    model = build(SMALL).train()
    model.head.eval()
    modes = [m.training for m in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert verify(SMALL, 64, model) is None
    assert [m.training for m in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn)


def test_verify_says_what_does_not_agree() -> None:
    model = build(SMALL)
    closed = count(SMALL, 64)
    found = verify(SMALL, 64, build(SMALL.with_classes(6)))
    assert found == f"params: closed form `{closed.params}`, built network `{closed.params + 65}`"
    fewer_heads = replace(SMALL, stages=(SMALL.stages[0], replace(SMALL.stages[1], patch=(4, 4)), SMALL.stages[2]))
    assert str(verify(fewer_heads, 64, model)).startswith("macs: closed form")
    with torch.no_grad():
        model.head.fc.bias[0] = torch.nan
    assert verify(SMALL, 64, model) == "output that is not finite"


def test_counts_are_plain_integers() -> None:
    built = count_built(build(SMALL), (64, 96))
    assert isinstance(built, BuiltCosts)
    assert type(built.params) is int
    assert type(built.macs) is int
    assert (built.params, built.macs) == (count(SMALL, (64, 96)).params, count(SMALL, (64, 96)).macs)
