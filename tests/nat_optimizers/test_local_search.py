from __future__ import annotations

import numpy as np
import pytest

import nat_optimizers
from nat_core.archive import Archive
from nat_core.encoding import as_architectures
from nat_core.pareto import hypervolume, non_dominated, reference_point
from nat_optimizers.neighbours import moves, neighbours


def test_neighbours_are_all_rows_one_variable_away(toy):
    space = toy(2).space
    X = space.everything[[100]]
    near = {tuple(x) for x in neighbours(space, X).tolist()}
    listed = {a for a in as_architectures(space.everything) if sum(i != j for i, j in zip(a, X[0], strict=True)) <= 1}
    assert listed <= near
    assert near == set(as_architectures(space.canonicalize(np.array(sorted(near)))))
    assert len(neighbours(space, space.everything[:7])) == 7 * len(moves(space)[0])


@pytest.mark.parametrize("most", [np.inf, 8])
def test_the_whole_true_front_of_a_small_space_is_found(most, toy):
    problem = toy(2, most=most)
    X = problem.space.everything
    X = X[problem.cost_violation(X) == 0]
    front = set(as_architectures(X[non_dominated(problem.F(X))]))
    optimizer = nat_optimizers.local_search(problem.space, 60, 1000, 20)  # until all neighbours are known
    found = optimizer.propose(problem, Archive(problem.names), len(front), np.random.default_rng(0))
    assert set(as_architectures(found)) == front


def test_the_budget_is_kept_and_no_row_is_visited_twice(toy, begun):
    problem = toy(2, "large")
    archive = begun(problem)
    nat_optimizers.local_search(problem.space, 30, 130, 50).propose(problem, archive, 5, np.random.default_rng(0))
    steps = problem.asked[:4]  # the archive has 30 rows, so it is no larger than the width
    assert [len(X) for X in steps] == [30, 50, 50, 30]
    assert len(np.unique(np.concatenate(steps), axis=0)) == 160


@pytest.mark.parametrize("n_objectives", [2, 3])
def test_far_more_hypervolume_than_random_rows(n_objectives, toy, begun):
    problem = toy(n_objectives, "large")
    archive = begun(problem)
    reference = reference_point(archive.F)

    def volume(optimizer):
        return hypervolume(problem.F(optimizer.propose(problem, archive, 20, np.random.default_rng(3))), reference)

    random = volume(nat_optimizers.random(problem.space))
    assert volume(nat_optimizers.local_search(problem.space, 40, 1000)) > 1.5 * random


def test_it_asks_for_neighbours_of_the_front_before_any_other(toy, begun):
    problem = toy(2, "large")
    archive = begun(problem)
    X = nat_optimizers.local_search(problem.space).ask(problem, archive, 25, np.random.default_rng(0))
    assert set(as_architectures(X)) <= set(as_architectures(neighbours(problem.space, archive.front.X)))
