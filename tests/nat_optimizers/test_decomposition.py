from __future__ import annotations

import numpy as np
import pytest

import nat_optimizers
from nat_core.archive import Archive
from nat_core.proposals import Visited
from nat_optimizers.decomposition import Decomposition, _two_of, value
from nat_optimizers.directions import reference_directions


@pytest.mark.parametrize("n_objectives", [2, 3, 5, 12])
def test_the_ideal_is_best_and_the_worse_of_two_is_worse_in_every_direction(n_objectives):
    directions = reference_directions(n_objectives, 50)
    rng = np.random.default_rng(0)
    F = rng.random((30, 1, n_objectives))
    assert (value(np.zeros((1, n_objectives)), directions) == 0).all()
    if n_objectives == 2:  # weak dominance holds for Chebyshev's distance alone: the other has a penalty
        assert (value(F, directions) <= value(F + rng.random(F.shape), directions)).all()
    assert (value(F * 2, directions) > value(F, directions)).all()


def test_a_point_in_a_direction_is_worth_most_to_it():
    directions = reference_directions(4, 60)
    inside = directions[(directions > 0).all(axis=1)]
    assert (value(inside[:, None], inside).argmin(axis=1) == np.arange(len(inside))).all()


def test_two_of_are_two_different_numbers_and_all_pairs_occur():
    pairs = _two_of(4, 500, np.random.default_rng(0))
    assert {tuple(p) for p in pairs.tolist()} == {(i, j) for i in range(4) for j in range(4) if i != j}


def rows(F, violation):
    return Visited(np.arange(len(F))[:, None], np.array(F, dtype=float), np.array(violation, dtype=float))


def algorithm_with(F, violation):
    algorithm = Decomposition(reference_directions(2, len(F)), mating=None)
    algorithm.alive = rows(F, violation)
    algorithm.ideal = np.zeros(2)
    return algorithm


@pytest.mark.parametrize(
    ("F", "violation", "replaced"),
    [
        ([0.1, 0.1], 0.0, [0, 1, 2]),  # better in every direction, and feasible
        ([0.1, 0.9], 0.0, [0, 2]),  # better in the first direction alone; the last row is not feasible
        ([9.0, 9.0], 0.0, [2]),  # worse in every direction
        ([0.1, 0.1], 0.5, [2]),  # not feasible, but less so
        ([0.1, 0.1], 2.0, []),  # less feasible than any, however good
    ],
)
def test_constraints_come_before_directions(F, violation, replaced):
    algorithm = algorithm_with([[0.0, 1.0], [0.5, 0.5], [0.0, 0.0]], [0.0, 0.0, 1.0])
    assert algorithm.directions.tolist() == [[0, 1], [0.5, 0.5], [1, 0]]
    algorithm.child_of = [0]
    algorithm.tell(Visited(np.array([[99]]), np.array([F]), np.array([violation])))
    assert np.flatnonzero(algorithm.alive.X[:, 0] == 99).tolist() == replaced


def test_the_first_rows_are_shared_out_and_infeasible_ones_only_where_feasible_ones_run_out():
    algorithm = algorithm_with([[0.0, 1.0]] * 3, [0.0] * 3)
    F = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 0.0], [0.9, 0.9]]
    algorithm.begin(rows(F, [0, 0, 0, 1, 0]))
    directions = reference_directions(2, 3)
    best = [F[int(value(np.array(F[:3]), d).argmin())] for d in directions]
    assert algorithm.alive.F.tolist() == best
    algorithm.begin(rows(F[2:4], [0, 1]))  # two rows for three directions
    assert sorted(algorithm.alive.violation) == [0, 0, 1]


def test_children_bear_the_number_of_the_neighbourhood_that_their_parents_are_of(toy, monkeypatch):
    """Parents from the neighbourhood alone, no mutation and no crossover: a child is one of its neighbours."""
    from nat_optimizers import decomposition

    problem = toy(2, "large")
    met = []
    original = decomposition.Decomposition._children

    def children(self, subproblems):
        made = original(self, subproblems)
        near = [{tuple(x) for x in self.alive.X[self.neighbours[s]].tolist()} for s in subproblems]
        met.extend(tuple(x) in n for x, n in zip(made.tolist(), near, strict=True))
        return made

    monkeypatch.setattr(decomposition.Decomposition, "_children", children)
    monkeypatch.setattr(decomposition, "_NEAR", 1.0)
    optimizer = nat_optimizers.moead(problem.space, 60, 3, crossover=0.0, mutation_eta=1e9)
    optimizer.propose(problem, Archive(problem.names), 5, np.random.default_rng(0))
    assert len(met) > 60
    assert np.mean(met) > 0.95  # a huge eta moves hardly any variable
