"""Binary tournaments: who of two rows becomes a parent.

pymoo's own compare pair by pair in Python, and some take a fresh seed for a tie, so that no run could be repeated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Values

Pairs = NDArray[np.int64]  # (n, 2), rows of a population


def by_violation(population: Any, pairs: Pairs, random_state: np.random.Generator, **_: Any) -> Pairs:
    """NSGA-III: the smaller violation wins, else chance."""
    return _winners(pairs, [_of(population, "CV")[pairs]], random_state)


def by_niche(population: Any, pairs: Pairs, random_state: np.random.Generator, **_: Any) -> Pairs:
    """U-NSGA-III: as NSGA-III; of one niche the better front wins, then the row closer to the niche's direction."""
    niche = _of(population, "niche")[pairs]
    alike = niche[:, :1] == niche[:, 1:]
    within = [np.where(alike, _of(population, key)[pairs], 0.0) for key in ("rank", "dist_to_niche")]
    return _winners(pairs, [_of(population, "CV")[pairs], *within], random_state)


def by_rank(population: Any, pairs: Pairs, random_state: np.random.Generator, **_: Any) -> Pairs:
    """SMS-EMOA: the smaller violation wins, then the better front."""
    return _winners(pairs, [_of(population, key)[pairs] for key in ("CV", "rank")], random_state)


def by_crowding(population: Any, pairs: Pairs, random_state: np.random.Generator, **_: Any) -> Pairs:
    """NSGA-II and AGE-MOEA: the smaller violation wins, then the better front, then the lonelier row."""
    violation, rank, crowding = (_of(population, key)[pairs] for key in ("CV", "rank", "crowding"))
    return _winners(pairs, [violation, rank, -crowding], random_state)


def _of(population: Any, key: str) -> Values:
    """What the survival said of every row, (n,); of infeasible ones it says nothing."""
    values: Values = np.nan_to_num(population.get(key).astype(np.float64).reshape(len(population)))
    return values


def _winners(pairs: Pairs, keys: list[Values], random_state: np.random.Generator) -> Pairs:
    """The winner of every pair, (n, 1): the smaller value of the first key (n, 2) that tells the two apart."""
    first_wins = random_state.random(len(pairs)) < 0.5
    for key in reversed(keys):
        first_wins = np.where(key[:, 0] == key[:, 1], first_wins, key[:, 0] < key[:, 1])
    winners: Pairs = np.where(first_wins, pairs[:, 0], pairs[:, 1])
    return winners[:, None]
