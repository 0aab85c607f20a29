"""Pareto local search: Paquete, Chiarandini and Stützle, "Pareto Local Optimum Sets […]", 2004."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import MeasuredProblem, PredictedProblem, SearchSpace
from nat_core.encoding import Architecture, Encodings, as_architectures, as_encodings, new_rows, sizes
from nat_core.proposals import gather, order, propose, start, visit
from nat_optimizers.asking import new_of
from nat_optimizers.options import at_least


@dataclass(frozen=True)
class LocalSearch:
    """Step by step from the best rows so far to rows that differ from one of them in one variable."""

    width: int
    rows: int
    step: int

    def __post_init__(self) -> None:
        at_least(1, width=self.width, rows=self.rows, step=self.step)

    def propose(self, problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows, the best of all that were visited until the budget is spent or every neighbour is known."""
        best = visit(problem, start(problem, archive, self.width, rng))
        visits, seen = [best], {*archive.architectures, *as_architectures(best.X)}
        nothing = np.empty((0, len(problem.names)))
        for spent in range(0, self.rows, self.step):
            X = new_rows(neighbours(problem.space, best.X), seen)
            if not len(X):
                break
            visits.append(visit(problem, rng.permutation(X)[: min(self.step, self.rows - spent)]))
            seen.update(as_architectures(visits[-1].X))
            best = gather([best, visits[-1]])
            best = best[order(best, self.width, nothing)]
        return propose(problem, gather(visits), archive, n, rng)

    def ask(self, problem: MeasuredProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new neighbours of the measured front in random order, then of the other measured rows."""
        near = _near(problem.space, archive, rng)
        return new_of(problem, archive, n, rng, lambda k: as_encodings(islice(near, k), len(problem.space.variables)))


def neighbours(space: SearchSpace, X: Encodings) -> Encodings:
    """Every row that differs from one of X in one variable, made canonical, (n, n_variables); some are the same."""
    choices = sizes(space.variables)
    variable = np.repeat(np.arange(len(choices)), choices)
    choice = np.concatenate([np.arange(k) for k in choices])
    moved = np.repeat(X[:, None], len(variable), axis=1)
    moved[:, np.arange(len(variable)), variable] = choice
    return space.canonicalize(moved.reshape(-1, len(choices)))


def _near(space: SearchSpace, archive: Archive, rng: np.random.Generator) -> Iterator[Architecture]:
    """The new neighbours of the archive's front, then those of its other rows; either in random order."""
    front = archive.front.architectures
    for rows in (front, archive.measured.architectures - front):
        X = neighbours(space, as_encodings(sorted(rows), len(space.variables)))
        yield from as_architectures(rng.permutation(new_rows(X, archive.architectures)))
