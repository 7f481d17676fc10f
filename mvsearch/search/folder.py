"""A run's folder: who may write it, what was asked (`run.json`), and where things lie."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from mvsearch.errors import InputError
from mvsearch.search.run_file import read_run_file, write_run_file
from mvsearch.spec.budget import Budget
from mvsearch.spec.run import RunSettings

RUN_FILE, STORE_FILE, LOCK_FILE, WINNER = "run.json", "trials.sqlite", ".lock", "winner"
COREML, MEASUREMENTS, CALIBRATION, TRAINING = "coreml", "measurements.jsonl", "calibration.json", "training.jsonl"
ESTIMATOR = "estimator.json"
EXTENDABLE = ("trials", "stop_flat", "measure_trials", "train.data", "train.trust")
"""Settings that a resumed run may change, since what was finished stays what it was: proposals do not depend on how many
there will be, images are the same by `train.images`, and trainings do not depend on who believes them."""
ADDABLE = ("train.validate_proxy",)
"""Settings that a resumed run may turn on, and not off."""
_PACKAGES = ("mvsearch", "torch", "optuna", "ray", "fvcore", "numpy", "coremltools", "onnxruntime", "plotly")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of a run."""

    path: Path

    @property
    def store(self) -> Path:
        """The trials."""
        return self.path / STORE_FILE

    @property
    def run_file(self) -> Path:
        """Settings, versions and the outcome."""
        return self.path / RUN_FILE

    @property
    def winner(self) -> Path:
        """The winner's library entry."""
        return self.path / WINNER

    @property
    def coreml(self) -> Path:
        """Core ML packages of the front's members, `ARCH_ID.mlpackage`."""
        return self.path / COREML

    @property
    def measurements(self) -> Path:
        """Every latency that was measured for the run, one record per line."""
        return self.path / MEASUREMENTS

    @property
    def calibration(self) -> Path:
        """The user's calibration of the predictor, if the run has one."""
        return self.path / CALIBRATION

    @property
    def estimator(self) -> Path:
        """The fit of top-1 with the user's own networks, if the run has one."""
        return self.path / ESTIMATOR

    @property
    def training(self) -> Path:
        """Every training of the run, one record per line."""
        return self.path / TRAINING

    def read(self) -> dict[str, Any]:
        """The content of `run.json`, each known entry of its type; one of an older version as it would be now.

        Raises:
            InputError: not a run folder, damaged, of a schema that this version does not read, or with links in it.
        """
        self.check_plain()
        data = read_run_file(self.run_file)
        if data["winner"] and not (self.store.exists() and self.store.stat().st_size):
            raise InputError(f"`{self.store}` is missing or empty, though the run had a winner", "put back a copy of it")
        return data

    def settings(self) -> RunSettings:
        """What the run was asked to do.

        Raises:
            InputError: see `read`.
        """
        return RunSettings.from_json(self.read()["settings"])

    def write(self, data: dict[str, Any]) -> None:
        """Replace `run.json` in one step.

        Raises:
            InputError: it cannot be written; the one before is kept.
        """
        write_run_file(self.run_file, data)

    def check_plain(self) -> None:
        """See that the folder holds files and folders alone: through a link, a run would write somewhere else.

        Raises:
            InputError: it holds a link, a device or a pipe.
        """
        if not self.path.is_dir():
            return
        try:
            with os.scandir(self.path) as entries:
                odd = sorted(
                    e.name for e in entries if not (e.is_file(follow_symlinks=False) or e.is_dir(follow_symlinks=False))
                )
        except OSError as error:
            raise InputError(
                f"cannot read the folder `{self.path}`: {error.strerror}", "give a folder that can be read"
            ) from None
        if odd:
            raise InputError(
                f"`{odd[0]}` in `{self.path}` is a link, or no plain file",
                "a run folder holds its files themselves: copy it there",
            )

    def lock(self) -> AbstractContextManager[Any]:
        """Keep a second writer out for as long as the context lasts; of a process that was killed nothing stays.

        Raises:
            InputError: another process writes this run, or the folder cannot be written.
        """
        import filelock

        self.check_plain()
        lock = filelock.FileLock(self.path / LOCK_FILE)
        try:
            return lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InputError(f"another process is writing `{self.path}`", "wait for it, or give another `--out`") from None
        except OSError as error:
            raise InputError(
                f"cannot write into `{self.path}`: {error.strerror or error}", "give an `--out` that can be written"
            ) from None


def check_folder(path: Path, settings: RunSettings, resume: bool) -> None:
    """See that a run can be made in a folder, or gone on with; touches nothing.

    Raises:
        InputError: the folder holds something else, or a run and `resume` is off, or a run with other settings.
    """
    folder = RunFolder(path)
    folder.check_plain()
    if folder.run_file.exists():
        if not resume:
            raise InputError(f"`{path}` holds a run already", "add `--resume` to go on with it, or give another `--out`")
        _check_same(folder, settings)
    elif path.exists() and (not path.is_dir() or any(p.name != LOCK_FILE for p in path.iterdir())):
        raise InputError(
            f"`{path}` is not empty and holds no run", "give an `--out` that does not exist yet; nothing was changed"
        )


def open_folder(path: Path, settings: RunSettings, resume: bool) -> RunFolder:
    """Make a new run's folder, or open one to go on with.

    Raises:
        InputError: see `check_folder`, or it cannot be written. Nothing in it is touched then.
    """
    check_folder(path, settings, resume)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder `{path}`: {error.strerror}", "give an `--out` that can be written") from None
    if not os.access(path, os.W_OK):
        raise InputError(f"cannot write into `{path}`", "give an `--out` that can be written")
    return RunFolder(path)


def _check_same(folder: RunFolder, settings: RunSettings) -> None:
    stored = folder.settings()
    old, new = _by_name(stored), _by_name(settings)
    # What only one of them has is training, which may be added to a run.
    lines = [
        f"{k}: {_show(old[k])} then, {_show(new[k])} now"
        for k in old
        if k in new and old[k] != new[k] and k not in EXTENDABLE and not (k in ADDABLE and new[k])
    ]
    if stored.train and not settings.train:
        lines.append(f"train.data: `{stored.train.data}` then, none now")
    if lines:
        raise InputError(
            f"`{folder.path}` was run with other settings:\n  " + "\n  ".join(lines),
            "resume with the same settings, or give another `--out`",
        )


def _by_name(settings: RunSettings) -> dict[str, Any]:
    data = settings.to_json()
    train = data.pop("train") or {}
    return data | {f"train.{k}": v for k, v in train.items()}


def _show(value: Any) -> str:
    if value in ("", None):
        return "none"
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    return f"`{', '.join(b['text'] for b in value) if isinstance(value, list | tuple) else value}`"


def choose_path(budgets: Sequence[Budget], target: str) -> Path:
    """A new `reports/BUDGET-TARGET-TIME`, e.g. `reports/2M-params-iphone12-20261121-101500`."""
    budget = "-".join(re.sub(r"[^\w.]+", "-", b.text) for b in budgets)
    return Path("reports") / f"{budget}-{target}-{time.strftime('%Y%m%d-%H%M%S')}"


def versions() -> tuple[tuple[str, str], ...]:
    """(package, version) of what the numbers depend on; Python first."""
    found = [("python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def machine() -> str:
    """One line: processor, cores, system."""
    from mvsearch.targets.host.machine import processor_model

    return f"{processor_model()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
