from hypothesis import given
from hypothesis import strategies as st

from mvsearch.search.pareto import crowding, dominates, front, hypervolume, ranks, spread

points = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=40)


@given(points)
def test_front_holds_exactly_what_nothing_dominates(pairs):
    members = {pairs[i] for i in front(pairs)}
    assert members == {p for p in pairs if not any(dominates(q, p) for q in pairs)}


@given(points, st.randoms())
def test_front_ignores_order(pairs, rng):
    shuffled = pairs[:]
    rng.shuffle(shuffled)
    assert {pairs[i] for i in front(pairs)} == {shuffled[i] for i in front(shuffled)}


@given(points)
def test_ranks_peel_fronts(pairs):
    rank, left, level = ranks(pairs), set(range(len(pairs))), 0
    while left:
        best = {i for i in left if not any(dominates(pairs[j], pairs[i]) for j in left)}
        assert best == {i for i in left if rank[i] == level}
        left, level = left - best, level + 1


@given(points, st.tuples(st.integers(0, 20), st.integers(0, 20)))
def test_hypervolume_never_falls_when_a_point_is_added(pairs, more):
    reference = (-1.0, 21.0)
    assert hypervolume([*pairs, more], reference) >= hypervolume(pairs, reference)


def test_hypervolume_of_a_staircase():
    assert hypervolume([(1, 1), (2, 2), (1, 3)], (0, 3)) == 1 * 2 + 1 * 1


def test_ends_are_never_crowded():
    pairs = [(1, 1), (2, 2), (3, 3)]
    assert crowding(pairs, [0, 1, 2]) == {0: float("inf"), 2: float("inf"), 1: 2.0}


def test_spread_keeps_both_ends():
    assert spread(10, 3) == [0, 4, 9]
    assert spread(2, 5) == [0, 1]
