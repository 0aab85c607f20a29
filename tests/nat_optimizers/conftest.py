"""A toy space whose objectives are formulas: small enough to list, and with two encodings for some networks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import toyrun

from nat_core.archive import Archive, Evaluation
from nat_core.encoding import Variable, as_architectures, everything, sizes

NAMES = tuple("abcdefghijkl")


class ToySpace(toyrun.Space):
    @property
    def everything(self):
        """Every canonical row."""
        return np.unique(self.canonicalize(everything(self.variables)), axis=0)


@dataclass(frozen=True)
class ToyProblem:
    """Objectives are weighted squared distances to corners, pairwise opposite; the constraint bounds a row's sum."""

    space: ToySpace
    names: tuple[str, ...]
    most: float = np.inf
    scale: float = 1.0
    asked: list[np.ndarray] = field(default_factory=list)

    def F(self, X):
        assert X.dtype == np.int64
        assert (X >= 0).all()
        assert (sizes(self.space.variables) > X).all()
        assert (self.space.canonicalize(X) == X).all()
        self.asked.append(X)
        rng = np.random.default_rng(len(self.space.variables))
        corner, weight = rng.random((2, len(NAMES), X.shape[1]))
        corner = corner.round()
        corner[1::2] = 1 - corner[::2]
        z = X / np.maximum(sizes(self.space.variables) - 1, 1)
        return self.scale * (weight * (z[:, None, :] - corner) ** 2).sum(axis=2)[:, : len(self.names)]

    def violation(self, X, F):
        assert F.shape == (len(X), len(self.names))
        return self.cost_violation(X)

    def cost_violation(self, X):
        return np.maximum(X.sum(axis=1) - self.most, 0.0) / max(self.most, 1.0)


def space_of(*choices):
    return ToySpace(tuple(Variable(f"v{i}", tuple(range(n))) for i, n in enumerate(choices)))


SPACES = {
    "small": space_of(4, 2, 3, 6, 1, 5),  # 480 networks
    "medium": space_of(5, 2, 3, 6, 1, 5, 4),  # 2,400
    "large": space_of(9, 2, 8, 5, 3, 1, 6, 4, 7, 2, 9, 3, 5, 5),  # 490 million less the doubles
}


@pytest.fixture
def toy():
    """Makes a problem: `toy(2)`, `toy(3, "large", most=20)`."""

    def make(n_objectives, size="small", *, most=np.inf, scale=1.0):
        return ToyProblem(SPACES[size], NAMES[:n_objectives], most, scale)

    return make


@pytest.fixture
def measured():
    """Makes the archive that holds the rows X, measured as predicted."""

    def make(problem, X):
        F = problem.F(X)
        V = problem.violation(X, F)
        rows = zip(as_architectures(X), F.tolist(), V.tolist(), strict=True)
        evaluations = [Evaluation(a, tuple(f), iteration=0, weights=0, violation=v) for a, f, v in rows]
        problem.asked.clear()
        return Archive(problem.names).extend(evaluations)

    return make


@pytest.fixture
def begun(measured):
    """Makes an archive of some sampled rows, as a run begins."""

    def make(problem, n=30):
        return measured(problem, problem.space.sample(n, np.random.default_rng(99)))

    return make
