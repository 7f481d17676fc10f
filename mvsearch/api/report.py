"""A run's report, written anew."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from mvsearch.api.anchors import estimator_of
from mvsearch.api.calibration import ready_target_of
from mvsearch.api.read import space_of
from mvsearch.api.run import RunResult
from mvsearch.api.training import trained_so_far
from mvsearch.search.folder import RunFolder
from mvsearch.spec.run import RunSettings, RunView


def rebuild_report(path: str | Path) -> RunView:
    """Write a run's tables, pictures and page anew, from its store alone; also while the run goes on, and elsewhere.

    Raises:
        InputError: not a run folder.
    """
    return rebuild(path).view


def rebuild(path: str | Path) -> RunResult:
    """As `rebuild_report`, with what the trainings brought.

    Raises:
        InputError: not a run folder.
    """
    from mvsearch.report.write import write_report

    result = read_run(path)
    write_report(result.view, result.folder, result.trained, result.target)
    return result


def read_run(path: str | Path) -> RunResult:
    """A run as its store has it now; nothing is written. Neither the images nor their cache are needed.

    Raises:
        InputError: not a run folder.
    """
    from mvsearch.search.final import verified_so_far
    from mvsearch.search.store import Store
    from mvsearch.search.view import goals_of, run_view

    folder = RunFolder(Path(path))
    record = folder.read()
    settings = RunSettings.from_json(record["settings"])
    with closing(Store(folder.store, space_of(settings), settings.resolution)) as store:
        trials = store.trials()
        target = ready_target_of(settings, folder, store, only_predicts=True)
        goals = goals_of(settings, target, estimator_of(settings, folder))
        verified = verified_so_far(trials, goals, store)
        if trained := trained_so_far(settings, folder, store, trials, verified, goals, target):
            verified = trained.verified
        view = run_view(settings, record, store, trials, verified, goals, target)
    return RunResult(view, folder.path, trained, target)
