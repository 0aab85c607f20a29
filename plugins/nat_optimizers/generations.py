"""Algorithms that keep a population: who lives on, and whose children come next.

What one of them does differently is its survival, a function of the objectives alone. Constraints come first, in the
same way for all: a feasible row is better than one that is not, and of two that are not, the one with the smaller
violation (Deb, "An Efficient Constraint Handling Method for Genetic Algorithms", CMAME 186, 2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Encodings, Objectives, Values, as_encodings
from nat_core.proposals import Visited
from nat_optimizers.mating import ROUNDS, Mating

Rows = NDArray[np.int64]  # (k,) indices
Pairs = NDArray[np.int64]  # (k, 2) indices


@dataclass(frozen=True)
class Survivors:
    """The rows that live on, and what decides a tournament between two of them."""

    rows: Rows
    keys: tuple[Values, ...] = ()  # each (k,): the smaller value wins, by the first key that tells two rows apart
    niche: Rows | None = None  # (k,): keys count between rows of one niche only, where there are niches


class Survival(Protocol):
    """Chooses among feasible rows. It may remember where the front was before."""

    def __call__(self, F: Objectives, n: int, rng: np.random.Generator) -> Survivors:
        """`n` of the rows F; all of them, where they are no more."""


class Generations:
    """A population and its children, from which a survival chooses the next population."""

    def __init__(self, survival: Survival, size: int, mating: Mating) -> None:
        self.survival, self.size, self.mating = survival, size, mating

    def begin(self, rows: Visited) -> None:
        """The first population: the best of some rows."""
        feasible, infeasible = np.flatnonzero(rows.violation <= 0), np.flatnonzero(rows.violation > 0)
        keys, niche, chosen = list[Values](), None, feasible
        if len(feasible):
            best = self.survival(rows.F[feasible], min(self.size, len(feasible)), self.mating.rng)
            keys, niche, chosen = list(best.keys), best.niche, feasible[best.rows]
        least = infeasible[np.argsort(rows.violation[infeasible], kind="stable")][: self.size - len(chosen)]
        self.alive = rows[np.concatenate([chosen, least])]
        # Of infeasible rows the survival says nothing: their violations alone decide.
        self._keys = [self.alive.violation, *(np.pad(key, (0, len(least))) for key in keys)]
        self._niche = None if niche is None else np.pad(niche, (0, len(least)), constant_values=-1)

    def ask(self, n: int) -> Encodings:
        """`n` new children, two of each pair of parents; fewer where mating finds nothing new."""
        born = as_encodings((), self.alive.X.shape[1])
        for _ in range(ROUNDS):
            missing = n - len(born)
            if not missing:
                break
            first, second = self._parents(-(-missing // 2)).T
            X = self.mating.children(self.alive.X[first], self.alive.X[second])
            born = np.concatenate([born, X[self.mating.seen.admit(X, missing)]])
        return born

    def tell(self, children: Visited) -> None:
        """The next population, of this one and its children."""
        self.begin(joined([self.alive, children]))

    def _parents(self, n: int) -> Pairs:
        """`n` pairs, each parent the winner of a binary tournament. All rows meet as often, or nearly."""
        rng = self.mating.rng
        turns = [rng.permutation(len(self.alive)) for _ in range(-(-4 * n // len(self.alive)))]
        rivals = np.concatenate(turns)[: 4 * n].reshape(2 * n, 2)
        return winners(rivals, self._keys, self._niche, rng).reshape(n, 2)


def winners(rivals: Pairs, keys: Sequence[Values], niche: Rows | None, rng: np.random.Generator) -> Rows:
    """Of each two rivals the better one, (k,). The first key always counts, the others within a niche; then chance."""
    first_wins = rng.random(len(rivals)) < 0.5
    comparable = True if niche is None else niche[rivals[:, 0]] == niche[rivals[:, 1]]
    for i, key in reversed(list(enumerate(keys))):
        one, other = key[rivals].T
        decided = (one != other) & (comparable if i else True)
        first_wins = np.where(decided, one < other, first_wins)
    return np.where(first_wins, rivals[:, 0], rivals[:, 1])


def up_to(rank: NDArray[np.int64], n: int) -> tuple[Rows, Rows]:
    """The rows of the fronts that fit into `n` survivors as a whole, best first, and those of the front that does not.

    The last front is never empty: where all fit, it is the last of them.
    """
    last = np.sort(rank)[n - 1]
    whole = np.flatnonzero(rank < last)
    return whole[np.argsort(rank[whole], kind="stable")], np.flatnonzero(rank == last)


def joined(visits: Sequence[Visited]) -> Visited:
    """Visits that have no row in common, as one."""
    return Visited(
        np.concatenate([v.X for v in visits]),
        np.concatenate([v.F for v in visits]),
        np.concatenate([v.violation for v in visits]),
    )
