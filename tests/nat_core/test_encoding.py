"""Encodings: small spaces listed, networks of all sizes drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nat_core import encoding
from nat_core.encoding import Variable, everything, sized_encodings, sizes

VARIABLES = tuple(Variable(name, tuple(range(n))) for name, n in zip("abcdefgh", (1, 2, 3, 4, 5, 9, 9, 9), strict=True))


def test_everything_is_every_combination():
    assert everything(VARIABLES[:4]).tolist() == [list(row) for row in itertools.product(*map(range, (1, 2, 3, 4)))]


def test_a_large_space_is_not_listed(monkeypatch):
    monkeypatch.setattr(encoding, "ENUMERABLE", 23)
    assert everything(VARIABLES[:4]) is None


@pytest.mark.parametrize("size", [0.0, 0.5, 1.0])
def test_choices_lean_as_they_are_told(size):
    X = sized_encodings(VARIABLES, np.full(4000, size), np.random.default_rng(0))
    assert X.dtype == np.int64
    assert ((X >= 0) & (sizes(VARIABLES) > X)).all()
    share = (X[:, 1:] / (sizes(VARIABLES)[1:] - 1)).mean()
    assert abs(share - size) < 0.12
    assert all(set(X[:, i]) >= {0, n - 1} for i, n in enumerate(sizes(VARIABLES)) if size == 0.5)


def test_networks_of_all_sizes_are_more_unlike_than_uniform_ones():
    draw = np.random.default_rng(0)
    n = np.array([9] * 20)
    variables = tuple(Variable(str(i), tuple(range(9))) for i in range(20))
    of_all_sizes = sized_encodings(variables, np.linspace(0, 1, 200), draw).mean(axis=1)
    assert np.ptp(of_all_sizes) > 1.5 * np.ptp(draw.integers(0, n, (200, 20)).mean(axis=1))
