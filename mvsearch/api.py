"""The Python face, and what the command line calls: `search` and `describe` from question to answer."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import InputError, NoCandidateError
from mvsearch.search.folder import RunFolder, choose_path, machine, open_folder, versions
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.record import Evaluation
from mvsearch.spec.run import RunSettings, RunView

if TYPE_CHECKING:
    from mvsearch.search.executor import Executor
    from mvsearch.search.explore import Listener
    from mvsearch.search.goals import Goals
    from mvsearch.search.store import Store
    from mvsearch.spec.space import SearchSpace
    from mvsearch.targets import Target

DEFAULT_TRIALS = 3000
DEFAULT_CONFIDENCE = 0.8


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a search leaves behind.

    Attributes:
        view: everything that was asked and found.
        folder: where it lies.
    """

    view: RunView
    folder: Path

    @property
    def winner(self) -> ArchSpec:
        """The network that was chosen."""
        member = self.view.winning_member
        if member is None:
            raise NoCandidateError(f"the run in `{self.folder}` has no winner", "see its `trials.csv`")
        return member.evaluation.spec


def search(
    budget: str | Sequence[str],
    target: str = "iphone12",
    *,
    space: str = "mobilevit",
    trials: int = DEFAULT_TRIALS,
    time_limit: float | None = None,
    seed: int = 0,
    confidence: float = DEFAULT_CONFIDENCE,
    resolution: int | None = None,
    workers: int | None = None,
    in_process: bool = False,
    address: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    command: str | None = None,
    listener: Listener | None = None,
) -> RunResult:
    """Search a space for networks that keep a budget on a target; verify the front, export the winner, write the report.

    Args:
        budget: e.g. `"2M-params"`, `"2M-params,5ms"` or a list of such.
        target: device, e.g. `iphone12` or `cpu`.
        space: name of a shipped search space, or path of a YAML file.
        trials: distinct in-budget candidates to evaluate.
        time_limit: seconds after which the search proper ends; verification and export follow.
        seed: of the proposals and of the initial weights.
        confidence: with which a predicted budget has to be met, and of the lower bound of top-1.
        resolution: side of the image in pixels; the space's by default.
        workers: Ray actors; one per core by default.
        in_process: use no Ray.
        address: of a running Ray cluster.
        out: folder of the run; `reports/BUDGET-TARGET-TIME` by default.
        resume: go on with the run in `out`.
        command: how to call it again, for the record.
        listener: hears of the progress.

    Raises:
        InputError: something that was given cannot be used.
        NoCandidateError: no candidate of the space keeps the budget; shows the nearest.
    """
    settings, search_space = _settings(budget, target, space, trials, seed, confidence, resolution)
    _check_limits(time_limit, workers)
    if resume and out is None:
        raise InputError("`--resume` needs `--out`", "name the folder of the run to go on with")
    from mvsearch.search.explore import Silent

    run = _Run(settings, search_space, listener or Silent(), command or f"search({settings})")
    run.check_possible()
    folder = open_folder(Path(out) if out is not None else choose_path(settings.budgets, settings.target), settings, resume)
    with folder.lock():
        return run.go(folder, workers, in_process, address, time_limit)


def _settings(
    budget: str | Sequence[str], target: str, space: str, trials: int, seed: int, confidence: float, resolution: int | None
) -> tuple[RunSettings, SearchSpace]:
    from mvsearch.costs import image_size
    from mvsearch.spec.space_file import load_space
    from mvsearch.targets import get_target

    budgets = parse_budgets([budget] if isinstance(budget, str) else budget)
    get_target(target)
    loaded = load_space(space)
    if trials < 1:
        raise InputError(f"`--trials` is `{trials}`", "an integer of at least 1")
    if not 0.5 <= confidence < 1:
        raise InputError(f"`--confidence` is `{confidence:g}`", "from 0.5 to below 1, e.g. 0.8")
    if seed < 0:
        raise InputError(f"`--seed` is `{seed}`", "an integer of at least 0")
    size = image_size(loaded.resolution if resolution is None else resolution)[0]
    return RunSettings(budgets, target, space, loaded.content_hash, trials, seed, size, confidence), loaded


def _check_limits(time_limit: float | None, workers: int | None) -> None:
    if time_limit is not None and time_limit <= 0:
        raise InputError(f"`--time-limit` is `{time_limit:g}` s", "more than zero, e.g. `90s`, `10m` or `2h`")
    if workers is not None and workers < 1:
        raise InputError(f"`--workers` is `{workers}`", "an integer of at least 1, or `--in-process`")


class _Run:
    """One run from start to end; every step it finishes is on disk before the next begins."""

    def __init__(self, settings: RunSettings, space: SearchSpace, listener: Listener, command: str) -> None:
        self.settings = settings
        self.space = space
        self.listener = listener
        self.command = command

    def go(
        self, folder: RunFolder, workers: int | None, in_process: bool, address: str | None, time_limit: float | None
    ) -> RunResult:
        from mvsearch.export.member import verify_member
        from mvsearch.report.write import write_report
        from mvsearch.search.executor import InProcessExecutor, LazyExecutor
        from mvsearch.search.explore import Explorer
        from mvsearch.search.final import choose, verify_front
        from mvsearch.search.store import Store
        from mvsearch.search.view import goals_of, run_view

        with ExitStack() as stack:
            # First of all `run.json`: from now on the folder is a run that can be resumed, whatever happens.
            record = self._record(folder)
            folder.write(record)
            started = time.monotonic() - record["seconds"]
            stack.callback(lambda: folder.write({**record, "seconds": time.monotonic() - started}))
            store = stack.enter_context(closing(Store(folder.store, self.space, self.settings.resolution)))
            executors: list[Executor] = [InProcessExecutor()]
            if not in_process:
                # Ray takes seconds to start; the first generations are evaluated here meanwhile.
                executors.insert(0, stack.enter_context(closing(LazyExecutor(lambda: _ray(workers, address)))))
            target = _ready_target(self.settings, store, self.listener)
            goals = goals_of(self.settings, target)
            self.listener.stage(f"searching `{self.space.name}` ({self.space.num_points:.0e} points)")
            explorer = Explorer(self.space, goals, target, store, self.settings.seed, self.listener)
            trials = explorer.run(self.settings.trials, executors, time_limit)
            if not any(t.feasible for t in trials):
                raise self._nothing_feasible([t.evaluation for t in trials], goals)
            verified = verify_front(
                trials, goals, store, executors[0], verify_member, target, self.settings.seed, self.listener
            )
            if not verified.members:
                reasons = sorted({f"{e.failure.kind}: {e.failure.message}" for e in verified.struck if e.failure})
                raise NoCandidateError(f"every member of the front failed: {'; '.join(reasons[:3])}", f"see `{folder.path}`")
            winner = choose(verified.members, goals).evaluation
            self.listener.stage("exporting the winner: library entry, ONNX, Core ML; loading it back")
            self._export(folder, winner, record)
            record |= {"winner": winner.arch_id, "finished": True}
            self.listener.stage("writing the report")
            view = run_view(self.settings, {**record, "seconds": time.monotonic() - started}, store, trials, verified, target)
            write_report(view, folder.path)
        return RunResult(view, folder.path)

    def check_possible(self) -> None:
        """Refuse a counted budget that no candidate keeps, before anything is written."""
        from mvsearch.costs import count
        from mvsearch.search.evolution import nearest_to_budget
        from mvsearch.search.goals import Goals

        excess = Goals(self.settings.budgets, self.settings.confidence, self.settings.resolution).excess
        nearest = nearest_to_budget(self.space, excess, self.settings.seed)
        if excess(nearest[0]) > 0:
            raise NoCandidateError(
                f"no candidate of space `{self.space.name}` keeps the budget",
                "raise the budget that binds, or give a space with smaller networks",
                tuple(
                    Evaluation(spec, self.settings.resolution, count(spec, self.settings.resolution).measurements())
                    for spec in nearest
                ),
                self.settings.budgets,
                self.settings.confidence,
            )

    def _nothing_feasible(self, evaluations: Sequence[Evaluation], goals: Goals) -> NoCandidateError:
        usable = sorted((e for e in evaluations if not e.failure), key=goals.violation)
        return NoCandidateError(
            f"none of {len(evaluations):,} candidates meets the budget with {self.settings.confidence:.0%} confidence",
            "raise the budget, lower `--confidence`, or search longer with more `--trials`",
            tuple(usable[:5]),
            self.settings.budgets,
            self.settings.confidence,
        )

    def _record(self, folder: RunFolder) -> dict[str, Any]:
        """What `run.json` says while the run goes on; of a resumed run, the time that it took before is kept."""
        from mvsearch.targets import get_target

        before = folder.read() if folder.run_file.exists() else {}
        return {
            "settings": self.settings.to_json(),
            "command": self.command,
            "target_note": get_target(self.settings.target).describe(),
            "versions": versions(),
            "machine": machine(),
            "seconds": before.get("seconds", 0.0),
            "winner": before.get("winner"),
            "finished": False,
        }

    def _export(self, folder: RunFolder, evaluation: Evaluation, record: dict[str, Any]) -> None:
        from mvsearch.export.library import save_entry
        from mvsearch.models import build

        settings = self.settings
        provenance = {
            "command": self.command,
            "space": settings.space,
            "budgets": [b.text for b in settings.budgets],
            "target": settings.target,
            "target_note": record["target_note"],
            "confidence": settings.confidence,
            "trials": settings.trials,
            "seed": settings.seed,
            "machine": record["machine"],
            "versions": dict(record["versions"]),
        }
        model = build(evaluation.spec, seed=settings.seed).eval()
        save_entry(
            folder.winner, evaluation.spec, settings.resolution, model, evaluation,
            provenance=provenance, seed=settings.seed, exports=("onnx", "coreml"), overwrite=True,
        )  # fmt: skip


def _ready_target(settings: RunSettings, store: Store, listener: Listener | None = None) -> Target:
    """The target with its predictor; what a calibration measured is kept in the store."""
    from mvsearch.targets.prepare import ready_target

    def heard(done: int, total: int, measurement: Any) -> None:
        if listener and done == 1:
            listener.stage(f"measuring {total} networks on this machine, to predict from")
        if listener:
            listener.progress(done, total, f"{measurement.value:.2f} ms")

    saved = store.meta("calibration")
    target, calibration = ready_target(settings.target, settings.resolution, saved, heard)
    if calibration is not None and saved is None:
        store.set_meta("calibration", calibration)
    return target


def rebuild_report(path: str | Path) -> RunView:
    """Write a run's tables, pictures and page anew, from its store alone; also while the run goes on.

    Raises:
        InputError: not a run folder.
    """
    from mvsearch.report.write import write_report
    from mvsearch.search.final import verified_so_far
    from mvsearch.search.store import Store
    from mvsearch.search.view import goals_of, run_view
    from mvsearch.spec.space_file import load_space

    folder = RunFolder(Path(path))
    record = folder.read()
    settings = RunSettings.from_json(record["settings"])
    with closing(Store(folder.store, load_space(settings.space), settings.resolution)) as store:
        trials = store.trials()
        target = _ready_target(settings, store)
        verified = verified_so_far(trials, goals_of(settings, target), store)
        view = run_view(settings, record, store, trials, verified, target)
    write_report(view, folder.path)
    return view


def _ray(workers: int | None, address: str | None) -> Executor:
    from mvsearch.search.ray_executor import RayExecutor

    return RayExecutor(workers or os.cpu_count() or 1, address)


@dataclass(frozen=True, slots=True)
class Description:
    """One network and its numbers.

    Attributes:
        name: as it was asked for.
        evaluation: counted costs, predicted latency, estimated top-1.
    """

    name: str
    evaluation: Evaluation


def describe(network: str | Path | ArchSpec, target: str = "iphone12", resolution: int | None = None) -> Description:
    """Costs, latency and top-1 of one network.

    Args:
        network: a published name, an architecture, a JSON file that holds one, or a library entry's folder.
        target: device for the latency.
        resolution: side of the image in pixels; 256 by default.

    Raises:
        InputError: an unknown name or target, an unreadable file, an impossible resolution.
    """
    from mvsearch.costs import image_size
    from mvsearch.search.estimate import estimate
    from mvsearch.spec.published import DEFAULT_RESOLUTION
    from mvsearch.targets.prepare import ready_target

    size = image_size(DEFAULT_RESOLUTION if resolution is None else resolution)[0]
    name, spec = (network.arch_id, network) if isinstance(network, ArchSpec) else (str(network), read_network(network))
    return Description(name, estimate(spec, size, ready_target(target, size)[0]))


def read_network(source: str | Path) -> ArchSpec:
    """The architecture of a published name, a JSON file or a library entry's folder.

    Raises:
        InputError: none of these.
    """
    from mvsearch.spec.arch import from_json
    from mvsearch.spec.published import network

    path = Path(source)
    if path.is_dir():
        path = path / "config.json"
    if not path.is_file() and path.suffix != ".json":
        return network(str(source))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read `{path}` as JSON: {error}", "an architecture as `describe NAME --json` prints it"
        ) from None
    inner = data.get("arch") if isinstance(data, dict) and "arch" in data else data
    return from_json(inner)
