"""A search in a process of its own that can be killed at any moment, and a log of what it did until then."""

import os
from contextlib import closing
from pathlib import Path

from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.explore import Explorer, front_of
from mvsearch.search.store import Store
from mvsearch.search.study import SearchStudy  # noqa: F401 (loads Optuna once for all processes)
from mvsearch.search.view import goals_of
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.run import RunSettings
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target

SPACE = load_space("mobilevit")
TARGET = get_target("iphone12")
SETTINGS = RunSettings(parse_budgets(["2M-params"]), "iphone12", "mobilevit", SPACE.content_hash, 1, 0, 256, 0.8)
GOALS = goals_of(SETTINGS, TARGET)


class Log:
    """Lines `begun`, `evaluated ARCH_ID`, `finished ARCH_ID`, `ended`; one write each, so that a kill never halves one."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, text):
        os.write(self._file, f"{text}\n".encode())


class LoggedStore(Store):
    """Says which trials it has written."""

    log = None

    def add(self, trial):
        super().add(trial)
        self.log.write(f"finished {trial.evaluation.arch_id}")


class LoggedExecutor(InProcessExecutor):
    """Says which candidates it has evaluated."""

    def __init__(self, log):
        super().__init__()
        self._log = log

    def map(self, task, items):
        for index, result in super().map(task, items):
            for spec in items[index].specs:
                self._log.write(f"evaluated {spec.arch_id}")
            yield index, result


def search(folder, trials, seed):
    """Search in a folder, going on with what it holds."""
    log = Log(Path(folder) / "log")
    log.write("begun")
    with closing(LoggedStore(Path(folder) / "trials.sqlite", SPACE, 256)) as store:
        store.log = log
        Explorer(SPACE, GOALS, TARGET, store, seed).run(trials, [LoggedExecutor(log)])
    log.write("ended")


def front_in(folder):
    """The front of the trials in a folder."""
    return [t.evaluation.arch_id for t in front_of(trials_in(folder), GOALS)]


def trials_in(folder):
    """The finished trials in a folder."""
    with closing(Store(Path(folder) / "trials.sqlite", SPACE, 256)) as store:
        return store.trials()
