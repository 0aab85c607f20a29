"""The errors of kriging beside the least variance that any weights could have, and beside what is told a point more."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import null_space

from nat_core.contracts import UncertainFunction
from nat_surrogates import gp, kriging, rbf, rbf_single, ridge
from nat_surrogates.kriging import Kriged, KrigedRegressor
from nat_surrogates.rbf_ensemble import KERNELS, tail_penalty


def data(n, n_inputs=5, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.integers(0, 10, (n, n_inputs)) / 9
    y = np.sin(3 * Z).sum(axis=1) + Z[:, 0] * Z[:, -1]
    return Z, (y - y.mean()) / y.std()


def kriged(Z, y, kernel="cubic", smoothing=0.3):
    return KrigedRegressor(lambda asked: np.zeros(len(asked)), Z, y, KERNELS[kernel], smoothing)


def covariance(A, B, kernel):
    squared = np.square(A[:, None] - B).sum(axis=-1)
    return KERNELS[kernel](squared) + A @ B.T / tail_penalty(A.shape[1])


@pytest.mark.parametrize("kernel", ["cubic", "linear"])
def test_no_weights_with_the_sum_of_one_have_a_smaller_variance(kernel):
    """The variance of y(x) − Σ w_i y_i where Σ w_i = 1, minimised over what these weights leave free."""
    Z, y = data(40)
    asked, _ = data(12, seed=1)
    K = covariance(Z, Z, kernel) + 0.3 * np.eye(40)
    across, own = covariance(asked, Z, kernel), covariance(asked, asked, kernel).diagonal()
    free, start = null_space(np.ones((1, 40))), np.full(40, 1 / 40)
    found = kriged(Z, y, kernel)
    least = []
    for k, k0 in zip(across, own, strict=True):
        w = start + free @ np.linalg.solve(free.T @ K @ free, free.T @ (k - K @ start))
        least.append(k0 - 2 * w @ k + w @ K @ w)
    scale = found.noise() / 0.3
    np.testing.assert_allclose(found.variance(asked), scale * np.array(least), rtol=1e-6, atol=1e-9 * scale)
    np.testing.assert_allclose(found.covariance(asked).diagonal(), found.variance(asked), rtol=1e-6, atol=1e-9 * scale)
    assert (np.linalg.eigvalsh(found.covariance(asked)) > -1e-8 * scale).all()


def test_at_a_measured_point_hardly_an_error_is_left():
    Z, y = data(40)
    Z, first = np.unique(Z, axis=0, return_index=True)
    found = kriged(Z, y[first], smoothing=1e-6)
    elsewhere, _ = data(12, seed=1)
    assert found.variance(Z).max() < 1e-3 * found.variance(elsewhere).min()


def test_knowing_a_row_is_being_told_it():
    """What is left of the covariance is that of a fit to one point more, whatever its value."""
    Z, y = data(40)
    asked, _ = data(12, seed=1)
    before = kriged(Z, y)
    for row in (0, 7):
        after = kriged(np.vstack([Z, asked[row]]), np.append(y, 9.0))
        C, added = before.covariance(asked), before.noise()
        left = C - np.outer(C[:, row], C[:, row]) / (C[row, row] + added)
        wanted = after.covariance(asked) * before.noise() / after.noise()  # another scale, as y is another
        np.testing.assert_allclose(left, wanted, rtol=0, atol=1e-7 * C.max())


@pytest.mark.parametrize("factory", [rbf, rbf_single, gp], ids=lambda f: f.__name__)
def test_hopes_of_rows_alone_and_together(space, objective, factory):
    X = space.sample(80, np.random.default_rng(0))
    function = factory(space).fit(X[:50], objective(X[:50]) * 1e-3)
    asked = X[50:]
    assert isinstance(function, UncertainFunction)
    np.testing.assert_allclose(function.at_best(asked, 0.0), function(asked), rtol=1e-9)
    assert (function.at_best(asked, 1.0) < function(asked)).all()
    assert (function.at_best(asked, 2.0) < function.at_best(asked, 1.0)).all()
    belief = function.believe(asked)
    np.testing.assert_allclose(belief.at_best(1.5), function.at_best(asked, 1.5), rtol=1e-5)
    known = belief.knowing(3)
    gained = known.at_best(1.0) - belief.at_best(1.0)
    assert gained.min() >= -1e-9 * np.ptp(objective(X))
    assert gained.argmax() == 3
    assert function.at_best(asked[:0], 1.0).shape == (0,)


def test_a_ridge_regression_does_not_know(space, objective):
    X = space.sample(30, np.random.default_rng(0))
    assert not isinstance(ridge(space).fit(X, objective(X)), UncertainFunction)


def test_errors_that_cannot_be_told_are_hoped_to_be_none(space, objective, monkeypatch):
    monkeypatch.setattr(kriging, "WORST", 1.0)
    X = space.sample(40, np.random.default_rng(0))
    function = rbf(space).fit(X, objective(X))
    belief = function.believe(X)
    for hoped in (function.at_best(X, 1.0), belief.at_best(1.0), belief.knowing(2).at_best(1.0)):
        np.testing.assert_allclose(hoped, function(X), rtol=1e-12)


def test_many_points_are_told_by_some_of_them(monkeypatch):
    monkeypatch.setattr(kriging, "MOST", 30)
    Z, y = data(200)
    found = kriged(Z, y)
    assert found._told.Z.shape == (30, 5)
    assert {tuple(z) for z in Z[np.argsort(y)[:15]]} <= {tuple(z) for z in found._told.Z}


def test_the_predictions_are_those_of_the_fit():
    Z, y = data(30)
    regressor = Kriged(lambda _Z, _y: lambda asked: asked.sum(axis=1), "cubic", 0.1)(Z, y)
    assert (regressor(Z) == Z.sum(axis=1)).all()
