"""SMS-EMOA: Beume, Naujoks and Emmerich, "SMS-EMOA: Multiobjective Selection […]", EJOR 181(3), 2007."""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Objectives
from nat_core.pareto import normalised, ranks
from nat_optimizers.generations import Generations, Rows, Survivors, up_to
from nat_optimizers.mating import Mating

_EXACT = (2, 3)  # objectives: exact contributions of 200 rows take 0.03 ms for three, 6 ms for four, 140 ms for five
_FAR = 11.0  # where the volume ends if it is exact, in units of the ranges: the outermost rows have the largest share
_SAMPLES = 4000  # points that stand for the volume where it is estimated
_REFERENCE = 1.1  # of the estimate, in units of the front's ranges


def sms_emoa(n_objectives: int, population: int, mating: Mating) -> Generations:  # noqa: ARG001  (as nsga3)
    """SMS-EMOA with a generation of offspring at a time; estimated contributions beyond three objectives."""
    return Generations(by_contribution, population, mating)


def by_contribution(F: Objectives, n: int, rng: np.random.Generator) -> Survivors:
    """Front after front; from the one that is cut, the row that is worth least goes, one at a time."""
    rank = ranks(F)
    whole, front = up_to(rank, n)
    left = n - len(whole)
    exact = F.shape[1] in _EXACT
    kept = largest(normalised(F[front], like=F), left) if exact else most_worth(F[front], left, rng)
    rows = np.concatenate([whole, front[kept]])
    return Survivors(rows, keys=(rank[rows].astype(np.float64),))


def largest(z: Objectives, n: int) -> Rows:
    """`n` rows of a normalised front: the one that contributes least to the hypervolume goes, again and again."""
    left = np.arange(len(z))
    while len(left) > n:
        left = np.delete(left, moocore.hv_contributions(z[left], ref=np.full(z.shape[1], _FAR)).argmin())
    return left


def most_worth(F: Objectives, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`n` rows of a front that keep most of its hypervolume, by the estimate of HypE.

    Bader and Zitzler, "HypE: An Algorithm for Fast Hypervolume-Based Many-Objective Optimization", Evolutionary
    Computation 19(1), 2011. Sampled points stand for the volume. One that i of the m rows dominate is lost only if the
    other i − 1 go too: with k rows still to go, each of the i is credited the chance of that, over i.
    The points are drawn from the boxes that the rows dominate, for with many objectives hardly any point of the whole
    box is dominated; one that lies in i boxes counts 1 / i (Karp and Luby, 1989).
    """
    z = normalised(F, like=F)
    volume = (_REFERENCE - z).prod(axis=1)
    box = z[rng.choice(len(z), _SAMPLES, p=volume / volume.sum())]
    points = box + rng.random(box.shape) * (_REFERENCE - box)
    dominates = np.ones((len(z), _SAMPLES), dtype=bool)
    for objective, point in zip(z.T, points.T, strict=True):
        dominates &= objective[:, None] <= point
    share, dominators = dominates.astype(np.float32), dominates.sum(axis=0)
    share /= dominators
    left = list(range(len(z)))
    for k in range(len(z) - n, 0, -1):
        worth = share[left] @ _credit(len(left), k)[dominators]
        gone = left.pop(int(worth.argmin()))
        dominators -= dominates[gone]
    return np.array(left, dtype=np.int64)


def _credit(m: int, k: int) -> NDArray[np.float32]:
    """What each of i dominators among m rows is credited for a point when k rows go, by i = 0 … m."""
    i = np.arange(1, m)
    chances = np.concatenate([[0.0, 1.0], np.cumprod(np.maximum(k - i, 0) / (m - i))])
    return (chances / np.maximum(np.arange(m + 1), 1)).astype(np.float32)
