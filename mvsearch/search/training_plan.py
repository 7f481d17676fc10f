"""Who is trained on the user's images, and how long: it follows from the front and the settings alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mvsearch.accuracy.trained import Recipe
from mvsearch.search.final import Verified, choose
from mvsearch.search.goals import Goals
from mvsearch.search.halving import num_rungs, rung_steps
from mvsearch.search.pareto import spread
from mvsearch.spec.plain import read_plain
from mvsearch.spec.published import published_networks
from mvsearch.spec.record import Trial
from mvsearch.spec.run import TrainSettings

VALIDATION_SHARE = 0.25
"""Of a training's work, at most, goes into validation; the least that is done is one pass over `MIN_VAL` images."""
MIN_VAL = 1000
FORWARD_SHARE = 1 / 3
"""Work of a forward pass over that of a training step."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is trained, and how.

    Attributes:
        members: of the front, the first to start first.
        anchors: published networks, trained by the last rung's recipe before anybody else.
        recipes: of the rungs, ascending.
    """

    members: tuple[Trial, ...]
    anchors: tuple[str, ...]
    recipes: tuple[Recipe, ...]

    @classmethod
    def of(cls, verified: Verified, goals: Goals, settings: TrainSettings, num_val: int) -> Plan:
        """The plan for a front: it follows from the front and the settings alone."""
        members = tuple(chosen(verified.members, goals, settings.candidates))
        plan = cls(members, (), recipes(settings, num_val, len(members)))
        return plan.validated() if settings.validate_proxy else plan

    def validated(self) -> Plan:
        """The same with published networks of about the size of the first member, if there is one."""
        near = anchors_near(self.members[0].evaluation.measurements["params"].value) if self.members else ()
        return replace(self, anchors=near)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`; members by `arch_id`."""
        return {
            "members": [t.evaluation.arch_id for t in self.members],
            "anchors": self.anchors,
            "recipes": [asdict(r) for r in self.recipes],
        }

    @classmethod
    def from_json(cls, data: Any, trials: Sequence[Trial]) -> Plan:
        """Read what `to_json` wrote; the members are looked up among the trials.

        Raises:
            ValueError: something else, or a member that is no trial.
        """
        stored = read_plain(_Stored, data, "training plan")
        by_id = {t.evaluation.arch_id: t for t in trials}
        unknown = [m for m in stored.members if m not in by_id] + [a for a in stored.anchors if a not in published_networks()]
        if unknown or not stored.recipes:
            raise ValueError("the training plan has members that are no trials, or no recipe")
        return cls(tuple(by_id[m] for m in stored.members), stored.anchors, stored.recipes)


@dataclass(frozen=True, slots=True)
class _Stored:
    members: tuple[str, ...]
    anchors: tuple[str, ...]
    recipes: tuple[Recipe, ...]


def recipes(settings: TrainSettings, num_val: int, candidates: int) -> tuple[Recipe, ...]:
    """The recipe of each rung.

    All rungs are validated on the same images. Where trainings are short, these are few: most of the time goes into
    training.

    Args:
        settings: what was asked.
        num_val: validation images that there are.
        candidates: networks that start on the lowest rung.
    """
    steps = rung_steps(settings.steps, num_rungs(candidates))
    # In images that are run forwards.
    affordable = VALIDATION_SHARE / FORWARD_SHARE * settings.steps * settings.batch_size
    val = min(num_val, max(MIN_VAL, int(affordable / 3)))
    bn = min(2048, val)
    return tuple(
        Recipe(
            steps=s,
            batch_size=settings.batch_size,
            resolution=settings.resolution,
            multi_scale=settings.multi_scale,
            val_images=val,
            bn_images=bn,
            evaluations=max(1, min(5, s, int(VALIDATION_SHARE / FORWARD_SHARE * s * settings.batch_size / (val + bn)))),
        )
        for s in steps
    )


def chosen(members: Sequence[Trial], goals: Goals, count: int) -> list[Trial]:
    """The members that are trained: the one that would win, then others evenly along the front."""
    if not members:
        return []
    first = choose(members, goals)
    others = [t for t in members if t is not first]
    return [first, *(others[i] for i in spread(len(others), count - 1))] if count > 1 else [first]


def anchors_near(params: float) -> tuple[str, ...]:
    """Published networks to train first: v1, v2 and v3 of the two size bands nearest to a number of parameters."""
    from mvsearch.accuracy.anchors import load_anchors
    from mvsearch.accuracy.fit import SIZE_BANDS

    by_name = {a.name: a for a in load_anchors()}
    bands = sorted(SIZE_BANDS, key=lambda band: abs(sum(by_name[n].params for n in band) / len(band) - params))
    return tuple(by_name[n].network for band in bands[:2] for n in band)
