"""What every optimizer needs to keep its promise: n rows, canonical, distinct, and new to the archive."""

from __future__ import annotations

import logging
import math

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import PredictedProblem, SearchSpace
from nat_core.encoding import Architecture, Encodings, as_architectures, new_rows, sizes
from nat_core.pareto import spread

log = logging.getLogger("nat_core")

_ENUMERABLE = 200_000  # a space up to this many encodings is listed rather than sampled when it runs out


def best(problem: PredictedProblem, X: Encodings, n: int) -> Encodings:
    """At most `n` of the distinct rows X, best first: feasible before infeasible, then by front, spread along it."""
    F = problem.F(X)
    violation = problem.violation(X, F)
    feasible = np.flatnonzero(violation <= 0)
    infeasible = np.flatnonzero(violation > 0)
    order = [*feasible[spread(F[feasible], n)], *infeasible[np.argsort(violation[infeasible], kind="stable")]]
    return X[np.array(order[:n], dtype=np.int64)]


def fill(space: SearchSpace, X: Encodings, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
    """The first `n` new rows of X, topped up with random ones; fewer, with a logged reason, where no more exist."""
    found = new_rows(space.canonicalize(X), archive.architectures)[:n]
    known = set(archive.architectures) | set(as_architectures(found))
    for _ in range(20):
        if len(found) == n:
            return found
        extra = new_rows(space.canonicalize(space.sample(4 * n, rng)), known)[: n - len(found)]
        found, known = np.vstack([found, extra]), known | set(as_architectures(extra))
    return _from_all(space, found, known, n)


def _from_all(space: SearchSpace, found: Encodings, known: set[Architecture], n: int) -> Encodings:
    """Random draws no longer find new rows: list the space if that is possible."""
    choices = sizes(space.variables)
    if math.prod(choices.tolist()) <= _ENUMERABLE:
        everything = np.stack(np.unravel_index(np.arange(math.prod(choices.tolist())), choices), axis=1)
        extra = new_rows(space.canonicalize(everything), known)[: n - len(found)]
        found = np.vstack([found, extra])
    if len(found) < n:
        log.warning("only %d of %d new architectures found: the space holds hardly any more", len(found), n)
    return found
