"""What the optimizers that search without predictions have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import MeasuredProblem
from nat_core.encoding import Encodings, as_encodings, new_rows
from nat_core.proposals import fill, sample

_ROUNDS = 10  # of drawing: where a neighbourhood is exhausted, more would find no new row
_DRAWS = 10  # random rows for each row asked for, where too few of those drawn keep the constraints


def new_of(
    problem: MeasuredProblem, archive: Archive, n: int, rng: np.random.Generator, draw: Callable[[int], Encodings]
) -> Encodings:
    """`n` new rows of those that `draw(how_many)` gives, round after round; random ones fill up.

    Rows that break a constraint known before any measurement go last, and random rows that keep it stand before them.
    """
    found, allowed = as_encodings((), len(problem.space.variables)), 0
    for _ in range(_ROUNDS):
        if allowed >= n:
            break
        drawn = problem.space.canonicalize(draw(n - allowed))
        found = new_rows(np.concatenate([found, drawn]), archive.architectures)
        allowed = int((problem.cost_violation(found) <= 0).sum())
    if allowed < n:
        found = new_rows(np.concatenate([found, sample(problem.space, archive, _DRAWS * n, rng)]))
    order = np.argsort(problem.cost_violation(found), kind="stable")
    return fill(problem.space, found[order], archive, n, rng)
