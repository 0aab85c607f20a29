"""NSGA-II: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEVC 6(2), 2002."""

from __future__ import annotations

import numpy as np

from nat_core.encoding import Objectives, Values
from nat_core.pareto import ranks
from nat_optimizers.generations import Generations, Survivors
from nat_optimizers.mating import Mating


def nsga2(n_objectives: int, population: int, mating: Mating) -> Generations:  # noqa: ARG001  (as nsga3)
    """NSGA-II."""
    return Generations(by_crowding, population, mating)


def by_crowding(F: Objectives, n: int, rng: np.random.Generator) -> Survivors:
    """Front after front; of the one that is cut, the loneliest rows."""
    rank, lonely = ranks(F), np.empty(len(F))
    for front in range(rank.max() + 1):
        lonely[rank == front] = crowding(F[rank == front])
    rows = np.lexsort((rng.random(len(F)), -lonely, rank))[:n]
    return Survivors(rows, keys=(rank[rows].astype(np.float64), -lonely[rows]))


def crowding(F: Objectives) -> Values:
    """The crowding distance of the rows of a front, (n,): infinite for the best and worst in any objective.

    The sum over objectives of the distance between a row's two neighbours, in units of the front's range.
    """
    span = np.ptp(F, axis=0)
    F = F[:, span > 0] / span[span > 0]  # a constant objective tells no row from another
    order = np.argsort(F, axis=0, kind="stable")
    ordered = np.take_along_axis(F, order, axis=0)
    gaps = np.full(F.shape, np.inf)
    gaps[1:-1] = ordered[2:] - ordered[:-2]
    distance = np.empty(F.shape)
    np.put_along_axis(distance, order, gaps, axis=0)
    return np.asarray(distance.sum(axis=1))
