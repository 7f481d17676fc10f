"""A synthetic run of very many trials, made quickly."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from mvsearch.spec.run import RunView
from tests.report.sample import synthetic_view

BASE = 500


@lru_cache(maxsize=2)
def large_view(trials: int) -> RunView:
    """The networks of a smaller run over and over, told apart by their number of classes and their latency."""
    view = synthetic_view(BASE)
    copies = []
    for k in range(trials):
        t, turn = view.trials[k % BASE], k // BASE
        spec = replace(t.evaluation.spec, num_classes=1000 - turn)
        numbers = dict(t.evaluation.measurements)
        numbers["latency"] = replace(numbers["latency"], value=numbers["latency"].value * (1 + 0.013 * turn))
        copies.append(replace(t, number=k, evaluation=replace(t.evaluation, spec=spec, measurements=numbers)))
    return replace(view, trials=tuple(copies), settings=replace(view.settings, trials=trials))
