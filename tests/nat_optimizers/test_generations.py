"""Constraints before objectives, tournaments, and crowding: what algorithms with a population share."""

from __future__ import annotations

import numpy as np
import pytest

from nat_core.proposals import Visited
from nat_optimizers.crowding import by_crowding, crowding
from nat_optimizers.generations import Generations, up_to, winners
from nat_optimizers.mating import Mating, Seen


def rows(F, violation):
    return Visited(np.arange(len(F))[:, None], np.array(F, dtype=float), np.array(violation, dtype=float))


def begun(F, violation, size):
    mating = Mating(None, 0.9, 1.0, Seen([]), np.random.default_rng(0))
    population = Generations(by_crowding, size, mating)
    population.begin(rows(F, violation))
    return population


def test_feasible_rows_live_on_then_those_that_violate_least():
    F, violation = [[1, 1], [0, 0], [2, 2], [0, 0], [3, 3]], [0, 0.5, 0, 0.1, 0]
    assert begun(F, violation, 2).alive.X[:, 0].tolist() == [0, 2]
    assert begun(F, violation, 4).alive.X[:, 0].tolist() == [0, 2, 4, 3]
    assert begun(F, [1, 0.5, 2, 0.1, 3], 3).alive.X[:, 0].tolist() == [3, 1, 0]


def test_children_take_the_places_of_worse_rows():
    population = begun([[1, 1], [2, 2]], [0, 0], 2)
    population.tell(Visited(np.array([[7], [8]]), np.array([[0.0, 0.0], [3.0, 3.0]]), np.zeros(2)))
    assert population.alive.X[:, 0].tolist() == [7, 0]


def test_parents_are_all_the_better_of_two_and_all_rows_compete():
    population = begun([[i, i] for i in range(10)], [0] * 10, 10)
    pairs = population._parents(1000)
    assert pairs.shape == (1000, 2)
    wins = np.bincount(pairs.ravel(), minlength=10) / 2000
    np.testing.assert_allclose(wins, (9 - np.arange(10)) / 45, atol=0.03)  # row i is better than 9 - i of the others


def test_the_first_key_that_tells_two_rows_apart_decides_and_else_chance():
    rng = np.random.default_rng(0)
    keys = [np.array([0.0, 0, 0, 1]), np.array([1.0, 2, 1, 0])]
    rivals = np.array([[0, 1], [1, 0], [3, 0], [1, 3]])
    assert winners(rivals, keys, None, rng).tolist() == [0, 0, 0, 1]
    assert set(winners(np.array([[0, 2]] * 50), keys, None, rng)) == {0, 2}


def test_between_niches_violations_alone_decide():
    rng = np.random.default_rng(0)
    keys, niche = [np.array([0.0, 0, 0, 1]), np.array([1.0, 2, 1, 0])], np.array([5, 6, 5, 6])
    assert set(winners(np.array([[0, 1]] * 50), keys, niche, rng)) == {0, 1}
    assert set(winners(np.array([[0, 3], [3, 0]] * 50), keys, niche, rng)) == {0}
    assert set(winners(np.array([[0, 1], [1, 0]] * 50), keys, np.zeros(4, dtype=int), rng)) == {0}


def test_whole_fronts_and_the_one_that_is_cut():
    rank = np.array([1, 0, 2, 0, 2, 1])
    for n, whole, last in ((1, [], [1, 3]), (2, [], [1, 3]), (3, [1, 3], [0, 5]), (5, [1, 3, 0, 5], [2, 4])):
        assert [part.tolist() for part in up_to(rank, n)] == [whole, last]


@pytest.mark.parametrize("n_objectives", [2, 3, 5])
def test_crowding_is_that_of_pymoo(n_objectives):
    from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

    F = np.random.default_rng(0).random((30, n_objectives))
    F /= np.linalg.norm(F, axis=1, keepdims=True)
    np.testing.assert_allclose(crowding(F), calc_crowding_distance(F) * n_objectives)


def test_the_loneliest_of_the_front_that_is_cut_live_on():
    x = np.array([0.0, 0.1, 0.2, 0.6, 1.0])
    F = np.column_stack([x, 1 - x])
    survivors = by_crowding(np.vstack([F + 2, F]), 8, np.random.default_rng(0))
    assert set(survivors.rows) == {5, 6, 7, 8, 9, 0, 4, 3}
    assert crowding(np.ones((3, 2))).tolist() == [0, 0, 0]
