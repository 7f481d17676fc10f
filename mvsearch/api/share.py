"""A run as a study in a database that Optuna reads."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from mvsearch.api.read import space_of
from mvsearch.api.report import read_run
from mvsearch.search.folder import RunFolder
from mvsearch.spec.record import Evaluation

OBJECTIVES: dict[str, Literal["maximize", "minimize"]] = {
    "lower bound of top-1, %": "maximize",
    "latency, ms": "minimize",
}
_ATTRIBUTES = {"params": "params", "macs": "macs", "activations": "activations", "top1": "top1", "latency": "latency_ms"}


def share_run(path: str | Path, url: str) -> int:
    """Write a run's trials into a database as a study, for `optuna-dashboard URL`; what is there already stays.

    The study is named as the run's folder. Objectives are those of the search; a trial's constraint is at most 0 where it
    keeps every budget. Its attributes hold the network (`arch_id`), what became of it (`role`, `rung`, `failure`), its
    costs, and its predicted latency and estimated top-1 with interval and kind.

    Args:
        path: a run folder; the run may still go on.
        url: of the database, e.g. `sqlite:///study.db`.

    Returns:
        Number of trials written now.

    Raises:
        InputError: not a run folder, or the database cannot be written.
    """
    from mvsearch.search.goals import Goals
    from mvsearch.search.study import SharedTrial, share_study

    view = read_run(path).view
    folder, settings = RunFolder(Path(path)), view.settings
    goals, roles = Goals(settings.budgets, settings.confidence, settings.resolution), view.roles
    # The store is written last when the last trial ends.
    written = datetime.fromtimestamp(folder.store.stat().st_mtime)
    last = max((t.ended or 0.0 for t in view.trials), default=0.0)
    trials = [
        SharedTrial(
            t.point,
            None if t.evaluation.failure else goals.objectives(t.evaluation),
            None if t.evaluation.failure else max(goals.excess(t.evaluation.spec), goals.violation(t.evaluation)),
            written - timedelta(seconds=last - (t.ended or 0.0)),
            {"role": roles.get(t.evaluation.arch_id, "candidate"), "origin": t.origin, **_attributes(t.evaluation)},
        )
        for t in view.trials
    ]  # fmt: skip
    name = folder.path.resolve().name
    of = hashlib.sha256(f"{settings}/{trials[0].attributes['arch_id'] if trials else ''}".encode()).hexdigest()[:16]
    return share_study(url, name, of, space_of(settings), OBJECTIVES, trials)


def _attributes(evaluation: Evaluation) -> dict[str, Any]:
    found: dict[str, Any] = {"arch_id": evaluation.arch_id, "rung": evaluation.rung}
    if evaluation.failure:
        found["failure"] = f"{evaluation.failure.kind}: {evaluation.failure.message}"
    for metric, name in _ATTRIBUTES.items():
        if (m := evaluation.measurements.get(metric)) is None:
            continue
        found[name] = m.value
        if m.kind != "counted":
            found |= {f"{name}_kind": m.kind, f"{name}_low": m.low, f"{name}_high": m.high, f"{name}_level": m.level}
    return found
