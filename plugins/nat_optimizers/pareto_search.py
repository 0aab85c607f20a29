"""Pareto local search: Paquete, Chiarandini and Stützle, "Pareto Local Optimum Sets […]", 2004."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import MeasuredProblem, PredictedProblem, SearchSpace
from nat_core.encoding import Architecture, Encodings, as_architectures, as_encodings, new_rows
from nat_core.options import at_least
from nat_core.proposals import gather, order, propose, start, visit
from nat_optimizers.asking import new_of
from nat_optimizers.neighbours import moves, neighbours

_DRAWS = 4  # random steps for each neighbour wanted: many lead back to rows that were seen


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
            X = _new_neighbours(problem.space, best.X, seen, self.step, rng)[: self.rows - spent]
            if not len(X):
                break
            visits.append(visit(problem, X))
            seen.update(as_architectures(X))
            best = gather([best, visits[-1]])
            best = best[order(best, self.width, nothing)]
        return propose(problem, gather(visits), archive, n, rng)

    def ask(self, problem: MeasuredProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new neighbours of the measured front in random order, then of the other measured rows."""
        near = _near(problem.space, archive, rng)
        return new_of(problem, archive, n, rng, lambda k: as_encodings(islice(near, k), len(problem.space.variables)))


def _new_neighbours(
    space: SearchSpace, X: Encodings, seen: Collection[Architecture], n: int, rng: np.random.Generator
) -> Encodings:
    """At most `n` neighbours of X at random that were not seen. All are listed only where drawing finds none."""
    variable, choice = moves(space)
    move = rng.integers(len(variable), size=_DRAWS * n)
    moved = X[rng.integers(len(X), size=len(move))]
    moved[np.arange(len(move)), variable[move]] = choice[move]
    new = new_rows(space.canonicalize(moved), seen)
    return (new if len(new) else rng.permutation(new_rows(neighbours(space, X), seen)))[:n]


def _near(space: SearchSpace, archive: Archive, rng: np.random.Generator) -> Iterator[Architecture]:
    """The new neighbours of the archive's front, then those of its other rows; either in random order."""
    front = archive.front.architectures
    for rows in (front, archive.measured.architectures - front):
        X = neighbours(space, as_encodings(sorted(rows), len(space.variables)))
        yield from as_architectures(rng.permutation(new_rows(X, archive.architectures)))
