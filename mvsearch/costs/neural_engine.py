"""The operations of a network in the Neural Engine's form (`mvsearch.models.neural_engine`), in closed form.

Parameters and multiply-accumulates are those of the plain graph. Stored weights are fewer: scale and shift of the
transformers' norms are in the convolutions after them. A part without such a form is the plain graph's own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from math import prod
from typing import Any

from mvsearch.costs.lowering import (
    NETWORK_CACHE,
    PART_CACHE,
    Form,
    Lowering,
    Part,
    Resolution,
    chain,
    image_size,
    lower_part,
    mobilevit,
    mobilevitv2,
    planned,
)
from mvsearch.costs.op import Shape
from mvsearch.costs.trace import Trace
from mvsearch.spec.arch import ArchSpec, MobileViTStage, MobileViTV2Stage

GRAPH = "neural-engine"


def lower_neural_engine(spec: ArchSpec, resolution: Resolution) -> tuple[Part, ...]:
    """The network's parts in the Neural Engine's form; see `costs.lower`."""
    return _lower(spec, *image_size(resolution))


def has_form(spec: ArchSpec) -> bool:
    """Whether the form differs from the plain graph in any stage."""
    return any(type(stage) in _LOWERINGS for stage in spec.stages)


@lru_cache(maxsize=NETWORK_CACHE)
def _lower(spec: ArchSpec, height: int, width: int) -> tuple[Part, ...]:
    return chain(spec, height, width, partial(_lower_part, norm=spec.norm))


def _lower_part(name: str, part: Any, shape: Shape, activation: str, num_classes: int, norm: str) -> Part:
    if type(part) not in _LOWERINGS:
        return lower_part(name, part, shape, activation, num_classes)
    return _changed_part(name, part, shape, activation, norm)


@lru_cache(maxsize=PART_CACHE)
def _changed_part(name: str, part: Any, shape: Shape, activation: str, norm: str) -> Part:
    plain = planned(_LOWERINGS[type(part)], name, part, shape, activation, 0, norm)
    # A block of its own to a predictor, which has seen none like it and is as unsure of it as of any such.
    return replace(plain, block=f"{plain.block}+{GRAPH}")


def _unfold(t: Trace, name: str, x: Shape, patch: tuple[int, int]) -> Shape:
    """(1, d, h, w) -> (1, d, pixels of a patch, patches)."""
    (_, d, h, w), (ph, pw) = x, patch
    rows, columns, pixels = h // ph, w // pw, ph * pw
    y = x
    if ph != pw:
        y = t.transpose(name, t.reshape(name, y, (d * rows, ph, columns, pw)), 0, 1, 3, 2)
        y = t.transpose(name, t.reshape(name, y, (d, rows, pixels, columns)), 0, 2, 1, 3)
    elif ph > 1:
        # `pixel_unshuffle` moves every element, as a transpose does.
        y = t.add("transpose", name, (y,), (1, d * pixels, rows, columns))
    return t.reshape(name, y, (1, d, pixels, rows * columns))


def _fold(t: Trace, name: str, x: Shape, patch: tuple[int, int], size: tuple[int, int]) -> Shape:
    """Last norm, then back to (1, d, h, w)."""
    (_, d, pixels, _), (ph, pw), (h, w) = x, patch, size
    rows, columns = h // ph, w // pw
    y = _norm(t, f"{name}.norm", x)
    if ph != pw:
        y = t.transpose(name, t.reshape(name, y, (d, pixels, rows, columns)), 0, 2, 1, 3)
        y = t.transpose(name, t.reshape(name, y, (d * rows, ph, pw, columns)), 0, 1, 3, 2)
        return t.reshape(name, y, (1, d, h, w))
    y = t.reshape(name, y, (1, d * pixels, rows, columns))
    return t.add("transpose", name, (y,), (1, d, h, w)) if ph > 1 else y


def _norm(t: Trace, name: str, x: Shape) -> Shape:
    """Over the channels or over the whole map; its scale and shift are in the convolution that follows."""
    return t.batch_norm(x, x[1]) if t.folds_norms else t.add("layer_norm", name, (x,), x, params=2 * x[1])


def _pointwise(t: Trace, name: str, x: Shape, channels: int) -> Shape:
    return t.conv(name, x, channels, norm=False, bias=True)


def _feed_forward(t: Trace, layer: str, y: Shape, ffn_dim: int) -> Shape:
    with t.hold(y):
        a = _pointwise(t, f"{layer}.mlp.fc1", _norm(t, f"{layer}.norm2", y), ffn_dim)
        a = _pointwise(t, f"{layer}.mlp.fc2", t.act(layer, a), y[1])
    return t.elementwise(layer, y, a)


def _softmax_layer(t: Trace, layer: str, y: Shape, heads: int, ffn_dim: int) -> Shape:
    with t.hold(y):
        a = _softmax_attention(t, f"{layer}.attn", _norm(t, f"{layer}.norm1", y), heads)
    return _feed_forward(t, layer, t.elementwise(layer, y, a), ffn_dim)


def _softmax_attention(t: Trace, name: str, x: Shape, heads: int) -> Shape:
    """Head by head, with one transpose for the keys of all of them."""
    _, d, p, n = x
    per_head = d // heads
    head, keys, score = (1, per_head, p, n), (1, n, p, d), (1, n, p, n)
    with t.hold(x):
        _pointwise(t, f"{name}.q", x, d)
        _split(t, name, x, head, heads)
        with t.hold(x):
            _pointwise(t, f"{name}.k", x, d)
            if heads > 1:
                t.transpose(name, x, 0, 3, 2, 1)
            _split(t, name, keys, (1, n, p, per_head), heads)
    with t.hold((2, *x)):
        _pointwise(t, f"{name}.v", x, d)
        if heads == 1:
            t.transpose(name, x, 0, 3, 2, 1)
        _split(t, name, x, head, heads)
    with t.hold((3, *x)):
        macs = prod(score) * per_head
        for _ in range(heads):
            t.add("matmul", name, ((1, n, p, per_head), head), score, macs=macs)
            t.add("softmax", name, (score,), score)
            t.add("matmul", name, (head, score), head, macs=macs)
    if heads > 1:
        t.concat(name, *(head,) * heads)
    return _pointwise(t, f"{name}.proj", x, d)


def _split(t: Trace, name: str, x: Shape, piece: Shape, pieces: int) -> None:
    if pieces > 1:
        t.add("slice", name, (x,), *(piece,) * pieces)


def _separable_layer(t: Trace, layer: str, y: Shape, ffn_dim: int) -> Shape:
    with t.hold(y):
        a = _separable_attention(t, f"{layer}.attn", _norm(t, f"{layer}.norm1", y))
    return _feed_forward(t, layer, t.elementwise(layer, y, a), ffn_dim)


def _separable_attention(t: Trace, name: str, x: Shape) -> Shape:
    _, d, p, n = x
    query, context = (1, 1, p, n), (1, d, p, 1)
    with t.hold(x):
        _pointwise(t, f"{name}.k", x, d)
        with t.hold(x):
            _pointwise(t, f"{name}.q", x, 1)
            t.add("softmax", name, (query,), query)
        t.elementwise(name, x, query)
        t.add("reduce", name, (x,), context)
    with t.hold(context):
        t.add("relu", name, (_pointwise(t, f"{name}.v", x, d),), x)
    t.elementwise(name, x, context)
    return _pointwise(t, f"{name}.out_proj", x, d)


_SOFTMAX = Form(_unfold, _softmax_layer, _fold)
_SEPARABLE = Form(_unfold, _separable_layer, _fold)
_LOWERINGS: dict[type, Lowering] = {
    MobileViTStage: lambda p, name, stage, x, _: mobilevit(p, name, stage, x, _SOFTMAX),
    MobileViTV2Stage: lambda p, name, stage, x, _: mobilevitv2(p, name, stage, x, _SEPARABLE),
}
