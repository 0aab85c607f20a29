from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from nat_core.errors import ConfigError
from nat_surrogates import rbf_single
from nat_surrogates.single_interpolant import KERNELS, Interpolant, determines_tail


def points(n, n_inputs):
    return np.random.default_rng(n).random((n, n_inputs))


def test_a_tail_is_determined_by_two_points_a_coefficient():
    assert determines_tail(points(10, 4))
    assert not determines_tail(points(9, 4))


def test_a_tail_is_not_determined_where_inputs_depend_on_each_other():
    Z = points(40, 3)
    assert not determines_tail(np.column_stack([Z, Z.sum(axis=1)]))
    assert not determines_tail(np.column_stack([Z, np.ones(40)]))


@pytest.mark.parametrize("kernel", ["cubic", "thin-plate"])
def test_without_a_tail_it_is_scipys_linear_one(kernel):
    Z, y = points(8, 6), np.arange(8.0)
    asked = points(20, 6)
    twin = RBFInterpolator(Z, y, kernel="linear", degree=0, smoothing=0.5)
    assert np.array_equal(Interpolant(kernel, 0.5)(Z, y)(asked), twin(asked))


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_goes_through_its_points_without_smoothing(kernel):
    for n in (5, 60):
        Z = points(n, 6)
        y = np.sin(9 * Z).sum(axis=1)
        np.testing.assert_allclose(Interpolant(kernel, 0.0)(Z, y)(Z), y, atol=1e-8)
        assert np.abs(Interpolant(kernel, 1.0)(Z, y)(Z) - y).max() > 1e-3


def test_a_cubic_one_continues_a_plane():
    Z, asked = points(40, 4), 3 * points(20, 4)
    y = Z @ [1, 2, 3, 4] + 5
    np.testing.assert_allclose(Interpolant("cubic", 0.0)(Z, y)(asked), asked @ [1, 2, 3, 4] + 5, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "quintic"}, "unknown kernel 'quintic'.*cubic, linear, thin-plate"),
        ({"smoothing": -1.0}, "smoothing must be at least 0"),
        ({"smoothing": float("inf")}, "smoothing must be at least 0 and finite"),
    ],
)
def test_a_wrong_option_says_what_is_accepted(space, options, message):
    with pytest.raises(ConfigError, match=message):
        rbf_single(space, **options)
