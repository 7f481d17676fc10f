"""The study behind a run: every sampler keeps its promises, and a run that is resumed goes on."""

import math

import pytest

from mvsearch.search.study import SearchStudy, SpaceExhaustedError
from mvsearch.spec.record import Evaluation, Trial
from mvsearch.spec.run import SAMPLERS
from mvsearch.spec.space_file import load_space
from tests.search.landscape import all_specs, dominated, exactly, losses, reduced

SPACE = load_space("mobilevit")
LIMIT = losses(SPACE.decode(SPACE.published_points()["mobilevit_xs"]))[1]
FAST = 0.9 * LIMIT
DEFAULT = SAMPLERS[0]
NUM_TRIALS = 70


def evaluate(spec):
    """(top-1, latency)."""
    error, cost = losses(spec)
    return 100 - 10 * error, cost


def measured(spec):
    """The same with errors that depend on nothing but the network."""
    top1, cost = evaluate(spec)
    return top1 - int(spec.arch_id[:2], 16) / 512, 1.2 * cost


def too_slow(spec):
    """The constraint of a predicted budget."""
    return math.log(losses(spec)[1] / FAST)


def never(spec):
    return -math.inf


class Run:
    """Asks and tells, and writes down what a store would hold."""

    def __init__(
        self, sampler=DEFAULT, screened=True, seed=0, truth=evaluate, constraint=never, finished=(), space=SPACE, limit=LIMIT
    ):
        self.excess = lambda spec: math.log(losses(spec)[1] / limit)
        self.truth, self.constraint = truth, constraint
        self.finished = list(finished)
        self.batches = []
        prior = exactly(evaluate, constraint)
        self.study = SearchStudy(space, self.excess, prior, sampler, screened, seed, self.finished)

    def go_on(self, upto, stop=math.inf):
        """Until so many trials were made; `stop`: or the process is killed after so many."""
        while len(self.finished) < min(upto, stop):
            batch = self.study.ask(upto - len(self.finished))
            self.batches.append(batch)
            for asked in batch.asked:
                spec = asked.proposal.spec
                failed = asked.number % 11 == 5
                told = None if failed else self.truth(spec)
                constraint = 0.0 if failed else self.constraint(spec)
                evaluation = Evaluation(spec, 256, {})
                trial = Trial(asked.number, asked.proposal.point, evaluation, True, asked.proposal.origin, asked.generation)
                self.finished.append((trial, told, constraint))
                self.study.tell(asked.number, told, constraint)
                if len(self.finished) == stop:
                    break
        return self

    @property
    def ids(self):
        return [t.evaluation.arch_id for t, _, _ in self.finished]


NUM_OF = {"tpe": 45}
"""Trials that are more than a generation; TPE takes its time."""


def loose(sampler, screened=True, **options):
    """Where the screen rejects half of what is drawn: what the other samplers draw in vain takes them long."""
    return Run(sampler, screened, truth=measured, limit=6 * LIMIT, **options)


@pytest.fixture(scope="module", params=[(s, screened) for s in SAMPLERS for screened in (True, False)], ids=str)
def run(request):
    """(sampler, screened, run)"""
    sampler, screened = request.param
    return sampler, screened, loose(sampler, screened).go_on(NUM_OF.get(sampler, 60))


def test_every_sampler(run):
    sampler, screened, run = run
    assert len(set(run.ids)) == len(run.ids) > sum(told is not None for _, told, _ in run.finished)
    assert [t.number for t, _, _ in run.finished] == list(range(len(run.ids)))
    assert all(SPACE.decode(t.point) == t.evaluation.spec for t, _, _ in run.finished)
    numbers = [b.number for b in run.batches]
    assert numbers == sorted(set(numbers))
    over = [t for t, _, _ in run.finished if run.excess(t.evaluation.spec) > 0]
    # Unscreened it is as its users would run it.
    assert bool(over) == (not screened and sampler != DEFAULT)
    for b in run.batches:
        assert b.screened.proposed >= b.screened.over_budget + b.screened.duplicates


def test_a_resumed_run_goes_on_without_repeating(run):
    sampler, screened, run = run
    wanted = len(run.ids)
    after = loose(sampler, screened, finished=run.finished[:-5]).go_on(wanted)
    assert after.ids[:-5] == run.ids[:-5]
    assert len(set(after.ids)) == len(after.ids) == wanted
    assert [t.number for t, _, _ in after.finished] == list(range(wanted))


def test_the_same_seed_gives_the_same_run(run):
    sampler, screened, run = run
    assert loose(sampler, screened).go_on(45).ids[:45] == run.ids[:45]
    if not screened:  # Where screened, seeds come first.
        wanted = 35 if sampler == DEFAULT else 15
        assert loose(sampler, screened, seed=1).go_on(wanted).ids != run.ids[:wanted]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_screened_search_starts_from_published_networks(sampler):
    run = loose(sampler).go_on(30)
    fitting = {s.arch_id: s for p in SPACE.published_points().values() if run.excess(s := SPACE.decode(p)) <= 0}
    assert fitting
    assert set(fitting) <= set(run.ids)
    assert run.ids[0] in fitting


TRUTHS = {"beliefs come true": evaluate, "beliefs are off": measured}
CUTS = [1, 22, 34, 69]


@pytest.fixture(scope="module", params=TRUTHS)
def undisturbed(request):
    truth = TRUTHS[request.param]
    return truth, Run(truth=truth, constraint=too_slow, seed=4).go_on(NUM_TRIALS)


@pytest.mark.parametrize("cut", CUTS)
def test_killed_anywhere_and_resumed_is_the_undisturbed_run(undisturbed, cut):
    truth, whole = undisturbed
    after = Run(truth=truth, constraint=too_slow, seed=4, finished=whole.finished[:cut]).go_on(NUM_TRIALS)
    assert after.ids == whole.ids
    assert [t.generation for t, _, _ in after.finished] == [t.generation for t, _, _ in whole.finished]
    for batch in after.batches:
        twin = next(b for b in whole.batches if b.number == batch.number)
        assert batch.screened == twin.screened
        assert {a.number for a in batch.asked} <= {a.number for a in twin.asked}


def test_killed_after_every_few_trials(undisturbed):
    truth, whole = undisturbed
    finished = []
    for stop in range(13, NUM_TRIALS + 13, 13):
        finished = Run(truth=truth, constraint=too_slow, seed=4, finished=finished).go_on(NUM_TRIALS, stop).finished
    assert [t.evaluation.arch_id for t, _, _ in finished] == whole.ids


def test_more_trials_later_are_those_of_a_longer_run(undisturbed):
    truth, whole = undisturbed
    short = Run(truth=truth, constraint=too_slow, seed=4).go_on(33)
    assert short.ids == whole.ids[:33]
    assert Run(truth=truth, constraint=too_slow, seed=4, finished=short.finished).go_on(NUM_TRIALS).ids == whole.ids


def test_nothing_that_is_known_beyond_doubt_is_tried():
    run = Run(constraint=too_slow).go_on(NUM_TRIALS)
    known = []
    for t, told, constraint in run.finished:
        if t.generation:
            assert constraint <= 0
            assert not dominated(losses(t.evaluation.spec), known)
        if told and constraint <= 0:
            known.append(losses(t.evaluation.spec))


def test_a_small_space_is_exhausted():
    space = reduced(keep=4)
    run = Run(space=space, limit=2 * LIMIT)
    with pytest.raises(SpaceExhaustedError):
        run.go_on(10_000)
    assert len(set(run.ids)) == len(run.ids)
    values = [losses(s) for s in all_specs(space)]
    front = {v for v in values if not dominated(v, [o for o in values if o != v])}
    failed = {losses(t.evaluation.spec) for t, told, _ in run.finished if told is None}
    assert front - failed <= {losses(t.evaluation.spec) for t, _, _ in run.finished}


def test_a_budget_that_no_network_keeps_is_exhausted_at_once():
    for screened in (True, False):
        with pytest.raises(SpaceExhaustedError):
            Run(space=reduced(keep=4), limit=1.0, screened=screened).go_on(10)


def test_a_sampler_that_goes_on_proposing_what_it_knows_is_led_out_by_chance():
    """TPE settles on few points of a small space, and learns nothing from being told that they are known."""
    space = load_space("tiny")
    study = SearchStudy(space, lambda _: -1.0, lambda specs: [None] * len(specs), "tpe", screened=False)
    seen = set()
    for _ in range(6):
        new = {a.number: a.proposal.spec.arch_id for a in study.ask(10).asked}
        assert new, "it gave up"
        assert not seen & set(new.values())
        seen |= set(new.values())
        for number in new:
            study.tell(number, (70.0, 2.0), -1.0)
