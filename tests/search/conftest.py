"""What the tests of measured fronts share."""

import random

import pytest

from mvsearch.search.estimate import estimate
from mvsearch.search.goals import Goals
from mvsearch.search.store import Store
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.record import Trial
from mvsearch.spec.space_file import load_space
from tests.search.fake_phone import FakePhone

SPACE = load_space("mobilevit")
GOALS = Goals(parse_budgets(["9M-params"]), 0.8, 256)


@pytest.fixture(scope="session")
def trials():
    rng, found, phone = random.Random(1), [], FakePhone()
    while len(found) < 300:
        point = SPACE.random_point(rng)
        spec = SPACE.decode(point)
        if GOALS.excess(spec) <= 0:
            found.append(Trial(len(found), point, estimate(spec, 256, phone), True, "random"))
    return found


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "t.sqlite", SPACE, 256)
