"""Which of a network's two Core ML graphs is faster on a phone, by prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mvsearch.costs import Resolution
from mvsearch.costs.neural_engine import has_form, lower_neural_engine
from mvsearch.errors import InputError, TargetError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Measurement
from mvsearch.targets.catalog import get_target
from mvsearch.targets.predictor.neural_engine import fallback_risks
from mvsearch.targets.target import Target

GraphName = Literal["plain", "neural-engine"]
GRAPHS: tuple[GraphName, ...] = ("plain", "neural-engine")
"""`plain`: the network as it is built. `neural-engine`: the same in the form of `mvsearch.models.neural_engine`."""
UNSEEN = "unseen-graph: fitted on plain graphs"
"""Flag of a prediction for the other graph: no latency of one like it is behind the fit."""
DEFAULT_TARGET = "iphone12"
"""Whose prediction decides where no phone was named: the one with most published latencies."""


@dataclass(frozen=True, slots=True)
class GraphChoice:
    """Which graph, and by what.

    Attributes:
        graph: the faster one by the point predictions; `plain` where both are the same.
        predicted: latency by graph. Their errors have one source, so that overlapping intervals do not make a tie.
        target: whose prediction it is.
    """

    graph: GraphName
    predicted: Mapping[GraphName, Measurement]
    target: str

    @property
    def why(self) -> str:
        """One line with both numbers."""
        plain, other = (self.predicted[g] for g in GRAPHS)
        if plain.value == other.value:
            return "the network has no transformer stage with another form"
        texts = (f"{m.value:.2f} ms ({m.low:.2f} to {m.high:.2f})" for m in (plain, other))
        numbers = "plain {}, neural-engine {}".format(*texts)
        return f"the faster of two on {self.target}: {numbers}; predicted by a fit to plain graphs, not measured"


def predict_graph(spec: ArchSpec, resolution: Resolution, target: Target, graph: GraphName = "plain") -> Measurement:
    """Predicted latency of one of a network's Core ML graphs.

    The Neural Engine's graph has operations that the fit has not seen: its two kinds of product and of rearrangement count
    as matrix products and transposes do. Its interval is that of blocks without published latencies, and it is flagged.

    Args:
        spec: the network.
        resolution: side of a square image, or (height, width), in pixels.
        target: a phone with a predictor.
        graph: one of `GRAPHS`.

    Raises:
        InputError: another graph.
        TargetError: the target is no phone, or predicts nothing.
    """
    if graph not in GRAPHS:
        raise InputError(f"unknown graph `{graph}`", f"one of {', '.join(GRAPHS)}")
    if target.spec.runtime != "Core ML":
        raise TargetError(f"`{target.name}` runs no Core ML graph", "predict for a phone, e.g. `iphone12`")
    plain = target.predict(spec, resolution)
    model = target.latency_model
    if graph == "plain" or not has_form(spec) or model is None:
        return plain
    parts = lower_neural_engine(spec, resolution)
    flags = (*fallback_risks(spec, parts, target.resource), UNSEEN)
    return model.predict(parts, target=target.name, flags=flags)


def choose_graph(spec: ArchSpec, resolution: Resolution, target: Target | None = None) -> GraphChoice:
    """The faster graph by the predictions for this phone; for `DEFAULT_TARGET` where the target is none or predicts nothing."""
    usable = target is not None and target.spec.runtime == "Core ML" and target.latency_model is not None
    phone = target if usable and target is not None else get_target(DEFAULT_TARGET)
    predicted = {graph: predict_graph(spec, resolution, phone, graph) for graph in GRAPHS}
    fastest = min(GRAPHS, key=lambda graph: predicted[graph].value)
    return GraphChoice(fastest, predicted, phone.name)
