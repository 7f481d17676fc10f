"""What a run is asked to do, checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.api.calibration import calibrated, hash_of
from mvsearch.errors import InputError, NoCandidateError
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import published_networks
from mvsearch.spec.record import Evaluation
from mvsearch.spec.run import SAMPLERS, SLIM_CRITERIA, STRATEGIES, RunSettings

if TYPE_CHECKING:
    from mvsearch.spec.space import SearchSpace


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How a run searches.

    Attributes:
        sampler: what proposes: `default`, or Optuna's `tpe`, `nsga2`, `nsga3` or `random`.
        screened: whether what one of Optuna's samplers proposes has to pass our screen before it costs a trial: within the
            budgets, new, and not dominated by what is known.
        stop_flat: end when the last 500 trials brought less than 0.1 % of the hypervolume.
        measure_trials: networks to measure after the front was, each where what was measured until then says that it should
            add most: a search by measured latencies. Needs a device. With slimming, the end of its first path is gone again
            by measured latencies.
        strategy: `sample`, proposals from everywhere; or `slimming`, from the largest network down, move by move.
        slim_by: by which slimming takes a move: `accuracy-per-ms`, least accuracy lost for what is saved, or `mes`, for what
            is added to EfficientFormerV2's Mobile Efficiency Score.
    """

    sampler: str = "default"
    screened: bool = True
    stop_flat: bool = True
    measure_trials: int = 0
    strategy: str = STRATEGIES[0]
    slim_by: str = SLIM_CRITERIA[0]

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            InputError: an unknown sampler, strategy or criterion, options that do not go together, or a number out of range.
        """
        for option, value, allowed in (
            ("--sampler", self.sampler, SAMPLERS),
            ("--strategy", self.strategy, STRATEGIES),
            ("--slim-by", self.slim_by, SLIM_CRITERIA),
        ):
            if value not in allowed:
                raise InputError(f"`{option}` is `{value}`", f"one of {', '.join(f'`{s}`' for s in allowed)}")
        if self.strategy == "slimming" and (self.sampler != SAMPLERS[0] or not self.screened):
            raise InputError(
                "`--strategy slimming` with `--sampler` or `--no-screen`", "slimming draws no samples; leave them out"
            )
        if self.strategy != "slimming" and self.slim_by != SLIM_CRITERIA[0]:
            raise InputError(f"`--slim-by {self.slim_by}` without slimming", "add `--strategy slimming`, or leave it out")
        if self.sampler == SAMPLERS[0] and not self.screened:
            raise InputError("`--no-screen` with the default sampler", "it is made of its screen; choose another `--sampler`")
        if self.measure_trials < 0:
            raise InputError(f"`--measure-trials` is `{self.measure_trials}`", "an integer of at least 0")


def settings_of(
    budget: str | Sequence[str],
    target: str,
    space: str,
    trials: int,
    seed: int,
    confidence: float,
    resolution: int | None,
    calibration: Path | None,
    options: SearchOptions,
) -> tuple[RunSettings, SearchSpace]:
    """Check what was asked and put it together; arguments and errors as `search`."""
    from mvsearch.costs import image_size
    from mvsearch.spec.space_file import load_space
    from mvsearch.targets import get_target
    from mvsearch.targets.host.machine import MachineTarget

    budgets = parse_budgets([budget] if isinstance(budget, str) else budget)
    found = get_target(target)
    if calibration:
        calibrated(found, calibration)
    loaded = load_space(space)
    if trials < 1:
        raise InputError(f"`--trials` is `{trials}`", "an integer of at least 1")
    if not 0.5 <= confidence < 1:
        raise InputError(f"`--confidence` is `{confidence:g}`", "from 0.5 to below 1, e.g. 0.8")
    if seed < 0:
        raise InputError(f"`--seed` is `{seed}`", "an integer of at least 0")
    size = image_size(loaded.resolution if resolution is None else resolution)[0]
    if not isinstance(found, MachineTarget):
        # A target that predicts nothing is refused before a folder is made; this machine's are calibrated later.
        found.predict(next(iter(published_networks(loaded.family).values())), size)
    own = hash_of(calibration) if calibration else ""
    options.check()
    settings = RunSettings(
        budgets, target, space, loaded.content_hash, trials, seed, size, confidence, own,
        sampler=options.sampler, screened=options.screened, stop_flat=options.stop_flat, measure_trials=options.measure_trials,
        strategy=options.strategy, slim_by=options.slim_by, family=loaded.family,
    )  # fmt: skip
    return settings, loaded


def check_possible(settings: RunSettings, space: SearchSpace) -> None:
    """Refuse a counted budget that no candidate keeps, before anything is written."""
    from mvsearch.costs import count
    from mvsearch.search.breeding import nearest_to_budget
    from mvsearch.search.goals import Goals

    excess = Goals(settings.budgets, settings.confidence, settings.resolution).excess
    nearest = nearest_to_budget(space, excess, settings.seed)
    if excess(nearest[0]) > 0:
        raise NoCandidateError(
            f"no candidate of space `{space.name}` keeps the budget",
            "raise the budget that binds, or give a space with smaller networks",
            tuple(Evaluation(spec, settings.resolution, count(spec, settings.resolution).measurements()) for spec in nearest),
            settings.budgets,
            settings.confidence,
        )


@dataclass(frozen=True, slots=True)
class Means:
    """What a run is done with: nothing that changes what comes out, but for what is measured.

    Attributes:
        workers, in_process, address, queue, time_limit, calibration: as in `search`.
        exports: what the winner is exported to beside its entry, as far as it can be.
    """

    workers: int | None
    in_process: bool
    address: str | None
    queue: str | None
    time_limit: float | None
    calibration: Path | None
    exports: tuple[str, ...] = ()

    def check(self, settings: RunSettings) -> None:
        """Refuse what cannot be.

        Raises:
            InputError: a number out of range, an address that is none, or a target that a queue cannot serve.
        """
        if self.time_limit is not None and self.time_limit <= 0:
            raise InputError(f"`--time-limit` is `{self.time_limit:g}` s", "more than zero, e.g. `90s`, `10m` or `2h`")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"`--workers` is `{self.workers}`", "an integer of at least 1, or `--in-process`")
        if self.queue is not None:
            from mvsearch.search.queue import check_servable, parse_address
            from mvsearch.targets import get_target

            parse_address(self.queue)
            check_servable(get_target(settings.target))
        if settings.measure_trials and self.queue is None and self.address is None:
            from mvsearch.targets import get_target

            here = get_target(settings.target).capability()
            if here.status != "available":
                raise InputError(
                    f"`--measure-trials` on `{settings.target}`, which cannot be measured here: {here.reason}",
                    "give a `--queue` or the `--address` of a cluster that has the device, or `--target cpu`",
                )
