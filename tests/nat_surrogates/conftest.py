"""A space with 22 variables like those of the paper, and a function of them that is neither linear nor separable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from nat_core.encoding import Variable, random_encodings


@dataclass(frozen=True)
class Boxes:
    """All that a surrogate looks at in a space: how many choices its variables have."""

    variables: tuple[Variable, ...]

    def sample(self, n, rng):
        return random_encodings(self.variables, n, rng)


def boxes(*n_choices):
    return Boxes(tuple(Variable(f"v{i}", tuple(range(n))) for i, n in enumerate(n_choices)))


@pytest.fixture
def space():
    return boxes(17, 2, *[10] * 20)


@pytest.fixture
def make_space():
    return boxes


@pytest.fixture
def objective():
    """A sum of saturating effects and of products of neighbours, with some noise."""

    def measure(X):
        rng = np.random.default_rng(7)
        effect, product = rng.random(X.shape[1]), rng.random(X.shape[1] - 1)
        Z = X / np.maximum(X.max(axis=0), 1)
        return -np.sqrt(Z) @ effect - (Z[:, 1:] * Z[:, :-1]) @ product + 0.02 * rng.standard_normal(len(X))

    return measure
