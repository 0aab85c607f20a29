"""Random search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import PredictedProblem
from nat_core.encoding import Encodings
from nat_core.proposals import fill, sample, visit
from nat_optimizers.options import at_least


@dataclass(frozen=True)
class RandomRows:
    """Rows as the space samples them, predicted feasible ones first. What the objectives predict plays no part."""

    draws: int

    def __post_init__(self) -> None:
        at_least(1, draws=self.draws)

    def propose(self, problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows."""
        drawn = visit(problem, sample(problem.space, archive, self.draws * n, rng))
        return fill(problem.space, drawn.X[np.argsort(drawn.violation, kind="stable")], archive, n, rng)
