"""Random search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import MeasuredProblem, PredictedProblem
from nat_core.encoding import Encodings, Values
from nat_core.options import at_least
from nat_core.proposals import fill, sample, visit


@dataclass(frozen=True)
class RandomRows:
    """Rows as the space samples them, feasible ones first. What the objectives are plays no part."""

    draws: int

    def __post_init__(self) -> None:
        at_least(1, draws=self.draws)

    def propose(self, problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows, those first that are predicted to keep the constraints."""
        X = sample(problem.space, archive, self.draws * n, rng)
        return _first(problem, X, visit(problem, X).violation, archive, n, rng)

    def ask(self, problem: MeasuredProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows, those first that keep the constraints known before any measurement."""
        X = sample(problem.space, archive, self.draws * n, rng)
        return _first(problem, X, problem.cost_violation(X), archive, n, rng)


def _first(
    problem: PredictedProblem | MeasuredProblem,
    X: Encodings,
    violation: Values,
    archive: Archive,
    n: int,
    rng: np.random.Generator,
) -> Encodings:
    return fill(problem.space, X[np.argsort(violation, kind="stable")], archive, n, rng)
