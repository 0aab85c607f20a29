"""How rows have children: NAT's operators for integers. No row is ever looked at twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import SearchSpace
from nat_core.encoding import Encodings, sizes

ROUNDS = 10  # of mating for one generation: where a neighbourhood is exhausted, more would find no new row


class Seen:
    """The rows that were looked at, by their bytes: as tuples of integers they would take ten times as long."""

    def __init__(self, X: Iterable[NDArray[np.int64]]) -> None:
        self._keys = {row.tobytes() for row in X}

    def admit(self, X: Encodings, at_most: int) -> NDArray[np.int64]:
        """Which rows of X are new, each once, and no more than so many. From now on they are seen."""
        admitted = list[int]()
        for i, row in enumerate(X):
            if len(admitted) == at_most:
                break
            if (key := row.tobytes()) not in self._keys:
                self._keys.add(key)
                admitted.append(i)
        return np.array(admitted, dtype=np.int64)


@dataclass(frozen=True)
class Mating:
    """Uniform crossover and polynomial mutation, in the canonical form of a space."""

    space: SearchSpace
    crossover: float  # probability that two parents are crossed
    eta: float  # distribution index of the mutation
    seen: Seen
    rng: np.random.Generator

    def children(self, A: Encodings, B: Encodings) -> Encodings:
        """Two children of each pair of parents, (2n, n_variables): the first of every pair, then the second."""
        X = uniform_crossover(A, B, self.crossover, self.rng)
        X = polynomial_mutation(X, sizes(self.space.variables), self.eta, self.rng)
        return self.space.canonicalize(X)


def uniform_crossover(A: Encodings, B: Encodings, probability: float, rng: np.random.Generator) -> Encodings:
    """Two children of each pair (Syswerda, 1989), (2n, n_variables): what one has of A, the other has of B."""
    swapped = (rng.random(A.shape) < 0.5) & (rng.random((len(A), 1)) < probability)
    return np.concatenate([np.where(swapped, B, A), np.where(swapped, A, B)])


def polynomial_mutation(X: Encodings, choices: Encodings, eta: float, rng: np.random.Generator) -> Encodings:
    """Polynomial mutation of each variable with probability 1 / n_variables, rounded.

    Deb and Goyal (1996), in the bounded form of Deb and Agrawal (1999): up or down by a coin, a step of the `room`
    there is to that side, all in units of a variable's range. The range is half a choice wider at both ends: so the
    outermost choices are rounded to from as wide a range as all others.
    """
    rows, columns = np.nonzero(rng.random(X.shape) < min(0.5, 1 / X.shape[1]))
    x, width = X[rows, columns], choices[columns]
    up, chance = rng.random((2, len(x)))
    room = np.where(up < 0.5, width - 0.5 - x, x + 0.5) / width
    step = 1 - (chance + (1 - chance) * (1 - room) ** (eta + 1)) ** (1 / (eta + 1))
    mutated = X.copy()
    mutated[rows, columns] = np.clip(np.rint(x + np.where(up < 0.5, step, -step) * width), 0, width - 1)
    return mutated
