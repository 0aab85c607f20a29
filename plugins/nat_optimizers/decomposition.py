"""MOEA/D with constraints: Zhang and Li, "MOEA/D: A Multiobjective Evolutionary Algorithm […]", IEEE TEVC 11(6), 2007.

A generation asks for one child of every subproblem at once. Constraints are those of C-MOEA/D (Jain and Deb, IEEE TEVC
18(4), 2014): a child takes a neighbour's place if it violates less, or as little and is better in the neighbour's
direction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from nat_core.encoding import Encodings, Objectives, Values, as_encodings
from nat_core.proposals import Visited
from nat_optimizers.directions import reference_directions
from nat_optimizers.mating import ROUNDS, Mating

_NEIGHBOURS = 20  # subproblems that may mate and be replaced, itself among them, as in the paper
_NEAR = 0.9  # probability that parents are neighbours (Li and Zhang, 2009); else they are any
_PENALTY = 5.0  # of the distance from a direction (the paper's θ)


def moead(n_objectives: int, population: int, mating: Mating) -> Decomposition:
    """As many subproblems as there are reference directions for a population."""
    directions = reference_directions(n_objectives, population)
    return Decomposition(directions if n_objectives > 1 else np.ones((population, 1)), mating)


class Decomposition:
    """A row for each direction, in their order."""

    def __init__(self, directions: Objectives, mating: Mating) -> None:
        self.directions, self.mating, self.size = directions, mating, len(directions)
        self.neighbours = np.argsort(cdist(directions, directions), axis=1, kind="stable")[:, :_NEIGHBOURS]

    def begin(self, rows: Visited) -> None:
        """Each subproblem gets one of the first rows, so that all together fit best; feasible ones are taken first."""
        rows = rows[np.arange(max(len(rows), self.size)) % len(rows)]
        self.ideal = rows.F.min(axis=0)
        cost = value(rows.F[:, None] - self.ideal, self.directions)
        rank = np.unique(rows.violation, return_inverse=True)[1][:, None]  # a violation may be infinite
        infeasible = cost.max() * (1 + len(rows)) + rank
        row, direction = linear_sum_assignment(np.where(rows.violation[:, None] > 0, infeasible, cost))
        self.alive = rows[row[np.argsort(direction)]]

    def ask(self, n: int) -> Encodings:
        """New children, each of a subproblem; subproblems take turns in random order."""
        turns = np.resize(self.mating.rng.permutation(self.size), n)
        waiting, born, child_of = np.arange(n), as_encodings((), self.alive.X.shape[1]), list[int]()
        for _ in range(ROUNDS):
            if not len(waiting):
                break
            X = self._children(turns[waiting])
            new = self.mating.seen.admit(X, len(X))
            born = np.concatenate([born, X[new]])
            child_of.extend(turns[waiting[new]].tolist())
            waiting = np.delete(waiting, new)
        self.child_of = child_of
        return born

    def _children(self, subproblems: NDArray[np.int64]) -> Encodings:
        """The first child of two parents from each subproblem's neighbourhood."""
        rng, n = self.mating.rng, len(subproblems)
        near = np.take_along_axis(self.neighbours[subproblems], _two_of(self.neighbours.shape[1], n, rng), axis=1)
        first, second = np.where(rng.random((n, 1)) < _NEAR, near, _two_of(self.size, n, rng)).T
        return self.mating.children(self.alive.X[first], self.alive.X[second])[:n]

    def tell(self, children: Visited) -> None:
        """Every child takes the places of the neighbours that it is better than."""
        X, F, violation = self.alive.X, self.alive.F, self.alive.violation
        self.ideal = np.minimum(self.ideal, children.F.min(axis=0))
        for i, subproblem in enumerate(self.child_of):
            near = self.neighbours[subproblem]
            directions = self.directions[near]
            closer = value(children.F[i] - self.ideal, directions) < value(F[near] - self.ideal, directions)
            less = children.violation[i] < violation[near]
            won = near[np.where(children.violation[i] == violation[near], closer, less)]
            X[won], F[won], violation[won] = children.X[i], children.F[i], children.violation[i]


def value(F: Objectives, directions: Objectives) -> Values:
    """How good F, counted from the ideal point, is in each direction (the last axis holds objectives); 0 is ideal.

    Chebyshev's distance for two objectives; penalty-based boundary intersection, which spreads better, for more.
    """
    if directions.shape[-1] <= 2:
        chebyshev: Values = (F * directions).max(axis=-1)
        return chebyshev
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    along = (F * unit).sum(axis=-1, keepdims=True)
    intersection: Values = along[..., 0] + _PENALTY * np.linalg.norm(F - along * unit, axis=-1)
    return intersection


def _two_of(n: int, times: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Two different numbers under `n`, drawn so many times, (times, 2)."""
    first = rng.integers(n, size=times)
    return np.stack([first, (first + rng.integers(1, n, size=times)) % n], axis=1)
