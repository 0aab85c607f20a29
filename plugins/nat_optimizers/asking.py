"""What the optimizers that search without predictions have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import MeasuredProblem
from nat_core.encoding import Encodings, as_encodings, new_rows
from nat_core.proposals import fill, sample
from nat_optimizers.neighbours import neighbours

ROUNDS = 10  # of drawing: where a neighbourhood is exhausted, more would find no new row
_DRAWS = 10  # random rows for each row asked for, where too few of those drawn keep the constraints
_WALKERS = 2  # rows led towards the constraints for each row asked for: some meet on the way
_STEPS = 100


def new_of(
    problem: MeasuredProblem,
    archive: Archive,
    n: int,
    rng: np.random.Generator,
    draw: Callable[[int], Encodings],
    rounds: int = ROUNDS,
) -> Encodings:
    """`n` new rows of those that `draw(how_many)` gives, round after round; random ones fill up.

    Rows that break a constraint known before any measurement go last. Where too few keep it, some of those that break
    it least are led there.
    """
    left = sample(problem.space, archive, n, rng)
    found = left if len(left) < n else _drawn(problem, archive, n, draw, rounds)
    if (problem.cost_violation(found) <= 0).sum() < n:
        random = sample(problem.space, archive, _DRAWS * n, rng)
        led = _led(problem, np.concatenate([found, random]), _WALKERS * n, rng)
        found = new_rows(np.concatenate([found, led, random]), archive.architectures)
    order = np.argsort(problem.cost_violation(found), kind="stable")
    return fill(problem.space, found[order], archive, n, rng)


def _drawn(
    problem: MeasuredProblem, archive: Archive, n: int, draw: Callable[[int], Encodings], rounds: int
) -> Encodings:
    """New rows, `n` of which keep the constraints known before any measurement; fewer where rounds run out."""
    found, allowed = as_encodings((), len(problem.space.variables)), 0
    for _ in range(rounds):
        if allowed >= n:
            break
        drawn = problem.space.canonicalize(draw(n - allowed))
        found = new_rows(np.concatenate([found, drawn]), archive.architectures)
        allowed = int((problem.cost_violation(found) <= 0).sum())
    return found


def _led(problem: MeasuredProblem, X: Encodings, n: int, rng: np.random.Generator) -> Encodings:
    """The `n` rows that break the constraints least, each changed variable by variable until it keeps them.

    A step is drawn from all that make the violation smaller; where there is none, the row stays as it is.
    """
    violation = problem.cost_violation(X)
    closest = np.argsort(violation, kind="stable")
    closest = closest[violation[closest] > 0][:n]
    X, violation = X[closest], violation[closest]
    for _ in range(_STEPS):
        outside = np.flatnonzero(violation > 0)
        if not len(outside):
            break
        near = neighbours(problem.space, X[outside])
        there = problem.cost_violation(near).reshape(len(outside), -1)
        less = there < violation[outside, None]
        if not less.any():
            break
        step = (less * rng.random(less.shape)).argmax(axis=1)
        walker = np.flatnonzero(less.any(axis=1))
        moved, step = outside[walker], step[walker]
        X[moved] = near.reshape(*there.shape, -1)[walker, step]
        violation[moved] = there[walker, step]
    return X
