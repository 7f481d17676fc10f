"""A run as plain data: what was asked, what was found. Written by the search, read by the report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mvsearch.spec.budget import Budget
from mvsearch.spec.plain import read_plain, shown
from mvsearch.spec.published import FAMILIES
from mvsearch.spec.record import Evaluation, Measurement, Trial

RUN_SCHEMA_VERSION = 2


SAMPLERS = ("default", "tpe", "nsga2", "nsga3", "random")
"""What may propose candidates: ours, and Optuna's."""
STRATEGIES = ("sample", "slimming")
"""How a space is searched: by proposals from everywhere, or from its largest network down, move by move."""
SLIM_CRITERIA = ("accuracy-per-ms", "mes")
"""By which slimming takes a move: least accuracy lost for what it saves, or for what it adds to the Mobile Efficiency Score."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a run trains members of its front on the user's images.

    Attributes:
        data: the images, as given.
        images: key of the decoded images.
        resolution: side of the image in training and validation, in pixels.
        candidates: members that are trained, at most.
        steps: optimiser steps of the last rung.
        batch_size: images per step.
        seeds: trainings of every network of the last rung.
        multi_scale: whether the sides of the training images vary, as in MobileViT's recipe.
        validate_proxy: whether published networks are trained in the same way first.
        trust: whether the scores choose the winner though they have not earned it.
    """

    data: str
    images: str
    resolution: int
    candidates: int
    steps: int
    batch_size: int
    seeds: int
    multi_scale: bool = False
    validate_proxy: bool = False
    trust: bool = False


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run was asked to do; a run is resumed only with the same settings.

    Attributes:
        budgets: upper limits; all of them hold for every feasible candidate.
        target: name of the device, e.g. `iphone12`.
        space: name of the search space, or the path as given.
        space_hash: content hash of the space's definition.
        trials: distinct in-budget candidates to evaluate.
        seed: of the sampler.
        resolution: side of the square image in pixels.
        confidence: with which a predicted latency has to meet its budget, and level of the lower bound of top-1.
        calibration: hash of the user's own calibration of the predictor; empty without one.
        anchors: hash of the fit of top-1 with the user's own networks; empty without any.
        train: how members of the front are trained; None without images.
        sampler: what proposes candidates: `default`, or one of Optuna's: `tpe`, `nsga2`, `nsga3`, `random`.
        screened: whether what one of Optuna's samplers proposes has to pass our screen.
        stop_flat: whether the search ends when the hypervolume has stopped growing.
        measure_trials: networks to measure beyond the front, for a search by measured latencies.
        strategy: how candidates are found, one of `STRATEGIES`.
        slim_by: by which slimming takes a move, one of `SLIM_CRITERIA`.
        family: of the space, as in `published.FAMILIES`.
    """

    budgets: tuple[Budget, ...]
    target: str
    space: str
    space_hash: str
    trials: int
    seed: int
    resolution: int
    confidence: float
    calibration: str = ""
    anchors: str = ""
    train: TrainSettings | None = None
    sampler: str = "default"
    screened: bool = True
    stop_flat: bool = True
    measure_trials: int = 0
    strategy: str = STRATEGIES[0]
    slim_by: str = SLIM_CRITERIA[0]
    family: str = "mobilevit"

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> RunSettings:
        """Read what `to_json` wrote; settings that an older version did not have are at their defaults.

        Raises:
            ValueError: something else, or a value that no run has.
        """
        settings = read_plain(cls, data, "settings")
        ranges = [("resolution", settings.resolution, 32, 2048), ("trials", settings.trials, 1, None)]
        ranges += [("seed", settings.seed, 0, None), ("measure_trials", settings.measure_trials, 0, None)]
        choices = {"sampler": SAMPLERS, "strategy": STRATEGIES, "slim_by": SLIM_CRITERIA, "family": tuple(FAMILIES)}
        for name, allowed in choices.items():
            if getattr(settings, name) not in allowed:
                raise ValueError(f"`settings.{name}` is `{shown(getattr(settings, name))}`")
        if train := settings.train:
            ranges += [("train.resolution", train.resolution, 32, None)]
            ranges += [(f"train.{k}", getattr(train, k), 1, None) for k in ("candidates", "steps", "batch_size", "seeds")]
        for name, value, low, high in ranges:
            if value < low or (high is not None and value > high):
                raise ValueError(f"`settings.{name}` is `{value}`")
        if not 0.5 <= settings.confidence < 1:
            raise ValueError(f"`settings.confidence` is `{settings.confidence}`")
        if not settings.budgets or any(b.limit <= 0 for b in settings.budgets):
            raise ValueError("`settings.budgets` are none")
        return settings


@dataclass(frozen=True, slots=True)
class PublishedPoint:
    """A published network, evaluated by the same models as the candidates.

    Attributes:
        name: e.g. `mobilevitv3_xxs`.
        evaluation: our counted, estimated and predicted numbers.
        feasible: whether it keeps the budgets.
        published_top1: accuracy that its authors report, in %, if known.
    """

    name: str
    evaluation: Evaluation
    feasible: bool
    published_top1: Measurement | None = None


@dataclass(frozen=True, slots=True)
class SearchCounts:
    """How many proposals went where.

    Attributes:
        proposed: points that the sampler came up with.
        over_budget: rejected on their exact costs, before anything was spent on them.
        duplicates: networks that had been proposed before; never evaluated again.
        evaluated: distinct candidates; with a sampler that has a screen, within the counted budgets.
        feasible: of these, those that meet a predicted budget with the stated confidence too.
        failed: evaluations that failed, recorded with their reason.
    """

    proposed: int = 0
    over_budget: int = 0
    duplicates: int = 0
    evaluated: int = 0
    feasible: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class FrontMember:
    """One member of the final front.

    Attributes:
        trial: number of the trial.
        evaluation: its numbers, at the highest rung reached.
        lower_top1: lower confidence bound of top-1 in %, at the run's confidence: what was maximised.
        tied: whether it cannot be told apart from the most accurate one by the estimates; the winner is the fastest of
            these, of the measured ones where some are measured.
        probability_in_budget: probability that the predicted budgets are all met (1 if all are counted).
        nearest: name of the nearest published network.
        probability_on_front: probability that no other evaluated candidate is as accurate and as fast in truth, and
            that the latency budget is kept; None if it was not worked out.
    """

    trial: int
    evaluation: Evaluation
    lower_top1: float
    tied: bool
    probability_in_budget: float
    nearest: str
    probability_on_front: float | None = None


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """The member that would win if the winner were struck off.

    Attributes:
        arch_id: of the network.
        probability_better: probability that it is the better choice in truth: more accurate by what tells two networks
            apart, or as accurate and faster, within the latency budget.
    """

    arch_id: str
    probability_better: float

    @property
    def is_coin_flip(self) -> bool:
        """Whether the choice between the two is next to none: a probability of 0.4 to 0.6."""
        return 0.4 <= self.probability_better <= 0.6


@dataclass(frozen=True, slots=True)
class SlimmingStep:
    """A network on a slimming path.

    Attributes:
        trial: its number.
        evaluation: by which its move was judged.
        in_budget: whether it keeps every budget of the run.
        move: that led to it, in words.
        lost: points of the lower bound of top-1 that the move took; negative where it brought some. None for the first network.
        saved_ms: milliseconds of expected latency that it took off; None for the first network.
        score: points lost for one unit of what the criterion sets them against; None for the first network.
    """

    trial: int
    evaluation: Evaluation
    in_budget: bool
    move: str = ""
    lost: float | None = None
    saved_ms: float | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class SlimmingPath:
    """From the largest network of a space down, one move after the other.

    Attributes:
        aim: what it makes for, in words; once that is met, it goes on by milliseconds.
        steps: the networks that it passes, the largest first.
        measured: whether its moves were taken by measured latencies.
    """

    aim: str
    steps: tuple[SlimmingStep, ...]
    measured: bool = False


@dataclass(frozen=True, slots=True)
class RunView:
    """All that a report shows of one run.

    Attributes:
        settings: what was asked.
        command: the command line.
        target_note: one line on how the target's latencies were obtained.
        trials: every evaluated candidate, in order.
        front: verified members of the front, fastest first.
        winner: `arch_id` of the winner, or None while the run goes on.
        struck: front members that failed when they were built, run or converted.
        published: the published networks, by the same models.
        counts: how many proposals went where.
        hypervolume: (trials so far, dominated area, seconds that the run had worked by then or None) along the run.
        versions: (package, version).
        machine: one line.
        seconds: wall clock of the run so far.
        finished: whether the run came to its end.
        reference_point: (lower bound of top-1 in %, latency in ms) from which the hypervolume is measured.
        notes: what else there is to say about how the run went, in sentences.
        runner_up: who comes second, and how sure that is; None without a winner, or with nobody else on the front.
        slimming: the paths of a run by slimming.
    """

    settings: RunSettings
    command: str
    target_note: str
    trials: tuple[Trial, ...]
    front: tuple[FrontMember, ...]
    winner: str | None
    struck: tuple[Evaluation, ...]
    published: tuple[PublishedPoint, ...]
    counts: SearchCounts
    hypervolume: tuple[tuple[int, float, float | None], ...]
    versions: tuple[tuple[str, str], ...]
    machine: str
    seconds: float
    finished: bool
    reference_point: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    runner_up: RunnerUp | None = None
    slimming: tuple[SlimmingPath, ...] = ()

    @property
    def roles(self) -> dict[str, str]:
        """By `arch_id`: winner, tied (with the winner), front, struck (off the front); nobody else has one."""
        roles = {e.arch_id: "struck" for e in self.struck}
        roles |= {m.evaluation.arch_id: "tied" if m.tied else "front" for m in self.front}
        return roles | ({self.winner: "winner"} if self.winner else {})

    @property
    def winning_member(self) -> FrontMember | None:
        """The winner's entry in the front."""
        return next((m for m in self.front if m.evaluation.arch_id == self.winner), None)
