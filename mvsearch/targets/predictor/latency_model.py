"""`LatencyModel`: a fitted predictor as plain data, and its prediction in microseconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

from mvsearch.costs import OP_KINDS, Part, Segment
from mvsearch.spec.plain import read_plain, read_value
from mvsearch.spec.record import Measurement
from mvsearch.targets.predictor.features import KindRate, Rates

FORMAT = 1
REMEMBERED = frozenset({"_parts", "_segments", "_blocks", "_kinds"})
"""Attributes of a model that do not travel with it."""
LEAST_RATE, MOST_WAIT, MOST_LOG = 1e-9, 1e9, 20.0
"""Bounds on what is read from a file: rates (10^9 per ms, GB/s), waits (ms, us), logarithms of factors."""


@dataclass(frozen=True, slots=True)
class FamilyCorrection:
    """What a family's own anchors say beyond its operations.

    Attributes:
        log_factor: added to the log of the predicted time, shrunk by `n`.
        n: networks of the family behind it.
        half_width: of the interval for networks of this family, in log units; None for the model's own.
    """

    log_factor: float
    n: int
    half_width: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        width = {} if self.half_width is None else {"half_width": _rounded(self.half_width)}
        return {"log_factor": _rounded(self.log_factor), "n": self.n, **width}


@dataclass(frozen=True)
class LatencyModel:
    """Rates of a machine, corrections for families with anchors, and what the interval rests on.

    Attributes:
        rates: time of every operation.
        corrections: by body, `v1` (softmax attention) or `v2` (separable attention), which blocks such as `v3-v1`
            inherit; and by such a block, where there are anchors of its own.
        half_width: of the interval at `level`, in log units, for networks of a family with anchors.
        heir_half_width: the same for blocks that stand on such a family without anchors of their own.
        level: coverage of the interval.
        n: networks behind the fit.
        protocol: the protocol whose latency is predicted.
        basis: what the interval rests on, in a few words.
        log_scales: by protocol of the fitted table; 0 is the reference.
        data_hash: of the tables behind the fit.
        validation: errors on held-out families and networks.
    """

    rates: Rates
    corrections: dict[str, FamilyCorrection]
    half_width: float
    heir_half_width: float
    level: float
    n: int
    protocol: str
    basis: str
    log_scales: dict[str, float] = field(default_factory=dict)
    data_hash: str = ""
    validation: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Weak: a part that the lowering forgets is forgotten here too.
        object.__setattr__(self, "_parts", WeakKeyDictionary())
        object.__setattr__(self, "_segments", WeakKeyDictionary())
        object.__setattr__(self, "_blocks", {})
        object.__setattr__(self, "_kinds", WeakKeyDictionary())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in REMEMBERED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def predict(self, parts: Sequence[Part], *, target: str, flags: tuple[str, ...] = ()) -> Measurement:
        """Predicted latency at batch 1, in ms, with its interval, of the network with these parts.

        A network whose blocks are of two families is corrected, and its interval widened, by the shares
        that their stages have in the predicted time.
        """
        value, half_width = self._predict(parts)
        factor = math.exp(half_width)
        return Measurement(
            "latency", value, "ms", "predicted", value / factor, value * factor, self.level, "log",
            self.basis, target, self.protocol, self.n, flags=flags,
        )  # fmt: skip

    def _predict(self, parts: Sequence[Part]) -> tuple[float, float]:
        cache: WeakKeyDictionary[Part, float] = self._parts  # type: ignore[attr-defined]
        blocks: dict[str, tuple[float, float] | None] = self._blocks  # type: ignore[attr-defined]
        total, stages, shift, width = self.rates.base_ms, 0.0, 0.0, 0.0
        for part in parts:
            ms = cache.get(part)
            if ms is None:
                ms = cache[part] = self._part_ms(part)
            total += ms
            kind = blocks[part.block] if part.block in blocks else self._block(part.block)
            if kind is not None:
                stages += ms
                shift += ms * kind[0]
                width += ms * kind[1]
        if stages == 0.0:
            return total, self.heir_half_width
        return total * math.exp(shift / stages), width / stages

    def _part_ms(self, part: Part) -> float:
        cache: WeakKeyDictionary[Segment, float] = self._segments  # type: ignore[attr-defined]
        total = 0.0
        for segment, times in part.segments:
            ms = cache.get(segment)
            if ms is None:
                ms = cache[segment] = self.rates.segment_ms(segment)
            total += times * ms
        return total

    def _block(self, block: str) -> tuple[float, float] | None:
        """(log factor, half width) of a transformer block, remembered; None for other parts."""
        blocks: dict[str, tuple[float, float] | None] = self._blocks  # type: ignore[attr-defined]
        body, found = body_of(block), None
        if body:
            # A block without anchors of its own takes its body's factor, and is less sure of it.
            own = self.corrections.get(block)
            known = own or self.corrections.get(body) or FamilyCorrection(0.0, 0)
            width = own.half_width if own else None
            if width is None:
                width = self.half_width if own and own.n else self.heir_half_width
            found = known.log_factor, width
        blocks[block] = found
        return found

    def shares(self, parts: Sequence[Part]) -> dict[str, float]:
        """Shares of the transformer stages' predicted time by block; empty without such stages."""
        stages: dict[str, float] = {}
        for part in parts:
            if body_of(part.block):
                stages[part.block] = stages.get(part.block, 0.0) + self.rates.part_ms(part)
        total = sum(stages.values())
        return {block: ms / total for block, ms in stages.items()}

    def split(self, parts: Sequence[Part]) -> tuple[float, float, list[float]]:
        """Where the predicted time goes, in ms: `(factor, constant, one number per part)`.

        The family's correction is one factor on the whole prediction, so that the constant and every part are multiplied
        by it alike; together they are the prediction.
        """
        cache: WeakKeyDictionary[Part, float] = self._parts  # type: ignore[attr-defined]
        value = self._predict(parts)[0]
        raw = [cache[part] for part in parts]
        total = self.rates.base_ms + sum(raw)
        factor = value / total if total else 1.0
        return factor, factor * self.rates.base_ms, [factor * ms for ms in raw]

    def kind_ms(self, part: Part) -> dict[str, float]:
        """Time of a part's operations by kind, in ms, before the factor of `split`; remembered."""
        cache: WeakKeyDictionary[Part, dict[str, float]] = self._kinds  # type: ignore[attr-defined]
        found = cache.get(part)
        if found is None:
            found = cache[part] = self.rates.kind_ms(part)
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`; numbers rounded to six significant digits."""
        kinds = {k: {n: _rounded(v) for n, v in asdict(r).items() if math.isfinite(v)} for k, r in self.rates.kinds.items()}
        return {
            "format": FORMAT,
            "protocol": self.protocol,
            "basis": self.basis,
            "data_hash": self.data_hash,
            "networks": self.n,
            "level": self.level,
            "half_width": _rounded(self.half_width),
            "heir_half_width": _rounded(self.heir_half_width),
            "base_ms": _rounded(self.rates.base_ms),
            "kinds": kinds,
            "corrections": {b: c.to_json() for b, c in self.corrections.items()},
            "protocol_scales": {p: _rounded(math.exp(s)) for p, s in sorted(self.log_scales.items())},
            "validation": self.validation,
        }

    @classmethod
    def from_json(cls, data: Any) -> LatencyModel:
        """Read what `to_json` wrote.

        Raises:
            ValueError: something else, or numbers that no machine has.
        """
        if not isinstance(data, dict) or not isinstance(data.get("kinds"), dict):
            raise ValueError("not a latency model")
        kinds: dict[str, KindRate] = {}
        for kind in OP_KINDS:
            rate = data["kinds"].get(kind)
            if not isinstance(rate, dict):
                raise ValueError(f"`kinds.{kind}` is missing")
            # Kinds without multiply-accumulates have no rate of them; infinity is not a number of JSON.
            known = read_plain(KindRate, {"gmac_per_ms": 1.0, **rate}, f"kinds.{kind}")
            kinds[kind] = known if "gmac_per_ms" in rate else replace(known, gmac_per_ms=math.inf)
        scales = _read(dict[str, float], data, "protocol_scales")
        model = cls(
            rates=Rates(_read(float, data, "base_ms"), kinds),
            corrections=_read(dict[str, FamilyCorrection], data, "corrections"),
            half_width=_read(float, data, "half_width"),
            heir_half_width=_read(float, data, "heir_half_width"),
            level=_read(float, data, "level"),
            n=_read(int, data, "networks"),
            protocol=_read(str, data, "protocol"),
            basis=_read(str, data, "basis"),
            log_scales={p: math.log(s) for p, s in scales.items() if s > 0},
            data_hash=_read(str, data, "data_hash"),
            validation=_read(dict[str, Any], data, "validation"),
        )
        model._check()
        return model

    def _check(self) -> None:
        rates = [v for k in self.rates.kinds.values() for v in (k.gmac_per_ms, k.gb_per_s, k.weight_gb_per_s)]
        waits = [self.rates.base_ms, *(k.overhead_us for k in self.rates.kinds.values())]
        own = [c.half_width for c in self.corrections.values() if c.half_width is not None]
        widths = [self.half_width, self.heir_half_width, *own]
        factors = [*(c.log_factor for c in self.corrections.values()), *self.log_scales.values()]
        if (
            min(rates) < LEAST_RATE
            or min(waits) < 0
            or max(waits) > MOST_WAIT
            or min(widths) < 0
            or max(map(abs, (*widths, *factors)), default=0.0) > MOST_LOG
            or not 0 < self.level < 1
        ):
            raise ValueError("the latency model's numbers are those of no machine")


def _read(hint: Any, data: dict[str, Any], name: str) -> Any:
    if name not in data:
        raise ValueError(f"`{name}` is missing")
    return read_value(hint, data[name], name)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def body_of(block: str) -> str:
    """`v1` or `v2`, which a block's transformer is that of; empty for parts without one."""
    if block in ("v1", "v2"):
        return block
    if block.startswith("v3-") or "+" in block:
        return "v2" if block.startswith(("v2", "v3-v2")) else "v1"
    return ""
