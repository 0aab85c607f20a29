"""SMS-EMOA: Beume, Naujoks and Emmerich, "SMS-EMOA: Multiobjective Selection […]", EJOR 181(3), 2007."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.sms import SMSEMOA, LeastHypervolumeContributionSurvival
from pymoo.core.survival import Survival
from pymoo.operators.selection.tournament import TournamentSelection

from nat_core.encoding import Objectives
from nat_core.pareto import normalised, ranks
from nat_optimizers.tournaments import by_rank

_EXACT = (2, 3)  # objectives: exact contributions of 200 rows take 0.03 ms for three, 6 ms for four, 140 ms for five
_SAMPLES = 4000  # points that stand for the volume where it is estimated
_REFERENCE = 1.1  # of the estimate, in units of the front's ranges


def sms_emoa(n_objectives: int, population: int, common: dict[str, Any]) -> Any:
    """SMS-EMOA with a generation of offspring at a time; estimated contributions beyond three objectives."""
    exact = n_objectives in _EXACT
    survival = LeastHypervolumeContributionSurvival() if exact else EstimatedContribution()
    return SMSEMOA(population, selection=TournamentSelection(func_comp=by_rank), survival=survival, **common)


class EstimatedContribution(Survival):  # type: ignore[misc]  # pymoo is not typed
    """Front after front; from the one that is cut, the row that is worth least goes, one at a time."""

    def _do(self, _problem: Any, population: Any, *_: Any, n_survive: int, random_state: Any, **__: Any) -> Any:
        F = population.get("F")
        rank = ranks(F)
        population.set("rank", rank)
        cut = np.sort(rank)[n_survive - 1]
        whole, front = np.flatnonzero(rank < cut), np.flatnonzero(rank == cut)
        kept = most_worth(F[front], n_survive - len(whole), random_state)
        return population[np.concatenate([whole, front[kept]])]


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
