"""The sampler in somebody else's Optuna study: any objectives, any way of asking, any storage."""

import math
import random
import threading
import time
import warnings

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from mvsearch.errors import SpecError
from mvsearch.search.belief import Belief
from mvsearch.search.study import FrontSampler, SpaceExhaustedError, distributions
from mvsearch.spec.space_file import load_space
from tests.search.landscape import all_specs, dominated, exactly, losses, reduced, three_losses

SPACE = load_space("mobilevit")
DISTRIBUTIONS = distributions(SPACE)
LIMIT = losses(SPACE.decode(SPACE.published_points()["mobilevit_xs"]))[1]


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def excess(spec):
    return math.log(losses(spec)[1] / LIMIT)


def suggested(trial, space=SPACE):
    """As a user writes it: each parameter by the distribution that it has."""
    point = {}
    for name, d in distributions(space).items():
        if isinstance(d, IntDistribution):
            point[name] = trial.suggest_int(name, d.low, d.high, step=d.step)
        else:
            point[name] = trial.suggest_categorical(name, d.choices)
    return space.decode(point)


def study_of(sampler, directions=("minimize", "minimize"), **options):
    return optuna.create_study(directions=directions, sampler=sampler, **options)


def network(trial, space=SPACE):
    return space.decode(trial.params)


def networks(study, space=SPACE):
    return [network(t, space).arch_id for t in study.trials if len(t.params) == len(distributions(space))]


def objective(trial):
    return losses(suggested(trial))


def test_distributions_hold_the_choices_and_nothing_else():
    for d in SPACE.dimensions:
        found = DISTRIBUTIONS[d.name]
        if isinstance(found, IntDistribution):
            assert tuple(range(found.low, found.high + 1, found.step)) == d.choices
        else:
            assert found.choices == d.choices
    assert sum(isinstance(d, IntDistribution) for d in DISTRIBUTIONS.values()) > 5


PRIORS = {"none": None, "exact": exactly(losses), "wrong": exactly(lambda s: [-x for x in losses(s)])}


@pytest.mark.parametrize("prior", PRIORS)
def test_optimize(prior):
    study = study_of(FrontSampler(SPACE, excess=excess, prior=PRIORS[prior]))
    study.optimize(objective, n_trials=70)
    assert len(study.trials) == len(set(networks(study))) == 70
    assert all(excess(network(t)) <= 0 for t in study.trials)
    published = [losses(SPACE.decode(p)) for p in SPACE.published_points().values() if excess(SPACE.decode(p)) <= 0]
    assert published
    ours = [t.values for t in study.best_trials]
    assert all(dominated(v, ours) for v in published)
    assert sum(tuple(v) not in published for v in ours) > 10


def test_the_same_seed_gives_the_same_study():
    def points(seed):
        study = study_of(FrontSampler(SPACE, excess=excess, seed=seed, size=15))
        study.optimize(objective, n_trials=32)
        return [t.params for t in study.trials]

    assert points(1) == points(1) != points(2)


def test_three_objectives():
    study = study_of(FrontSampler(SPACE, excess=excess, prior=exactly(three_losses)), ["minimize"] * 3)
    study.optimize(lambda t: three_losses(suggested(t)), n_trials=50)
    assert len(set(networks(study))) == 50
    assert len(study.best_trials) > 20


def test_one_objective():
    study = study_of(FrontSampler(SPACE, excess=excess, size=5), ["maximize"])
    study.optimize(lambda t: -losses(suggested(t))[0], n_trials=30)
    first, best = max(t.value for t in study.trials[:5]), study.best_value
    assert best > first
    assert len(set(networks(study))) == 30


@pytest.mark.parametrize("with_prior", [False, True])
def test_directions_are_the_study_s(with_prior):
    """Maximising the negative proposes what minimising does."""

    def points(signs):
        def told(spec):
            return tuple(s * x for s, x in zip(signs, losses(spec), strict=True))

        directions = ["minimize" if s > 0 else "maximize" for s in signs]
        study = study_of(FrontSampler(SPACE, excess=excess, prior=exactly(told) if with_prior else None, size=15), directions)
        study.optimize(lambda t: told(suggested(t)), n_trials=32)
        return [t.params for t in study.trials]

    assert points((1, 1)) == points((-1, 1))


def test_several_workers():
    study = study_of(FrontSampler(SPACE, excess=excess, size=10))

    def slow(trial):
        time.sleep(0.002 * (trial.number % 5))  # Before it asks for its parameters.
        return losses(suggested(trial))

    study.optimize(slow, n_trials=40, n_jobs=2)
    assert len(study.trials) == len(set(networks(study))) == 40
    assert all(t.state == TrialState.COMPLETE and excess(network(t)) <= 0 for t in study.trials)


def test_two_studies_on_one_storage_share_the_work():
    """As two processes do: each has a sampler of its own."""
    storage = InMemoryStorage()
    options = {"storage": storage, "study_name": "shared", "load_if_exists": True}
    studies = [study_of(FrontSampler(SPACE, excess=excess, size=8), **options) for _ in range(2)]
    for number in range(26):
        step(studies[number % 2 if number < 18 else 0])
    assert len(set(networks(studies[0]))) == 26


@pytest.mark.parametrize("when", [0, 7])
def test_enqueued_trials(when):
    """They take nothing away from what is proposed, and are not proposed again."""
    usual = study_of(FrontSampler(SPACE, excess=excess))
    usual.optimize(objective, n_trials=10)
    study = study_of(FrontSampler(SPACE, excess=excess))
    study.optimize(objective, n_trials=when) if when else None
    mine = SPACE.random_point(random.Random(0))
    study.enqueue_trial(mine)
    study.enqueue_trial(usual.trials[8].params)
    study.optimize(objective, n_trials=11 - when)
    assert study.trials[when].params == mine
    found = networks(study)
    assert len(set(found)) == 11
    assert set(networks(usual)) | {found[when]} == set(found)


def test_a_partly_enqueued_trial_is_completed():
    study = study_of(FrontSampler(SPACE, excess=excess))
    study.enqueue_trial({"stem.channels": 16})
    study.optimize(objective, n_trials=3)
    assert study.trials[0].params["stem.channels"] == 16
    assert len(study.trials[0].params) == len(SPACE.dimensions)


def test_failed_and_pruned_trials_are_passed_over():
    study = study_of(FrontSampler(SPACE, excess=excess, prior=exactly(lambda s: losses(s)[:1]), size=10), ["minimize"])

    def moody(trial):
        spec = suggested(trial)
        if trial.number % 4 == 1:
            raise RuntimeError
        if trial.number % 4 == 2:
            raise optuna.TrialPruned
        return losses(spec)[0]

    study.optimize(moody, n_trials=24, catch=RuntimeError)
    states = [t.state for t in study.trials]
    assert {TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED} == set(states)
    assert len(set(networks(study))) == len(study.trials)


def test_values_that_are_no_number_or_without_bound():
    """Optuna takes an infinite value for a result: nothing can be learned from it."""
    study = study_of(FrontSampler(SPACE, excess=excess, size=10))

    def broken(trial):
        values = losses(suggested(trial))
        return (math.inf, values[1]) if trial.number % 5 == 1 else (values[0], math.nan if trial.number % 5 == 2 else values[1])

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        study.optimize(broken, n_trials=40)
    assert len(set(networks(study))) == 40
    assert sum(math.isinf(t.values[0]) for t in study.trials if t.state == TrialState.COMPLETE) == 8


@pytest.mark.parametrize("prior", [None, exactly(losses, lambda s: losses(s)[1] - 0.7 * LIMIT)])
def test_constraints_of_the_study_are_kept(prior):
    study = study_of(FrontSampler(SPACE, prior=prior))

    def constrained(trial):
        spec = suggested(trial)
        trial.set_constraint("cost", losses(spec)[1] - 0.7 * LIMIT)
        return losses(spec)

    study.optimize(constrained, n_trials=90)
    kept = [t for t in study.trials if losses(network(t))[1] <= 0.7 * LIMIT]
    late = [t for t in kept if t.number >= 50]
    assert len(late) > (39 if prior else 24)


def test_a_parameter_that_is_not_of_the_space():
    study = study_of(FrontSampler(SPACE, excess=excess, seed=1))

    def wider(trial):
        rate = trial.suggest_float("rate", 0.1, 1)
        return losses(suggested(trial))[0] * rate, rate

    study.optimize(wider, n_trials=40)
    assert len({t.params["rate"] for t in study.trials}) == 40
    points = [{k: v for k, v in t.params.items() if k in DISTRIBUTIONS} for t in study.trials]
    assert len({SPACE.decode(p).arch_id for p in points}) == 40


@pytest.mark.parametrize("point", [{"stem.channels": 17}, {"stage3.block": "v9"}, {"colour": 3}])
def test_an_enqueued_value_that_is_not_of_the_space_ends_nothing(point):
    study = study_of(FrontSampler(SPACE, excess=excess, size=4))
    study.enqueue_trial(point)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's own, of a value out of its range.
        study.optimize(objective, n_trials=1, catch=(SpecError, ValueError))
    study.optimize(objective, n_trials=10)
    assert sum(t.state == TrialState.COMPLETE for t in study.trials) >= 10


SIZE = 8


def step(study, evaluate=losses):
    trial = study.ask(DISTRIBUTIONS)
    study.tell(trial, evaluate(network(trial)))


def off(spec):
    """Beliefs that are biased and never come true."""
    error, cost = losses(spec)
    return 1.1 * error, cost + 0.001 * spec.stages[2].channels


def seeded(size=SIZE):
    return FrontSampler(SPACE, excess=excess, prior=exactly(off), seed=5, size=size)


@pytest.mark.parametrize("kind", ["journal", pytest.param("sqlite", marks=pytest.mark.full)])
def test_a_study_that_is_loaded_goes_on_as_if_nothing_had_been(kind, tmp_path):
    """From files; every parameter is a write of its own, which takes its time."""

    def storage():
        if kind == "journal":
            return JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))
        return RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")

    undisturbed = study_of(seeded(size=3))
    study = study_of(seeded(size=3), storage=storage(), study_name="mine")
    for _ in range(4):
        step(study)
    again = optuna.load_study(study_name="mine", storage=storage(), sampler=seeded(size=3))
    for _ in range(3):
        step(again)
    for _ in range(7):
        step(undisturbed)
    assert [t.params for t in again.trials] == [t.params for t in undisturbed.trials]


@pytest.mark.parametrize("cut", [1, 4, 11, 17])
def test_cut_anywhere_with_failures_and_enqueued_trials(cut):
    """Loaded again after each of its trials, a study is the one that was never loaded."""

    def go_on(study, upto):
        while (number := len([t for t in study.trials if t.state.is_finished()])) < upto:
            if number in (3, 11):
                study.enqueue_trial(SPACE.random_point(random.Random(number)), skip_if_exists=True)
            trial = study.ask(DISTRIBUTIONS)
            if number % 7 == 2:
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, losses(network(trial)))

    def sampler():
        return FrontSampler(SPACE, excess=excess, seed=2, size=SIZE)

    whole = study_of(sampler())
    go_on(whole, 21)
    cut_off = study_of(sampler())
    go_on(cut_off, cut)
    loaded = study_of(sampler())
    loaded.add_trials(cut_off.trials)
    go_on(loaded, 21)
    assert [t.params for t in loaded.trials] == [t.params for t in whole.trials]


def test_a_trial_that_was_running_when_the_process_was_killed_is_not_repeated():
    storage = InMemoryStorage()
    study = study_of(seeded(), storage=storage, study_name="mine")
    for _ in range(4):
        step(study)
    study.ask(DISTRIBUTIONS)
    again = optuna.load_study(study_name="mine", storage=storage, sampler=seeded())
    for _ in range(20):
        step(again)
    assert len(set(networks(again))) == 25


def test_trials_of_another_sampler_are_learned_from_and_not_repeated():
    study = study_of(optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=30)
    study.sampler = FrontSampler(SPACE, excess=excess)
    study.optimize(objective, n_trials=60)
    assert len(set(networks(study))) == 90
    assert all(excess(network(t)) <= 0 for t in study.trials[30:])


SMALL = reduced(keep=5)


def front_of_small():
    values = [losses(s) for s in all_specs(SMALL)]
    return {v for v in values if not dominated(v, [o for o in values if o != v])}


def test_optimize_stops_when_the_space_is_exhausted():
    study = study_of(FrontSampler(SMALL, prior=exactly(losses)))
    study.optimize(lambda t: losses(suggested(t, SMALL)), n_trials=1000)
    assert len(study.trials) <= len(all_specs(SMALL)) + 1
    assert {tuple(t.values) for t in study.best_trials} == front_of_small()


def test_several_workers_stop_as_well():
    study = study_of(FrontSampler(SMALL))
    study.optimize(lambda t: losses(suggested(t, SMALL)), n_trials=1000, n_jobs=2)
    assert {tuple(t.values) for t in study.best_trials} == front_of_small()
    assert len(study.trials) <= len(all_specs(SMALL)) + 2


def test_ask_says_that_the_space_is_exhausted():
    study = study_of(FrontSampler(SMALL))
    with pytest.raises(SpaceExhaustedError):
        for _ in range(200):
            trial = study.ask()
            study.tell(trial, losses(suggested(trial, SMALL)))
    found = networks(study, SMALL)
    assert len(set(found)) == len(found)
    assert {tuple(t.values) for t in study.best_trials} == front_of_small()


def test_a_belief_that_cannot_be_had_is_none():
    def prior(specs):
        return [None if s.stages[2].channels % 16 else Belief(losses(s)) for s in specs]

    study = study_of(FrontSampler(SPACE, excess=excess, prior=prior))
    study.optimize(objective, n_trials=30)
    assert all(network(t).stages[2].channels % 16 == 0 for t in study.trials)


def test_proposals_do_not_wait_for_the_trials_of_others():
    """Asked for more than a generation before any is told, it proposes others."""
    study = study_of(FrontSampler(SPACE, excess=excess, size=6))
    asked = [study.ask(DISTRIBUTIONS) for _ in range(20)]
    assert len({network(t).arch_id for t in asked}) == 20
    threads = [threading.Thread(target=study.tell, args=(t, losses(network(t)))) for t in asked]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    step(study)
    assert len(set(networks(study))) == 21
