"""Evolutionary algorithms, on predictions or on what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import MeasuredProblem, PredictedProblem, SearchSpace
from nat_core.encoding import Encodings, Objectives, as_encodings
from nat_core.options import at_least
from nat_core.pareto import normalised
from nat_core.proposals import Visited, propose, start, visit
from nat_optimizers.asking import new_of
from nat_optimizers.generations import joined
from nat_optimizers.mating import Mating, Seen
from nat_optimizers.options import probability


class Algorithm(Protocol):
    """An evolutionary algorithm at work."""

    size: int  # rows in a generation

    def begin(self, rows: Visited) -> None:
        """The first rows, any number of them."""

    def ask(self, n: int) -> Encodings:
        """`n` new children; fewer, or none, where mating finds nothing new."""

    def tell(self, children: Visited) -> None:
        """What the children that were asked for last are worth."""


@dataclass(frozen=True)
class Evolution:
    """An evolutionary algorithm, begun from the archive. It never looks at a row twice."""

    algorithm: Callable[[int, int, Mating], Algorithm]  # from the number of objectives, a population, and how to mate
    population: int
    generations: int
    crossover: float
    mutation_eta: float
    parents: int

    def __post_init__(self) -> None:
        at_least(2, population=self.population, parents=self.parents)
        at_least(1, generations=self.generations)
        at_least(0, mutation_eta=self.mutation_eta)
        probability(crossover=self.crossover)

    def propose(self, problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows, the best of all that were visited in some generations on the predictions."""
        first = visit(problem, start(problem, archive, self.population, rng))
        mating = self._mating(problem.space, archive, rng)
        mating.seen.admit(first.X, len(first))
        algorithm = self.algorithm(len(problem.names), self.population, mating)
        algorithm.begin(_scaled(first, like=first.F))
        visits = [first]  # all of them: selection for a spread drops some of the best on the way
        for _ in range(self.generations - 1):
            X = algorithm.ask(algorithm.size)
            if not len(X):
                break
            visits.append(visit(problem, X))
            algorithm.tell(_scaled(visits[-1], like=first.F))
        return propose(problem, joined(visits), archive, n, rng)

    def ask(self, problem: MeasuredProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows: the offspring of what the algorithm lets survive of the archive."""
        known = archive.measured
        if not len(known):
            return new_of(problem, archive, n, rng, lambda k: problem.space.sample(k, rng))
        algorithm = self.algorithm(len(problem.names), self.parents, self._mating(problem.space, archive, rng))
        algorithm.begin(_scaled(Visited(known.X, known.F, known.violation), like=known.F))
        return new_of(problem, archive, n, rng, algorithm.ask)

    def _mating(self, space: SearchSpace, archive: Archive, rng: np.random.Generator) -> Mating:
        seen = Seen(as_encodings(archive.architectures, len(space.variables)))
        return Mating(space, self.crossover, self.mutation_eta, seen, rng)


def _scaled(rows: Visited, like: Objectives) -> Visited:
    """With objectives in units of the first rows' ranges: whatever is small or large to an algorithm is so in these."""
    return Visited(rows.X, normalised(rows.F, like=like), rows.violation)
