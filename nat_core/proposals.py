"""What every optimizer needs: rows to begin with, the best of the rows it visited, and its promise kept.

The promise: n rows, canonical, distinct, new to the archive, best first; fewer only where the space holds no more.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nat_core.archive import Archive
from nat_core.contracts import PredictedProblem, SearchSpace
from nat_core.encoding import (
    Architecture,
    Encodings,
    Objectives,
    Values,
    as_architectures,
    as_encodings,
    everything,
    new_rows,
    random_encodings,
)
from nat_core.pareto import non_dominated, spread

log = logging.getLogger("nat_core")

_DRAWS = 10  # from each source of random rows, before a space is taken to be running out


@dataclass(frozen=True)
class Visited:
    """Distinct canonical rows that an optimizer looked at, and what was predicted for them."""

    X: Encodings
    F: Objectives
    violation: Values

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: NDArray[np.int64]) -> Visited:
        return Visited(self.X[rows], self.F[rows], self.violation[rows])


def visit(problem: PredictedProblem, X: Encodings) -> Visited:
    """Predict canonical rows, all in one call. A violation that is no number is infinite: nobody can say it is none."""
    F = problem.F(X)
    return Visited(X, F, np.nan_to_num(problem.violation(X, F), nan=np.inf, posinf=np.inf))


def gather(visits: Sequence[Visited]) -> Visited:
    """Several visits as one, every row once, where it came first."""
    X = np.concatenate([v.X for v in visits])
    F = np.concatenate([v.F for v in visits])
    violation = np.concatenate([v.violation for v in visits])
    _, first = np.unique(X, axis=0, return_index=True)
    return Visited(X, F, violation)[np.sort(first)]


def start(problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
    """`n` distinct canonical rows to begin from: the archive's best, topped up with samples. Fewer in a tiny space.

    Rows that could not be measured are left out: no surrogate knows what is wrong with them.
    """
    space = problem.space
    known = as_encodings((e.architecture for e in archive.measured), len(space.variables))
    if len(known) > n:
        known = best(problem, known, n)
    return _top_up(space, new_rows(space.canonicalize(known)), (), n, rng)


def propose(
    problem: PredictedProblem, visited: Visited, archive: Archive, n: int, rng: np.random.Generator
) -> Encodings:
    """The best `n` of the visited rows that are new to the archive: what an optimizer ends with.

    If they are fewer, random ones fill them up, and are predicted and put in order with them.
    The archive's front stands by as predicted, so that all values are on one scale. A row that it dominates comes after
    every row that it does not, and rows far from it before those close by: that fills the gaps of the front.
    """
    is_new = np.array([a not in archive.architectures for a in as_architectures(visited.X)], dtype=bool)
    new = visited[np.flatnonzero(is_new)]
    if len(new) < n and len(extra := fill(problem.space, new.X, archive, n, rng)[len(new) :]):
        new = gather([new, visit(problem, extra)])
    feasible = archive.front.where(archive.front.violation <= 0)
    front = problem.F(feasible.X) if len(feasible) else np.empty((0, len(problem.names)))
    return new.X[order(new, n, among=front)]


def best(problem: PredictedProblem, X: Encodings, n: int) -> Encodings:
    """At most `n` of the distinct rows X, best first: feasible before infeasible, then by front, spread along it."""
    return X[order(visit(problem, X), n, among=np.empty((0, len(problem.names))))]


def order(visited: Visited, n: int, among: Objectives) -> NDArray[np.int64]:
    """The best `n` of the visited rows, best first: feasible before infeasible, then by front, spread along it.

    `among` (m, n_objectives) holds points that are there already. They take part in the ranking, and push others away.
    """
    feasible = np.flatnonzero(visited.violation <= 0)
    infeasible = np.flatnonzero(visited.violation > 0)
    least = infeasible[np.argsort(visited.violation[infeasible], kind="stable")]
    return np.concatenate([feasible[_along_fronts(visited.F[feasible], n, among)], least])[:n]


def _along_fronts(F: Objectives, n: int, among: Objectives) -> NDArray[np.int64]:
    """At most `n` rows of F, front after front. Only as many fronts are sorted out as it takes."""
    chosen = np.empty(0, dtype=np.int64)
    for front in _fronts(F, among):
        if len(chosen) >= n:
            break
        there = np.concatenate([among, F[chosen]])
        chosen = np.concatenate([chosen, front[spread(F[front], n - len(chosen), there)]])
    return chosen


def _fronts(F: Objectives, among: Objectives) -> Iterator[NDArray[np.int64]]:
    """The rows of F in each non-dominated front of F and `among` together; a front may hold none of them."""
    everything = np.concatenate([F, among])
    left = np.arange(len(everything))
    while (left < len(F)).any():
        on_front = non_dominated(everything[left])
        front, left = left[on_front], left[~on_front]
        yield front[front < len(F)]


def fill(space: SearchSpace, X: Encodings, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
    """The first `n` new rows of X, topped up with random ones; fewer, with a logged reason, where no more exist."""
    found = new_rows(space.canonicalize(X), archive.architectures)[:n]
    found = _top_up(space, found, archive.architectures, n, rng)
    if len(found) < n:
        listed = everything(space.variables) is not None  # and then what was found is all that was left
        left = f"; {len(found)} distinct ones were left" if listed else ""
        log.warning("only %d of %d new architectures found: the space holds hardly any more%s", len(found), n, left)
    return found


def sample(space: SearchSpace, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
    """`n` distinct canonical rows that are new to the archive; fewer, without a word, where no more exist."""
    return _top_up(space, as_encodings((), len(space.variables)), archive.architectures, n, rng)


def _top_up(
    space: SearchSpace, found: Encodings, known: Collection[Architecture], n: int, rng: np.random.Generator
) -> Encodings:
    """The distinct canonical rows `found` and as many random ones, new to `known` too, as make them `n` if possible."""
    seen = {*known, *as_architectures(found)}
    more = _random_rows(space, n, rng)
    while len(found) < n and (X := next(more, None)) is not None:
        extra = new_rows(space.canonicalize(X), seen)[: n - len(found)]
        found = np.concatenate([found, extra])
        seen.update(as_architectures(extra))
    return found


def _random_rows(space: SearchSpace, n: int, rng: np.random.Generator) -> Iterator[Encodings]:
    """Batches of rows: as a search begins, then uniform ones, then the whole space in random order if it is small."""
    for _ in range(_DRAWS):
        yield space.sample(4 * n, rng)
    for _ in range(_DRAWS):
        yield random_encodings(space.variables, 4 * n, rng)
    if (rows := everything(space.variables)) is not None:
        yield rng.permutation(rows)
