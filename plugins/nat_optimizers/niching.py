"""NSGA-III: Deb and Jain, "An Evolutionary Many-Objective Optimization Algorithm […]", IEEE TEVC 18(4), 2014.

A survivor of the front that is cut is chosen so that every reference direction has rows close to it. The paper does not
say what becomes of the extreme points and of a hyperplane that makes no sense: here it is as Blank, Deb and Roy advise,
"Investigating the Normalization Procedure of NSGA-III", EMO 2019. U-NSGA-III differs in its tournament alone: Seada and
Deb, "A Unified Evolutionary Optimization Procedure […]", IEEE TEVC 20(3), 2016.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Objectives, Values
from nat_core.pareto import ranks
from nat_optimizers.directions import reference_directions
from nat_optimizers.generations import Generations, Rows, Survivors, up_to
from nat_optimizers.mating import Mating

# In units of the first rows' ranges.
_NOTHING = 1e-3  # a distance from the ideal point that an extreme point may have in the other objectives
_OFF_AXIS = 1e6  # the weight of the other objectives in the search for an extreme point
_TINY = 1e-6  # an intercept that makes no sense


def nsga3(n_objectives: int, population: int, mating: Mating) -> Generations:
    """NSGA-III: parents meet by chance, unless one breaks the constraints less."""
    return _by_directions(n_objectives, population, mating, niches_compete=False)


def unsga3(n_objectives: int, population: int, mating: Mating) -> Generations:
    """U-NSGA-III: of two parents of one niche the better front wins, then the row closer to the direction."""
    return _by_directions(n_objectives, population, mating, niches_compete=True)


def _by_directions(n_objectives: int, population: int, mating: Mating, *, niches_compete: bool) -> Generations:
    directions = reference_directions(n_objectives, population)
    survival = ReferenceDirections(directions, niches_compete=niches_compete)
    return Generations(survival, max(population, len(directions)), mating)


class ReferenceDirections:
    """The survival of NSGA-III (the paper's algorithm 1). Remembers ideal and extreme points of all generations."""

    def __init__(self, directions: Objectives, *, niches_compete: bool = False) -> None:
        self.directions = directions
        self.plane = Hyperplane(directions.shape[1])
        self.niches_compete = niches_compete

    def __call__(self, F: Objectives, n: int, rng: np.random.Generator) -> Survivors:
        """Whole fronts, and of the last one the rows whose niches are emptiest."""
        rank = ranks(F)
        whole, last = up_to(rank, n)
        self.plane.update(F, rank == 0)
        niche, distance = associate(self.plane.normalised(F), self.directions)
        count = np.bincount(niche[whole], minlength=len(self.directions))
        rows = np.concatenate([whole, last[niching(niche[last], distance[last], count, n - len(whole), rng)]])
        if not self.niches_compete:
            return Survivors(rows)
        return Survivors(rows, keys=(rank[rows].astype(np.float64), distance[rows]), niche=niche[rows])


class Hyperplane:
    """Where the front lies: its ideal point, and the intercepts of the plane through its extremes (algorithm 2)."""

    def __init__(self, n_objectives: int) -> None:
        self.ideal: Values = np.full(n_objectives, np.inf)
        self.worst: Values = np.full(n_objectives, -np.inf)  # of all rows so far
        self.extremes: Objectives = np.empty((0, n_objectives))
        self.nadir: Values = self.worst

    def update(self, F: Objectives, front: NDArray[np.bool_]) -> None:
        """With the rows of a generation, and which of them no other dominates."""
        self.ideal = np.minimum(self.ideal, F.min(axis=0))
        self.worst = np.maximum(self.worst, F.max(axis=0))
        self.extremes = extreme_points(np.concatenate([self.extremes, F[front]]), self.ideal)
        cuts = intercepts(self.extremes - self.ideal)
        nadir = F[front].max(axis=0) if cuts is None else np.minimum(self.ideal + cuts, self.worst)
        self.nadir = np.where(nadir - self.ideal > _TINY, nadir, F.max(axis=0))

    def normalised(self, F: Objectives) -> Objectives:
        """F with the ideal point at 0 and the intercepts at 1; an objective that is constant is 0."""
        span = self.nadir - self.ideal
        scaled: Objectives = (F - self.ideal) / np.where(span > 0, span, 1.0)
        return scaled


def extreme_points(F: Objectives, ideal: Values) -> Objectives:
    """For each axis the row that is closest to it, (n_objectives, n_objectives), by the achievement function."""
    distance = F - ideal
    distance[distance < _NOTHING] = 0.0
    weights = np.where(np.eye(len(ideal)) > 0, 1.0, _OFF_AXIS)
    achieved = (distance * weights[:, None]).max(axis=2)
    extremes: Objectives = F[achieved.argmin(axis=1)]
    return extremes


def intercepts(extremes: Objectives) -> Values | None:
    """Where the plane through the extreme points cuts the axes; none where there is no such plane."""
    ones = np.ones(len(extremes))
    try:
        plane = np.linalg.solve(extremes, ones)
    except np.linalg.LinAlgError:
        return None
    cuts: Values = 1 / np.where(plane == 0, np.inf, plane)
    makes_sense = np.allclose(extremes @ plane, ones) and bool((cuts > _TINY).all())
    return cuts if makes_sense else None


def associate(F: Objectives, directions: Objectives) -> tuple[Rows, Values]:
    """The direction that each row is closest to, (n,), and how far it is from it, (n,) (algorithm 3).

    For normalised F, which is nowhere below the ideal point at 0: the closest direction has the longest projection.
    """
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    along = F @ unit.T
    niche = along.argmax(axis=1)
    return niche, np.linalg.norm(F - along.max(axis=1, keepdims=True) * unit[niche], axis=1)


def niching(niche: Rows, distance: Values, count: Rows, n: int, rng: np.random.Generator) -> Rows:
    """`n` rows of the last front, where `count` survivors are in each niche already (algorithm 4).

    Again and again a niche with the fewest survivors takes a row: the closest if it has none yet, else any. So a row's
    turn comes when its niche has as many survivors as were there before, plus those of its own rows that are taken
    first: rows are taken in the order of their turns, by chance where these are equal.
    """
    chance, tie = rng.random((2, len(niche)))
    closest = np.lexsort((chance, distance, niche))
    closest = closest[np.unique(niche[closest], return_index=True)[1]]
    chance[closest[count[niche[closest]] == 0]] = -1.0
    order = np.lexsort((chance, niche))
    _, start, members = np.unique(niche[order], return_index=True, return_counts=True)
    turn = np.empty(len(niche), dtype=np.int64)
    turn[order] = np.arange(len(niche)) - np.repeat(start, members)
    return np.lexsort((tie, turn + count[niche]))[:n]
