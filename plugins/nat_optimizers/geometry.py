"""AGE-MOEA: Panichella, "An Adaptive Evolutionary Algorithm based on Non-Euclidean Geometry […]", GECCO 2019."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Objectives, Values
from nat_core.pareto import ranks
from nat_optimizers.generations import Generations, Survivors
from nat_optimizers.mating import Mating

_POWERS = (0.1, 20.0)  # the geometries that an estimate is held to: far concave … far convex
_TINY = 1e-9


def agemoea(n_objectives: int, population: int, mating: Mating) -> Generations:  # noqa: ARG001  (as nsga3)
    """AGE-MOEA."""
    return Generations(by_score, population, mating)


def by_score(F: Objectives, n: int, rng: np.random.Generator) -> Survivors:  # noqa: ARG001  (a Survival)
    """Front after front; of the one that is cut, the rows with the highest scores."""
    rank = ranks(F)
    score = scores(F, rank)
    rows = np.lexsort((-score, rank))[:n]
    return Survivors(rows, keys=(rank[rows].astype(np.float64), -score[rows]))


def scores(F: Objectives, rank: NDArray[np.int64]) -> Values:
    """The higher, the better to keep, (n,): diversity over proximity on the first front, proximity alone elsewhere."""
    F = F - F[rank == 0].min(axis=0)
    first = F[rank == 0]
    corners = extremes(first)
    unit = _intercepts(first[corners])
    F, first = F / unit, first / unit
    power = geometry(np.delete(first, corners, axis=0) if len(first) > len(set(corners)) else first)
    proximity = np.maximum((np.abs(F) ** power).sum(axis=1) ** (1 / power), _TINY)
    score: Values = 1 / proximity
    score[rank == 0] = _spread(first, corners, power) / proximity[rank == 0]
    return score


def extremes(front: Objectives) -> NDArray[np.int64]:
    """The row closest to each axis, (n_objectives,); a row is taken twice only where there are too few."""
    taken: list[int] = []
    for axis in range(front.shape[1]):
        off_axis = np.linalg.norm(np.delete(front, axis, axis=1), axis=1)
        off_axis[taken if len(taken) < len(front) else []] = np.inf
        taken.append(int(off_axis.argmin()))
    return np.array(taken)


def geometry(front: Objectives) -> float:
    """The p of the unit sphere ‖f‖ₚ = 1 that goes through the row closest to the diagonal."""
    n_objectives = front.shape[1]
    off_diagonal = np.linalg.norm(front - front.mean(axis=1, keepdims=True), axis=1)
    mean = front[off_diagonal.argmin()].mean()
    if n_objectives == 1 or not 0 < mean < 1:
        return 1.0
    return float(np.clip(np.log(n_objectives) / -np.log(mean), *_POWERS))


def _intercepts(corners: Objectives) -> Values:
    """Where the plane through the corners cuts the axes; where it does not, their largest values."""
    largest = corners.max(axis=0)
    try:
        cuts = 1 / np.maximum(np.linalg.solve(corners, np.ones(len(corners))), _TINY)
    except np.linalg.LinAlgError:
        cuts = largest
    unit: Values = cuts if (cuts < 1 / _TINY).all() else largest
    return np.where(unit > _TINY, unit, 1.0)


def _spread(front: Objectives, corners: NDArray[np.int64], power: float) -> Values:
    """The distances to the two nearest rows taken before, (n,): the corners first, then always the loneliest row."""
    lonely = np.full(len(front), np.inf)
    nearest = np.full((len(front), 2), np.inf)
    left = np.ones(len(front), dtype=bool)
    for row in dict.fromkeys(corners.tolist()):
        _take(front, row, nearest, left, power)
    while left.any():
        distance = np.where(np.isfinite(nearest), nearest, 0.0).sum(axis=1)
        row = int(np.where(left, distance, -1.0).argmax())
        lonely[row] = distance[row]
        _take(front, row, nearest, left, power)
    return lonely


def _take(front: Objectives, row: int, nearest: Objectives, left: NDArray[np.bool_], power: float) -> None:
    """Row by row the two smallest distances to what is taken, now that `row` is."""
    distance = (np.abs(front - front[row]) ** power).sum(axis=1) ** (1 / power)
    nearest[:] = np.sort(np.column_stack([nearest, distance]), axis=1)[:, :2]
    left[row] = False
