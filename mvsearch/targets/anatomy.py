"""Where a network's costs go: by part, by kind of operation, and by operation.

The parts' and kinds' integers add up to the counted totals. Their milliseconds add up, with a constant that no operation
explains, to the target's prediction: an operation takes an overhead plus the longest of its three times
(`predictor.features`), and the family's correction, which the predictor puts on the whole network, multiplies the constant
and every operation alike. So the shares are those of the fitted rates; nobody has timed a single operation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from mvsearch.costs import OP_KINDS, PART_CACHE, Op, OpKind, Part, Resolution, Shape, lower, part_costs
from mvsearch.costs.op import BYTES_PER_ELEMENT
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets.predictor.latency_model import LatencyModel
from mvsearch.targets.target import Target


@dataclass(frozen=True, slots=True)
class PartShare:
    """What the stem, a stage or the head costs.

    Attributes:
        name: as `costs.lower` names it: `stem`, `stages.0` .., `head`.
        block: kind of block, e.g. `v3-v1`.
        output: shape of what it writes.
        params, macs, activations, weight_bytes, peak_memory: see `Costs`. All but the last, whose largest is the
            network's, add up to those of the network.
        ms: predicted; None where the target cannot split its prediction.
    """

    name: str
    block: str
    output: Shape
    params: int
    macs: int
    activations: int
    weight_bytes: int
    peak_memory: int
    ms: float | None

    @property
    def title(self) -> str:
        """As tables count: `stem`, `stage 1` .., `head`."""
        return part_title(self.name)


@dataclass(frozen=True, slots=True)
class KindShare:
    """What all operations of one kind cost.

    Attributes:
        kind: one of `costs.OP_KINDS`.
        count: of operations.
        params, macs, weight_bytes: see `Costs`.
        bytes_moved: of activations read and written at float16, without fusion.
        ms: predicted; None where the target cannot split its prediction.
    """

    kind: OpKind
    count: int
    params: int
    macs: int
    weight_bytes: int
    bytes_moved: int
    ms: float | None


@dataclass(frozen=True, slots=True)
class OpShare:
    """What one operation costs.

    Attributes:
        part: name of its part.
        name: path of the module that it stands for; `*` is each of the alike layers.
        kind: one of `costs.OP_KINDS`.
        inputs, outputs: shapes of the activations read and written.
        params, macs, weight_bytes, bytes_moved, ms: as of a kind.
        memory: bytes of live activations at float16 while it runs.
    """

    part: str
    name: str
    kind: OpKind
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    params: int
    macs: int
    weight_bytes: int
    bytes_moved: int
    memory: int
    ms: float | None


@dataclass(frozen=True)
class Anatomy:
    """Where a network's costs go.

    Attributes:
        parts: from stem to head.
        kinds: those that occur, in the order of `OP_KINDS`.
        constant_ms: of the prediction, what the runtime takes for any network; None where there is no split.
        total_ms: the prediction: the constant and all parts, or the constant and all kinds.
    """

    parts: tuple[PartShare, ...]
    kinds: tuple[KindShare, ...]
    constant_ms: float | None
    total_ms: float | None
    _lowered: tuple[Part, ...] = field(repr=False, compare=False)
    _model: LatencyModel | None = field(repr=False, compare=False)
    _factor: float = field(repr=False, compare=False)

    @property
    def ops(self) -> tuple[OpShare, ...]:
        """One row per operation in the order of execution, lowered anew at every call."""
        return tuple(
            OpShare(
                part=part.name,
                name=op.name,
                kind=op.kind,
                inputs=op.inputs,
                outputs=op.outputs,
                params=op.params,
                macs=op.macs,
                weight_bytes=BYTES_PER_ELEMENT * op.weights,
                bytes_moved=op.bytes_moved,
                memory=op.bytes_moved + BYTES_PER_ELEMENT * op.held,
                ms=self._op_ms(op),
            )
            for part in self._lowered
            for op in part.ops
        )

    def _op_ms(self, op: Op) -> float | None:
        if self._model is None:
            return None
        return self._factor * self._model.rates.op_ms(op.kind, op.macs, op.weights, op.elements_in + op.elements_out)


def anatomy(spec: ArchSpec, resolution: Resolution, target: Target | None = None) -> Anatomy:
    """Where a network's costs go; a fraction of a millisecond once its parts are known.

    Args:
        spec: the network.
        resolution: side of a square image, or (height, width), in pixels.
        target: whose prediction is split. Without one, or where it predicts nothing (a machine before its calibration,
            a phone with too few published latencies), every `ms` is None.
    """
    parts = lower(spec, resolution)
    model = target.latency_model if target else None
    factor, constant, part_ms = model.split(parts) if model else (1.0, None, [None] * len(parts))
    return Anatomy(
        parts=tuple(_part_share(part, ms) for part, ms in zip(parts, part_ms, strict=True)),
        kinds=_kind_shares(parts, model, factor),
        constant_ms=constant,
        total_ms=None if constant is None else constant + sum(ms for ms in part_ms if ms is not None),
        _lowered=parts,
        _model=model,
        _factor=factor,
    )


def part_title(name: str) -> str:
    """`stages.0` -> `stage 1`; other parts keep their names."""
    place, dot, number = name.partition(".")
    return f"stage {int(number) + 1}" if place == "stages" and dot else name


def _part_share(part: Part, ms: float | None) -> PartShare:
    c = part_costs(part)
    return PartShare(
        part.name, part.block, part.output, c.params, c.macs, c.activations, c.weight_bytes, c.peak_memory, ms
    )  # fmt: skip


def _kind_shares(parts: tuple[Part, ...], model: LatencyModel | None, factor: float) -> tuple[KindShare, ...]:
    counted = {kind: [0, 0, 0, 0, 0] for kind in OP_KINDS}
    ms = dict.fromkeys(OP_KINDS, 0.0)
    for part in parts:
        for kind, numbers in _counted_by_kind(part):
            sums = counted[kind]
            for i, number in enumerate(numbers):
                sums[i] += number
        if model:
            for name, value in model.kind_ms(part).items():
                ms[name] += value  # type: ignore[index]
    return tuple(
        KindShare(kind, sums[0], sums[1], sums[2], BYTES_PER_ELEMENT * sums[3], BYTES_PER_ELEMENT * sums[4],
                  factor * ms[kind] if model else None)
        for kind, sums in counted.items() if sums[0]
    )  # fmt: skip


@lru_cache(maxsize=PART_CACHE)
def _counted_by_kind(part: Part) -> tuple[tuple[OpKind, tuple[int, int, int, int, int]], ...]:
    """(kind, (operations, params, MACs, weights, elements read and written)) of a part."""
    found: dict[OpKind, tuple[int, int, int, int, int]] = {}
    for segment, times in part.segments:
        for kind, macs, params, weights, _, read, written in segment.sizes:
            n, p, m, w, e = found.get(kind, (0, 0, 0, 0, 0))
            found[kind] = (n + times, p + times * params, m + times * macs, w + times * weights, e + times * (read + written))
    return tuple(found.items())
