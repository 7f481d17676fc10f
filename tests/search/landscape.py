"""Losses of a network in closed form, microseconds each, for searches that need no estimate; and small spaces."""

import math
from dataclasses import replace

from mvsearch.search.belief import Belief
from mvsearch.search.knowledge import Knowledge, Known
from mvsearch.spec.space import Dimension
from mvsearch.spec.space_file import load_space


def losses(spec):
    """(error, cost): wider, deeper networks err less and cost more; fusing helps in stage 4 only."""
    error = cost = 0.0
    for i, stage in enumerate(spec.stages, 1):
        depth = getattr(stage, "depth", getattr(stage, "blocks", 1))
        fuses = getattr(stage, "concat_local", False)
        error += (1 + i % 3) / math.sqrt(stage.channels * depth) - (0.02 if fuses and i == 4 else 0.0)
        cost += stage.channels**1.3 * depth / i + (3 * i if fuses else 0)
    return error, cost / 100


def three_losses(spec):
    """The third is the widest map, which neither of the others says."""
    return *losses(spec), max(s.channels / 2**i for i, s in enumerate(spec.stages))


def exactly(evaluate, constraint=lambda spec: -math.inf):
    """A prior that knows."""
    return lambda specs: [Belief(tuple(evaluate(s)), constraint(s)) for s in specs]


def tried(proposals, evaluate=losses, constraint=lambda spec: -math.inf):
    """The trials of a generation."""
    return [Known(p.point, p.spec.arch_id, evaluate(p.spec), constraint(p.spec)) for p in proposals]


def search(proposer, generations, evaluate=losses, constraint=lambda spec: -math.inf):
    """Generations, up to one without proposals, and what is known after them."""
    knowledge, found = Knowledge(), []
    for number in range(generations):
        found.append(proposer.generation(knowledge, number))
        if not found[-1].proposals:
            break
        knowledge.add(tried(found[-1].proposals, evaluate, constraint))
    return found, knowledge


def dominated(losses, others):
    """Whether one of the others is at least as good in everything; an equal one counts."""
    return any(all(a <= b for a, b in zip(o, losses, strict=True)) for o in others)


def reduced(name="tiny", keep=5, **choices):
    """A space with its first `keep` free dimensions only; the others have their first choice, or the given ones."""
    space, free = load_space(name), 0
    dimensions = []
    for d in space.dimensions:
        wanted = choices.get(d.name.replace(".", "_"))
        if wanted is None:
            free += len(d.choices) > 1
            wanted = d.choices if free <= keep else d.choices[:1]
        dimensions.append(Dimension(d.name, tuple(wanted), d.ordered))
    return replace(space, dimensions=tuple(dimensions))


def all_specs(space):
    """Every network of a small space, each once."""
    points = [{}]
    for d in space.dimensions:
        points = [{**p, d.name: c} for p in points for c in d.choices]
    return list({s.arch_id: s for s in map(space.decode, points)}.values())
