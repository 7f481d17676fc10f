"""One run: search, verify the front, train, export the winner, write the report."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.api.anchors import to_text
from mvsearch.api.calibration import ready_target_of
from mvsearch.api.live import LivePage
from mvsearch.api.settings import Means
from mvsearch.api.training import IMAGES, images_record, train_front, trained_so_far
from mvsearch.errors import NoCandidateError
from mvsearch.search.folder import RunFolder, machine, versions
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import published_networks
from mvsearch.spec.record import Evaluation, Trial
from mvsearch.spec.run import RunSettings, RunView

if TYPE_CHECKING:
    from mvsearch.accuracy.estimator import Estimator
    from mvsearch.accuracy.images import ImageCache
    from mvsearch.search.executor import Executor
    from mvsearch.search.explore import Listener
    from mvsearch.search.final import FrontVerifier, Verified
    from mvsearch.search.goals import Goals
    from mvsearch.search.queue import MeasureQueue
    from mvsearch.search.store import Store
    from mvsearch.search.trained_front import Trained
    from mvsearch.spec.space import SearchSpace
    from mvsearch.targets import Target


SURENESS = "sureness"
"""Entry of `run.json`: how sure the winner is."""
LARGE_BYTES = 100 * 10**6
"""Packages of a run that take more are mentioned."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a search leaves behind.

    Attributes:
        view: everything that was asked and found.
        folder: where it lies.
        trained: what training on the user's images brought, if there were any.
        target: as the run had it, with the user's own calibration if there was one.
    """

    view: RunView
    folder: Path
    trained: Trained | None = None
    target: Target | None = None

    @property
    def winner(self) -> ArchSpec:
        """The network that was chosen."""
        member = self.view.winning_member
        if member is None:
            raise NoCandidateError(f"the run in `{self.folder}` has no winner", "see its `trials.csv`")
        return member.evaluation.spec


class Run:
    """One run from start to end; every step it finishes is on disk before the next begins.

    Args:
        settings: what was asked.
        space: that is searched.
        listener: hears of the progress.
        command: how to call it again, for the record.
        means: what it is done with.
        images: to train on; None without.
        estimator: fit of top-1 with the user's own networks; None without.
    """

    def __init__(
        self,
        settings: RunSettings,
        space: SearchSpace,
        listener: Listener,
        command: str,
        means: Means,
        images: ImageCache | None,
        estimator: Estimator | None,
    ) -> None:
        self.settings = settings
        self.images = images
        self.estimator = estimator
        self.space = space
        self.listener = listener
        self.command = command
        self.means = means

    def go(self, folder: RunFolder) -> RunResult:
        """Do what the folder does not hold yet.

        Raises:
            NoCandidateError: nothing keeps the budgets.
        """
        from mvsearch.report.write import write_report
        from mvsearch.search.blind import describe_held
        from mvsearch.search.executor import InProcessExecutor, LazyExecutor
        from mvsearch.search.explore import Explorer
        from mvsearch.search.final import choose, sureness
        from mvsearch.search.store import Store
        from mvsearch.search.view import goals_of, run_view
        from mvsearch.targets import get_target

        with ExitStack() as stack:
            # First of all `run.json`: from now on the folder is a run that can be resumed, whatever happens.
            record = self._record(folder)
            folder.write(record)
            started = time.monotonic() - record["seconds"]
            stack.callback(lambda: folder.write({**record, "seconds": time.monotonic() - started}))
            self._keep_calibration(folder)
            self._keep_estimator(folder)
            queue = self._queue(folder)
            if queue:
                stack.enter_context(closing(queue))
            store = stack.enter_context(closing(Store(folder.store, self.space, self.settings.resolution)))
            for note in store.notes:
                self.listener.stage(note)
            # A run that was killed had no time to write how long it had worked.
            started = min(started, time.monotonic() - store.last_ended())
            executors: list[Executor] = [InProcessExecutor()]
            if not self.means.in_process:
                # Ray takes seconds to start; the first generations are evaluated here meanwhile.
                device, means = get_target(self.settings.target), self.means
                executors.insert(0, stack.enter_context(closing(LazyExecutor(lambda: _ray(means, device)))))
            target = ready_target_of(self.settings, folder, store, self.listener)
            self._introduce(target)
            goals = goals_of(self.settings, target, self.estimator)
            self._keep_page(folder, store, record, goals, target, lambda: time.monotonic() - started)
            size = "; ".join(filter(None, [f"{self.space.num_points:.0e} points", describe_held(self.space)]))
            self.listener.stage(f"searching `{self.space.name}` ({size})")
            asked = self.settings
            explorer = Explorer(
                self.space, goals, target, store, asked.seed, self.listener,
                sampler=asked.sampler, screened=asked.screened, stop_flat=asked.stop_flat,
                strategy=asked.strategy, slim_by=asked.slim_by,
                clock=lambda: time.monotonic() - started,
            )  # fmt: skip
            trials = explorer.run(asked.trials, executors, self.means.time_limit)
            if explorer.ended:
                self.listener.stage(explorer.ended)
            if not any(t.feasible for t in trials):
                raise self._nothing_feasible([t.evaluation for t in trials], goals)
            converts = self._converts()
            verifier = self._verifier(folder, goals, store, executors[0], target, converts, queue)
            verified = verifier.run(trials)
            if asked.measure_trials:
                trials = self._search_by_measuring(trials, goals, store, target, verifier)
                verified = verifier.run(trials)
            trained = None
            if self.images and verified.members:
                trained = train_front(
                    self.settings, self.images, folder, store, trials, verified, goals, target, executors[0], self.listener
                )
                verified = trained.verified
            record |= {"notes": [*self._notes(folder), *verified.notes]}
            for note in record["notes"]:
                self.listener.stage(note)
            if queue:
                queue.end()
            if not verified.members:
                raise self._nothing_left(verified, folder)
            winner = choose(verified.members, goals).evaluation
            sure = sureness(trials, verified, goals, store)
            record |= {SURENESS: sure.of_winner()}
            self.listener.stage(f"exporting the winner: library entry, {', '.join(self.means.exports)}; loading them back")
            self._export(folder, winner, record)
            record |= {"winner": winner.arch_id, "finished": True}
            self.listener.stage("writing the report")
            record_now = {**record, "seconds": time.monotonic() - started}
            view = run_view(self.settings, record_now, store, trials, verified, goals, target, sure)
            write_report(view, folder.path, trained, target)
        return RunResult(view, folder.path, trained, target)

    def _keep_page(
        self,
        folder: RunFolder,
        store: Store,
        record: dict[str, Any],
        goals: Goals,
        target: Target,
        clock: Callable[[], float],
    ) -> None:
        """From now on have `report.html` follow the run."""
        from mvsearch.search.final import verified_so_far
        from mvsearch.search.view import run_view

        def write() -> None:
            from mvsearch.report.write import write_page

            trials = store.trials()
            verified = verified_so_far(trials, goals, store)
            trained = trained_so_far(self.settings, folder, store, trials, verified, goals, target)
            now = {**record, "seconds": clock()}
            shown = trained.verified if trained else verified
            write_page(run_view(self.settings, now, store, trials, shown, goals, target), folder.path, trained, target)

        self.listener = LivePage(self.listener, write)
        if not (folder.path / "report.html").exists():
            self.listener.stage(f"`{folder.path / 'report.html'}` follows the run, a quarter of a minute behind or more")

    def _keep_calibration(self, folder: RunFolder) -> None:
        """Copy the user's calibration into the run, which then needs nothing else."""
        given = self.means.calibration
        if given and given.resolve() != folder.calibration.resolve():
            temporary = folder.calibration.with_suffix(".json.tmp")
            shutil.copyfile(given, temporary)
            temporary.replace(folder.calibration)

    def _keep_estimator(self, folder: RunFolder) -> None:
        """Write the fit with the user's own networks into the run, which then needs nothing else."""
        if self.estimator is None:
            return
        text = to_text(self.estimator)
        if not folder.estimator.exists() or folder.estimator.read_text(encoding="utf-8") != text:
            temporary = folder.estimator.with_suffix(".json.tmp")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(folder.estimator)
        self.listener.stage(
            f"top-1 is estimated for your recipe, by {self.estimator.num_own} of your networks and the published ones; "
            "`mvsearch validate --accuracy --anchors FILE` says how far that is to be trusted"
        )

    def _queue(self, folder: RunFolder) -> MeasureQueue | None:
        if self.means.queue is None:
            return None
        from mvsearch.search.measurements import MeasurementFile
        from mvsearch.search.queue import TOKEN_VARIABLE, MeasureQueue
        from mvsearch.targets import get_target

        keep = MeasurementFile(folder.measurements).append
        queue = MeasureQueue(self.means.queue, get_target(self.settings.target), self.settings.resolution, keep=keep)
        self.listener.stage(
            f"members of the front are given out to be measured; on the machine with the device:\n"
            f"  {TOKEN_VARIABLE}={queue.token} mvsearch measure {queue.url}"
        )
        return queue

    def _converts(self) -> bool:
        from mvsearch.targets.coreml.convert import coreml_available

        converts, reason = coreml_available()
        if not converts:
            self.listener.stage(f"Core ML conversion is left out: {reason}")
        return converts

    def _search_by_measuring(
        self, trials: Sequence[Trial], goals: Goals, store: Store, target: Target, verifier: FrontVerifier
    ) -> list[Trial]:
        from mvsearch.search.measured_search import MeasuredSearch
        from mvsearch.search.slimming.measured import MeasuredSlimming

        if verifier.bench is None:
            self.listener.stage("nobody is there to measure: `--measure-trials` is left out")
            return list(trials)
        limit = self.means.time_limit
        until = math.inf if limit is None else time.monotonic() + limit
        asked = self.settings

        def is_over() -> bool:
            return time.monotonic() > until

        if asked.strategy == "slimming":
            slimming = MeasuredSlimming(self.space, goals, target, store, verifier, asked.slim_by, is_over, self.listener)
            return slimming.run(trials, asked.measure_trials)
        search = MeasuredSearch(self.space, goals, target, store, verifier, asked.seed, is_over, self.listener)
        return search.run(trials, asked.measure_trials)

    def _verifier(
        self,
        folder: RunFolder,
        goals: Goals,
        store: Store,
        executor: Executor,
        target: Target,
        converts: bool,
        queue: MeasureQueue | None,
    ) -> FrontVerifier:
        from mvsearch.export.member import verify_member
        from mvsearch.search.final import FrontVerifier
        from mvsearch.search.measurements import MeasurementFile
        from mvsearch.search.measuring import bench_for
        from mvsearch.search.packages import Packages

        return FrontVerifier(
            goals=goals,
            store=store,
            executor=executor,
            verify=verify_member,
            target=target,
            seed=self.settings.seed,
            packages=Packages(folder.coreml),
            records=MeasurementFile(folder.measurements),
            bench=queue or bench_for(executor, target, self.settings.seed),
            convert=converts,
            listener=self.listener,
        )

    def _notes(self, folder: RunFolder) -> list[str]:
        from mvsearch.search.packages import Packages

        size = Packages(folder.coreml).num_bytes()
        if size < LARGE_BYTES:
            return []
        return [
            f"the Core ML packages of the front's members, in `{folder.coreml.name}/`, take {size / 1e6:.0f} MB; they are for "
            "measuring elsewhere, and can be deleted where nobody is to"
        ]

    def _nothing_left(self, verified: Verified, folder: RunFolder) -> NoCandidateError:
        reasons = sorted({f"{e.failure.kind}: {e.failure.message}" for e in verified.struck if e.failure})
        if reasons:
            return NoCandidateError(f"every member of the front failed: {'; '.join(reasons[:3])}", f"see `{folder.path}`")
        return NoCandidateError(
            f"no member of the front keeps the budget as measured on `{self.settings.target}`",
            f"raise the budget; `{folder.measurements}` has what was measured",
        )

    def _introduce(self, target: Target) -> None:
        """Say before anything else what the latencies will be, by the example of the first published network."""
        name, spec = next(iter(published_networks(self.settings.family).items()))
        m = target.predict(spec, self.settings.resolution)
        if self.means.queue:
            kinds = "measured where a worker of the queue measures a member of the front"
        elif target.capability().status == "available":
            kinds = "measured for the front's members"
        elif self.means.address:
            kinds = f"measured for the front's members if a node of the cluster has the resource `{target.resource}`"
        else:
            kinds = "none is measured"
        self.listener.stage(
            f"target `{self.settings.target}`: {target.describe()}; every latency is {m.kind} with its {m.level:.0%} interval,"
            f" e.g. `{name}` {m.value:.2f} ms ({m.low:.2f} to {m.high:.2f}); {kinds}"
        )

    def _nothing_feasible(self, evaluations: Sequence[Evaluation], goals: Goals) -> NoCandidateError:
        usable = sorted((e for e in evaluations if not e.failure), key=lambda e: max(goals.excess(e.spec), goals.violation(e)))
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
            "notes": before.get("notes", []),
            IMAGES: images_record(self.images) if self.images else None,
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
            **record[SURENESS],
        }
        model = build(evaluation.spec, seed=settings.seed).eval()
        outcomes = save_entry(
            folder.winner, evaluation.spec, settings.resolution, model, evaluation,
            provenance=provenance, seed=settings.seed, to=self.means.exports, leave_out=True, overwrite=True,
        )  # fmt: skip
        for o in outcomes:
            if o.status != "written":
                self.listener.stage(f"not exported to {o.name}: {o.why}")


def _ray(means: Means, target: Target) -> Executor:
    from mvsearch.search.ray import RayExecutor

    here = {target.resource: 1.0} if target.capability().status == "available" else {}
    return RayExecutor(means.workers, means.address, here)
