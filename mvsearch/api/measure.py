"""Measuring away from the search: a run folder that was brought here, one network, or what a running search gives out."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.api.anchors import estimator_of
from mvsearch.api.calibration import ready_target_of
from mvsearch.api.read import space_of
from mvsearch.errors import ConversionError, InputError, MeasureError, TargetError
from mvsearch.search.folder import RUN_FILE, RunFolder
from mvsearch.search.measuring import (
    GONE,
    Measured,
    MeasureFailure,
    MeasureResult,
    Outcome,
    from_packages,
    with_failure,
    with_records,
)
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Measurement
from mvsearch.spec.run import RunSettings

if TYPE_CHECKING:
    from mvsearch.search.explore import Listener
    from mvsearch.search.measurements import MeasurementFile
    from mvsearch.search.store import Store
    from mvsearch.spec.record import Evaluation, Trial
    from mvsearch.targets import Artifact, StopPolicy, Target

DEFAULT_TARGET = "iphone12"


def measure(
    source: str | Path | ArchSpec,
    target: str | None = None,
    *,
    resolution: int | None = None,
    token: str | None = None,
    fresh: bool = False,
    policy: StopPolicy | None = None,
    listener: Listener | None = None,
) -> MeasureResult:
    """Measure latencies on a device that is here, and write them back where they belong.

    A run folder has the members of its front measured, the winner first; Core ML targets take the packages in its
    `coreml/`. Every record goes into its `measurements.jsonl`; those of the run's own target go into its store as well,
    and its report is written anew. What was measured before, here or in another run, comes from the cache. Interrupted,
    it keeps what is measured.

    Args:
        source: a run folder; a `.mlpackage`; a network: published name, JSON file, library entry, architecture; or
            `http://HOST:PORT` of a search that runs with `--queue`, which is served until it ends.
        target: device; by default the run's or the queue's own, else `iphone12`.
        resolution: side of the image in pixels, for a network; the entry's own, or the one that the network is for, by default.
        token: of the queue; `$MVSEARCH_QUEUE_TOKEN` by default.
        fresh: measure also what the cache has.
        policy: how long to measure; the target's own by default.
        listener: hears of the progress.

    Raises:
        TargetError: the target cannot be measured here; with the reason, before anything is written.
        InputError: the source cannot be used.
    """
    from mvsearch.search.explore import Silent

    bench = _Bench(fresh, policy, listener or Silent())
    if isinstance(source, ArchSpec):
        return _network(source.arch_id, source, None, target, resolution, bench)
    path = Path(source)
    if resolution is not None and ("://" in str(source) or (path / RUN_FILE).is_file() or path.suffix == ".mlpackage"):
        raise InputError(f"`--resolution` with `{source}`, which has its own", "leave it out; it is for a network")
    if str(source).startswith(("http://", "https://")):
        return _queue(str(source), target, token, bench)
    if (path / RUN_FILE).is_file():
        return _run(RunFolder(path), target, bench)
    if path.suffix == ".mlpackage":
        return _package(path, target, bench)
    from mvsearch.api.read import read_network

    return _network(str(source), read_network(source), path if path.is_dir() else None, target, resolution, bench)


@dataclass(frozen=True, slots=True)
class _Item:
    """A network to be measured; `prepare` brings it into the target's form, in a folder that it is given."""

    name: str
    arch_id: str
    predicted: Measurement | None
    prepare: Callable[[Path], Artifact]


@dataclass(frozen=True, slots=True)
class _Bench:
    """How to measure."""

    fresh: bool
    policy: StopPolicy | None
    listener: Listener

    def measured(self, target: Target, items: list[_Item]) -> Iterator[Measured]:
        """One by one; once the device is gone, the rest fails with the same reason."""
        from mvsearch.report.words import plural

        gone: MeasureFailure | None = None
        self.listener.stage(f"measuring {plural(len(items), 'network')} on `{target.name}`")
        for done, item in enumerate(items, start=1):
            outcome = gone or self._take(target, item)
            if isinstance(outcome, MeasureFailure) and outcome.kind in GONE:
                gone = outcome
            yield Measured(item.name, item.arch_id, item.predicted, outcome)
            self.listener.progress(done, len(items), words(outcome))

    def _take(self, target: Target, item: _Item) -> Outcome:
        from mvsearch.targets import MeasurementCache, take

        cache = MeasurementCache()
        try:
            with tempfile.TemporaryDirectory(prefix="mvsearch-") as folder:
                return take(target, item.prepare(Path(folder)), self.policy, cache, fresh=self.fresh)
        except MeasureError as error:
            return MeasureFailure(error.kind, error.message, error.hint)
        except ConversionError as error:
            return MeasureFailure("load", error.message, error.hint)


def words(outcome: Outcome) -> str:
    """A measurement in a few words."""
    return f"{outcome.kind}: {outcome.message}" if isinstance(outcome, MeasureFailure) else f"{outcome.value_ms:.2f} ms"


def _available(name: str) -> Target:
    """The target, ready to measure.

    Raises:
        TargetError: it cannot be measured here; with the reason and what to do.
    """
    from mvsearch.targets import get_target

    target = get_target(name)
    capability = target.capability()
    if capability.status != "available":
        raise TargetError(f"`{name}` cannot be measured here: {capability.reason}", capability.fix)
    return target


def _predicted(target: Target, spec: ArchSpec, resolution: int) -> Measurement | None:
    """What a target predicts; None for one that predicts nothing before it is calibrated."""
    try:
        return target.predict(spec, resolution)
    except TargetError:
        return None


def _package(path: Path, target_name: str | None, bench: _Bench) -> MeasureResult:
    from mvsearch.targets.coreml.package import artifact_of

    artifact = artifact_of(path)
    target = _available(target_name or DEFAULT_TARGET)
    spec = artifact.spec
    if not from_packages(target):
        if spec is None:
            raise InputError(
                f"`{path}` does not say which network it holds, and `{target.name}` runs no Core ML packages",
                "measure it with `--target mac` or on a phone, or give the network itself",
            )
        return _network(path.name, spec, None, target.name, artifact.resolution, bench)
    predicted = _predicted(target, spec, artifact.resolution) if spec else None
    item = _Item(path.name, artifact.arch_id, predicted, lambda _: artifact)
    return MeasureResult(target.name, tuple(bench.measured(target, [item])))


def _network(
    name: str, spec: ArchSpec, entry: Path | None, target_name: str | None, resolution: int | None, bench: _Bench
) -> MeasureResult:
    from mvsearch.costs import image_size
    from mvsearch.spec.published import default_resolution
    from mvsearch.targets.coreml.package import artifact_of

    target = _available(target_name or DEFAULT_TARGET)
    own = _entry_resolution(entry) if entry else None
    size = image_size(resolution or own or default_resolution(spec))[0]
    package = entry / "model.mlpackage" if entry and size == own else None
    if package and package.is_dir() and from_packages(target):
        item = _Item(name, spec.arch_id, _predicted(target, spec, size), lambda _: artifact_of(package, spec))
    else:
        item = _Item(name, spec.arch_id, _predicted(target, spec, size), lambda folder: target.prepare(spec, size, folder))
    return MeasureResult(target.name, tuple(bench.measured(target, [item])))


def _entry_resolution(entry: Path) -> int | None:
    """The side of the image that a library entry takes; None where its configuration does not say."""
    try:
        shape = json.loads((entry / "config.json").read_text(encoding="utf-8"))["input"]["shape"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return shape[-1] if isinstance(shape, list) and shape and isinstance(shape[-1], int) else None


def _queue(url: str, target_name: str | None, token: str | None, bench: _Bench) -> MeasureResult:
    from mvsearch.search.queue import TOKEN_VARIABLE
    from mvsearch.search.queue_worker import QueueClient, measure_from_queue
    from mvsearch.targets import MeasurementCache

    token = token or os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise InputError(f"`{TOKEN_VARIABLE}` is not set", "set it to the token that the search printed at its start")
    client = QueueClient(url, token)
    try:
        status, about = client.ask("/queue", once=True)
    except ConnectionError as error:
        raise InputError(str(error), "start the search with `--queue HOST:PORT` first, and check the address") from None
    if status != 200:
        raise InputError(f"`{url}` is no queue: {about.get('error')}", "the search prints its address")
    target = _available(target_name or str(about.get("target")))
    bench.listener.stage(f"measuring on `{target.name}` what `{url}` gives out; Ctrl-C ends it")
    counts = {"done": 0}

    def heard(measured: Measured) -> None:
        counts["done"] += 1
        bench.listener.stage(f"{counts['done']}: `{measured.name}` {words(measured.outcome)}")

    found, ended = measure_from_queue(
        client, target, policy=bench.policy, fresh=bench.fresh, cache=MeasurementCache(), heard=heard
    )
    return MeasureResult(target.name, tuple(found), (ended,) if ended else ())


def _run(folder: RunFolder, target_name: str | None, bench: _Bench) -> MeasureResult:
    from mvsearch.search.measurements import MeasurementFile
    from mvsearch.search.store import Store
    from mvsearch.targets import get_target

    settings = folder.settings()
    target = _available(target_name or settings.target)
    own = target.spec.key == get_target(settings.target).spec.key
    with folder.lock():
        with closing(Store(folder.store, space_of(settings), settings.resolution)) as store:
            # Of a run of this machine's own target this raises where it was another machine.
            target = ready_target_of(settings, folder, store) if own else target
            front = _front(settings, folder, store)
            items = _items(front, target, own, settings, folder)
            records, found = MeasurementFile(folder.measurements), []
            try:
                for measured in bench.measured(target, items):
                    found.append(measured)
                    if measured.record:
                        records.append(measured.record)
                    if own:
                        _keep(store, measured, target, records)
            except KeyboardInterrupt:
                kept = sum(m.record is not None for m in found)
                bench.listener.stage(f"interrupted; {kept} measurements are kept: `mvsearch report {folder.path}` shows them")
                raise
        notes = _left_out(len(front), len(items), target, folder)
        if own and found:
            notes += _reported(folder, found, target.name, bench.listener)
    return MeasureResult(target.name, tuple(found), tuple(notes))


def _front(settings: RunSettings, folder: RunFolder, store: Store) -> list[Trial]:
    """Members of the front as they were explored, the winner first, then fastest first."""
    from mvsearch.search.final import verified_so_far
    from mvsearch.search.view import goals_of

    explored = {t.number: t for t in store.trials()}
    predictor = ready_target_of(settings, folder, store, only_predicts=True)
    goals = goals_of(settings, predictor, estimator_of(settings, folder))
    members = verified_so_far(list(explored.values()), goals, store).members
    if not members:
        raise InputError(f"the run in `{folder.path}` has no front yet", "go on with it first: `mvsearch run ... --resume`")
    winner = folder.read().get("winner")
    return [explored[t.number] for t in sorted(members, key=lambda t: t.evaluation.arch_id != winner)]


def _items(front: list[Trial], target: Target, own: bool, settings: RunSettings, folder: RunFolder) -> list[_Item]:
    items = []
    for trial in front:
        e = trial.evaluation
        predicted = e.measurements["latency"] if own else _predicted(target, e.spec, e.resolution)
        if not from_packages(target):
            items.append(_Item(e.arch_id, e.arch_id, predicted, partial(_prepared, target, e, settings.seed)))
        elif package := _package_of(e.arch_id, folder):
            items.append(_Item(e.arch_id, e.arch_id, predicted, partial(_packaged, package, e)))
    return items


def _prepared(target: Target, evaluation: Evaluation, seed: int, folder: Path) -> Artifact:
    return target.prepare(evaluation.spec, evaluation.resolution, folder, seed)


def _packaged(package: Path, evaluation: Evaluation, _: Path) -> Artifact:
    from mvsearch.targets.coreml.package import artifact_of

    return artifact_of(package, evaluation.spec)


def _package_of(arch_id: str, folder: RunFolder) -> Path | None:
    """A member's package in the run's folder; the winner's may be in its entry alone."""
    from mvsearch.search.packages import Packages

    packages = Packages(folder.coreml)
    if packages.has(arch_id):
        return packages.path(arch_id)
    exported = folder.winner / "model.mlpackage"
    return exported if folder.read().get("winner") == arch_id and exported.is_dir() else None


def _keep(store: Store, measured: Measured, target: Target, records: MeasurementFile) -> None:
    """Into the store, where the member was built before; a run that goes on finds the others' records in its folder."""
    from mvsearch.search.repeats import between_sessions

    evaluation = store.verified().get(measured.arch_id)
    if evaluation is None:
        return
    if isinstance(measured.outcome, MeasureFailure):
        store.set_verified(with_failure(evaluation, measured.outcome, target.name))
    else:
        sessions = records.sessions(evaluation.resolution, target.spec.key)
        one = sessions.get(measured.arch_id, [measured.outcome])
        store.set_verified(with_records(evaluation, one, between_sessions(sessions)))


def _left_out(members: int, items: int, target: Target, folder: RunFolder) -> list[str]:
    if members == items:
        return []
    return [
        f"{members - items} of the front's {members} members have no Core ML package in `{folder.coreml}` and keep their "
        f"predictions; a search keeps those of its winner and of up to 15 others for `{target.name}`"
    ]


def _reported(folder: RunFolder, found: list[Measured], target: str, listener: Listener) -> list[str]:
    """Write the report anew; what there is to say of it."""
    from mvsearch.api.report import rebuild_report

    record = {k: v for k, v in folder.read().items() if k != "schema_version"}
    count = sum(m.record is not None for m in found)
    where = next((f" from `{m.record.host}`, {m.record.taken_at[:10]}" for m in found if m.record), "")
    note = f"{count} of {len(found)} members of the front were measured on `{target}` after the search{where}"
    folder.write({**record, "notes": [*(n for n in record.get("notes", []) if n != note), note]})
    listener.stage("writing the report")
    view = rebuild_report(folder.path)
    best = min(
        (m for m in view.front if m.tied),
        key=lambda m: (m.evaluation.measurements["latency"].kind != "measured", m.evaluation.measurements["latency"].value),
        default=None,
    )
    if best is None or view.winner is None or best.evaluation.arch_id == view.winner:
        return []
    return [
        f"by what is measured, `{best.evaluation.arch_id}` is ahead of the winner `{view.winner}`: the run's own command with "
        f"`--resume --out {folder.path}` verifies what is new on the front, and chooses and exports anew"
    ]
