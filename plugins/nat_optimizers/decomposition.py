"""MOEA/D with constraints: Zhang and Li, "MOEA/D: A Multiobjective Evolutionary Algorithm […]", IEEE TEVC 11(6), 2007.

pymoo's own refuses constraints, asks for one row at a time and looks at rows again; its parallel variant loses which
child belongs to which neighbourhood. So this is the algorithm once more, on pymoo's operators: a generation asks for
one child of every subproblem at once. Constraints are those of C-MOEA/D (Jain and Deb, IEEE TEVC 18(4), 2014): a child
takes a neighbour's place if it violates less, or as little and is better in the neighbour's direction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.core.population import Population
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from nat_core.encoding import Objectives, Values
from nat_optimizers.directions import reference_directions

_NEIGHBOURS = 20  # subproblems that may mate and be replaced, itself among them, as in the paper
_NEAR = 0.9  # probability that parents are neighbours (Li and Zhang, 2009); else they are any
_PENALTY = 5.0  # of the distance from a direction (the paper's θ)


def moead(n_objectives: int, population: int, common: dict[str, Any]) -> Any:
    """As many subproblems as there are reference directions for a population."""
    directions = reference_directions(n_objectives, population)
    return MOEAD(directions if n_objectives > 1 else np.ones((population, 1)), common)


class MOEAD(GeneticAlgorithm):  # type: ignore[misc]  # pymoo is not typed
    """A population of one row for each direction, in their order."""

    def __init__(self, directions: Objectives, common: dict[str, Any]) -> None:
        super().__init__(pop_size=len(directions), **common)
        self.directions = directions
        self.neighbours = np.argsort(cdist(directions, directions), axis=1, kind="stable")[:, :_NEIGHBOURS]

    def _initialize_advance(self, infills: Any = None, **_: Any) -> None:
        """Each subproblem gets one of the first rows, so that all together fit best; feasible ones are taken first."""
        rows = infills[np.arange(max(len(infills), self.pop_size)) % len(infills)]
        F, violation = rows.get("F"), rows.get("CV")[:, 0]
        self.ideal = F.min(axis=0)
        cost = value(F[:, None] - self.ideal, self.directions)
        cost = np.where(violation[:, None] > 0, cost.max() * (1 + len(rows)) + violation[:, None], cost)
        row, direction = linear_sum_assignment(cost)
        self.pop = rows[row[np.argsort(direction)]]

    def _infill(self) -> Any:
        """New children, each of a subproblem and with its number; subproblems take turns in random order."""
        subproblems = np.resize(self.random_state.permutation(self.pop_size), self.n_offsprings)
        waiting, born = np.arange(self.n_offsprings), Population()
        for _ in range(self.mating.n_max_iterations):
            children = self._children(subproblems[waiting])
            children.set("turn", waiting)
            new = self.eliminate_duplicates.do(children, self.pop, born)
            born = Population.merge(born, new)
            waiting = waiting[~np.isin(waiting, new.get("turn"))]
            if not len(waiting):
                break
        if not len(born):
            return None
        born.set("subproblem", subproblems[born.get("turn").astype(np.int64)])
        return born

    def _children(self, subproblems: NDArray[np.int64]) -> Any:
        """The first child of two parents from each subproblem's neighbourhood."""
        rng, operators, n = self.random_state, self.mating, len(subproblems)
        near = np.take_along_axis(self.neighbours[subproblems], _two_of(self.neighbours.shape[1], n, rng), axis=1)
        parents = np.where(rng.random((n, 1)) < _NEAR, near, _two_of(self.pop_size, n, rng))
        crossed = operators.crossover(self.problem, self.pop, parents=parents, random_state=rng)[:n]
        return self.repair(self.problem, operators.mutation(self.problem, crossed, random_state=rng))

    def _advance(self, infills: Any = None, **_: Any) -> None:
        """Every child takes the places of the neighbours that it is better than."""
        if infills is None:
            return
        F, violation = self.pop.get("F"), self.pop.get("CV")[:, 0]
        self.ideal = np.minimum(self.ideal, infills.get("F").min(axis=0))
        for child in infills:
            near = self.neighbours[child.get("subproblem")]
            directions = self.directions[near]
            closer = value(child.F - self.ideal, directions) < value(F[near] - self.ideal, directions)
            won = near[np.where(child.CV[0] == violation[near], closer, child.CV[0] < violation[near])]
            self.pop[won], F[won], violation[won] = child, child.F, child.CV[0]


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
