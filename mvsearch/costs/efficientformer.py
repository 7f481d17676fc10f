"""The lowerings of EfficientFormer and EfficientFormerV2.

A layer scale that follows a convolution is folded into it, as its batch norm is; one that follows pooling or a linear layer
is an operation. Attention's bias is listed as it is once it is trained: while it is zero, the converter drops the addition.

Enlarging a map by two is listed as `pool`, a fixed window at every pixel, and not as `resize`: resizing to a size that is no
multiple costs an iPhone 12 about 0.4 ms each (see `targets.predictor`), and EfficientFormerV2-S0, which doubles two maps, was
measured at 0.9 ms in all, L, which doubles six, at 2.7 ms (arXiv 2212.08059).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from mvsearch.costs.op import Shape
from mvsearch.costs.trace import Plan, Trace
from mvsearch.errors import InputError
from mvsearch.spec.efficientformer import (
    DOWNSAMPLING_KEY_DIM,
    DOWNSAMPLING_VALUE_DIM,
    HEADS,
    KEY_DIM,
    TOTAL_STRIDE,
    VALUE_DIM,
    DoubleConvStem,
    EfficientFormerStage,
    EfficientFormerV2Stage,
    NormHead,
    TokenHead,
)


def _stem(p: Plan, name: str, stem: DoubleConvStem, x: Shape, _: int) -> Shape:
    for i, channels in enumerate((stem.channels // 2, stem.channels), start=1):
        x = p.run(_stem_conv, f"{name}.conv{i}", x, channels, stem.activation)
    return x


def _stem_conv(t: Trace, name: str, x: Shape, channels: int, activation: str) -> Shape:
    return t.act(name, t.conv(name, x, channels, kernel=3, stride=2, bias=True), activation)


def _check_side(stage: EfficientFormerStage | EfficientFormerV2Stage, before: Shape, x: Shape) -> None:
    """Refuse a map that attention's tables are not made for, and one that attention cannot halve."""
    side = stage.bound_side
    if side is None:
        return
    halved = getattr(stage, "attention_downsampling", False) and before[2:] != (2 * side, 2 * side)
    if x[2:] != (side, side) or halved:
        raise InputError(
            f"`attention` of a stage is made for a map of {side} x {side}, and this image gives {x[2]} x {x[3]}",
            f"images of the side that the network was made for ({stage.side * TOTAL_STRIDE} pixels for a published layout), or "
            "another network: `NAME@resolution=R` of a published one, `resolution: R` in a search space",
        )


def _downsampled(p: Plan, name: str, stage: EfficientFormerStage | EfficientFormerV2Stage, x: Shape) -> Shape:
    return p.run(_conv_norm, f"{name}.downsample", x, stage.channels, 3, 2) if stage.stride == 2 else x


def _conv_norm(t: Trace, name: str, x: Shape, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Shape:
    return t.conv(name, x, channels, kernel, stride, groups, bias=True)


def _v1_stage(p: Plan, name: str, stage: EfficientFormerStage, x: Shape, _: int) -> Shape:
    before, x = x, _downsampled(p, name, stage, x)
    _check_side(stage, before, x)
    if pooling := stage.depth - stage.attention:
        x = p.run(_pool_block, f"{name}.blocks.*", x, stage.ffn_dim, times=pooling)
    if stage.attention:
        x = p.run(_flat, name, x)
        x = p.run(_token_block, f"{name}.blocks.*", x, stage.ffn_dim, times=stage.attention)
    return x


def _pool_block(t: Trace, name: str, x: Shape, hidden: int) -> Shape:
    with t.hold(x):
        t.add("pool", f"{name}.token_mixer", (x,), x)
    y = t.elementwise(f"{name}.token_mixer", x, x)
    with t.hold(x):
        y = t.scale(f"{name}.ls1", y)
    y = t.elementwise(name, x, y)
    with t.hold(y):
        a = t.act(name, _conv_norm(t, f"{name}.mlp.fc1", y, hidden))
        a = t.conv(f"{name}.mlp.fc2", a, x[1], bias=True, scaled=True)
    return t.elementwise(name, y, a)


def _flat(t: Trace, name: str, x: Shape) -> Shape:
    """(1, C, h, w) -> (1, h * w, C)."""
    return t.transpose(name, t.reshape(name, x, (1, x[1], x[2] * x[3])), 0, 2, 1)


def _token_block(t: Trace, name: str, x: Shape, hidden: int) -> Shape:
    with t.hold(x):
        y = _token_attention(t, f"{name}.token_mixer", t.layer_norm(f"{name}.norm1", x))
        y = t.scale(f"{name}.ls1", y)
    y = t.elementwise(name, x, y)
    with t.hold(y):
        a = t.act(name, t.linear(f"{name}.mlp.fc1", t.layer_norm(f"{name}.norm2", y), hidden))
        a = t.scale(f"{name}.ls2", t.linear(f"{name}.mlp.fc2", a, x[-1]))
    return t.elementwise(name, y, a)


def _token_attention(t: Trace, name: str, x: Shape) -> Shape:
    tokens, width = x[1], 2 * KEY_DIM + VALUE_DIM
    y = t.linear(f"{name}.qkv", x, HEADS * width)
    y = t.transpose(name, t.reshape(name, y, (1, tokens, HEADS, width)), 0, 2, 1, 3)
    key, value = (1, HEADS, tokens, KEY_DIM), (1, HEADS, tokens, VALUE_DIM)
    t.add("slice", name, (y,), key, key, value)
    with t.hold(value):
        score = _scores(t, name, key, key, KEY_DIM, tokens)
        t.add("softmax", name, (score,), score)
    y = t.transpose(name, t.add("matmul", name, (score, value), value, macs=prod(score) * VALUE_DIM), 0, 2, 1, 3)
    return t.linear(f"{name}.proj", t.reshape(name, y, (1, tokens, HEADS * VALUE_DIM)), x[-1])


def _scores(t: Trace, name: str, query: Shape, key: Shape, key_dim: int, positions: int) -> Shape:
    """Scaled products of queries and keys, with the bias of their offset.

    `positions` is the number of the keys: the table has one number for each and every head, the program one for every score.
    """
    queries = prod(query) // (HEADS * key_dim)
    score: Shape = (1, HEADS, queries, positions)
    t.add("matmul", name, (query, key), score, macs=prod(score) * key_dim)
    t.elementwise(name, score)
    return t.add("elementwise", name, (score,), score, params=HEADS * positions, weights=prod(score))


def _v2_stage(p: Plan, name: str, stage: EfficientFormerV2Stage, x: Shape, _: int) -> Shape:
    before = x
    if stage.attention_downsampling:
        x = _attention_downsampled(p, f"{name}.downsample", stage, x)
    else:
        x = _downsampled(p, name, stage, x)
        _check_side(stage, before, x)
    first = stage.depth - stage.attention
    for i, hidden in enumerate(stage.ffn_dims):
        if i >= first:
            x = p.run(_map_attention, f"{name}.blocks.*.token_mixer", x, stage.attention_stride)
        x = p.run(_depthwise_feed_forward, f"{name}.blocks.*.mlp", x, hidden)
    return x


def _attention_downsampled(p: Plan, name: str, stage: EfficientFormerV2Stage, x: Shape) -> Shape:
    with p.hold(x):
        y = p.run(_conv_norm, f"{name}.conv", x, stage.channels, 3, 2)
    _check_side(stage, x, y)
    with p.hold(y):
        attended = p.run(_downsampling_attention, f"{name}.attn", x, stage.channels)
    return p.run(_sum, name, attended, y)


def _sum(t: Trace, name: str, *inputs: Shape) -> Shape:
    return t.elementwise(name, *inputs)


def _depthwise_feed_forward(t: Trace, name: str, x: Shape, hidden: int) -> Shape:
    with t.hold(x):
        y = t.act(name, _conv_norm(t, f"{name}.fc1", x, hidden))
        y = t.act(name, _conv_norm(t, f"{name}.mid", y, hidden, 3, 1, hidden))
        y = t.conv(f"{name}.fc2", y, x[1], bias=True, scaled=True)
    return t.elementwise(name, x, y)


def _map_attention(t: Trace, name: str, x: Shape, stride: int) -> Shape:
    with t.hold(x):
        y = _conv_norm(t, f"{name}.stride_conv", x, x[1], 3, stride, x[1]) if stride > 1 else x
        y = _attended(t, name, (y, y), KEY_DIM, VALUE_DIM, talking=True)
        if stride > 1:
            y = t.add("pool", name, (y,), (1, y[1], x[2], x[3]))
        y = t.conv(f"{name}.proj", t.act(name, y), x[1], bias=True, scaled=True)
    return t.elementwise(name, x, y)


def _downsampling_attention(t: Trace, name: str, x: Shape, channels: int) -> Shape:
    with t.hold(x):
        local = t.conv(f"{name}.q.local", x, x[1], 3, 2, x[1], norm=False, bias=True)
        with t.hold(local):
            t.add("pool", f"{name}.q", (x,), local)
        t.elementwise(f"{name}.q", local, local)
    y = _attended(t, name, (local, x), DOWNSAMPLING_KEY_DIM, DOWNSAMPLING_VALUE_DIM, talking=False)
    return _conv_norm(t, f"{name}.proj", t.act(name, y), channels)


def _attended(t: Trace, name: str, maps: tuple[Shape, Shape], key_dim: int, value_dim: int, talking: bool) -> Shape:
    """Attention of the first map's pixels to the second's, plus a depthwise convolution of the values."""
    small, large = maps
    queries, keys = small[2] * small[3], large[2] * large[3]
    query, key, value = (1, HEADS, key_dim, queries), (1, HEADS, key_dim, keys), (1, HEADS, value_dim, keys)
    with t.hold(large):
        t.reshape(name, _conv_norm(t, f"{name}.q", small, HEADS * key_dim), query)
        with t.hold(query):
            t.reshape(name, _conv_norm(t, f"{name}.k", large, HEADS * key_dim), key)
    with t.hold((1, prod(query) + prod(key))):
        values = _conv_norm(t, f"{name}.v", large, HEADS * value_dim)
        with t.hold(values):
            stride = 1 if small == large else 2
            local = _conv_norm(t, f"{name}.v_local", values, values[1], 3, stride, values[1])
        with t.hold(local):
            t.reshape(name, values, value)
    with t.hold((1, prod(value) + prod(local))):
        score = _scores(t, name, query, key, key_dim, keys)
        if talking:
            t.conv(f"{name}.talking_head1", score, HEADS, norm=False, bias=True)
        t.add("softmax", name, (score,), score)
        if talking:
            t.conv(f"{name}.talking_head2", score, HEADS, norm=False, bias=True)
    with t.hold(local):
        y = t.add("matmul", name, (score, value), (1, HEADS, queries, value_dim), macs=prod(score) * value_dim)
        y = t.reshape(name, t.transpose(name, y, 0, 1, 3, 2), local)
    return t.elementwise(name, local, y)


def _token_head(p: Plan, name: str, head: TokenHead, x: Shape, num_classes: int) -> Shape:
    if len(x) == 4:
        x = p.run(_flat, name, x)
    return _classifiers(p, name, p.run(_token_features, name, x), head.distilled, num_classes)


def _token_features(t: Trace, name: str, x: Shape) -> Shape:
    return t.add("reduce", name, (t.layer_norm("norm", x),), (1, x[-1]))


def _norm_head(p: Plan, name: str, head: NormHead, x: Shape, num_classes: int) -> Shape:
    return _classifiers(p, name, p.run(_map_features, name, x), head.distilled, num_classes)


def _map_features(t: Trace, name: str, x: Shape) -> Shape:
    """A batch norm after a sum stands alone, with its statistics."""
    t.add("elementwise", "norm", (x,), x, params=2 * x[1], weights=4 * x[1])
    return t.add("reduce", name, (x,), x[:2])


def _classifiers(p: Plan, name: str, x: Shape, distilled: bool, num_classes: int) -> Shape:
    return p.run(_two_classifiers if distilled else _classifier, name, x, num_classes)


def _classifier(t: Trace, name: str, x: Shape, num_classes: int) -> Shape:
    return t.linear(name, x, num_classes)


def _two_classifiers(t: Trace, name: str, x: Shape, num_classes: int) -> Shape:
    with t.hold(x):
        y = t.linear(name, x, num_classes)
    with t.hold(y):
        t.linear(f"{name}_dist", x, num_classes)
    return t.elementwise(name, t.elementwise(name, y, y))


LOWERINGS: dict[type, Callable[[Plan, str, Any, Shape, int], Shape]] = {
    DoubleConvStem: _stem,
    EfficientFormerStage: _v1_stage,
    EfficientFormerV2Stage: _v2_stage,
    TokenHead: _token_head,
    NormHead: _norm_head,
}
