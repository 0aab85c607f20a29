from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Matern

from nat_core.errors import ConfigError
from nat_surrogates import gp
from nat_surrogates.gaussian_process import posterior
from nat_surrogates.points import telling


def test_the_posterior_mean_is_the_textbooks():
    rng = np.random.default_rng(0)
    Z, asked = rng.random((40, 3)), rng.random((20, 3))
    y = np.sin(5 * Z).sum(axis=1) + 0.1 * rng.standard_normal(40)
    predict = posterior(Z, y)
    kernel = predict.process.kernel_
    matern, white = kernel.k1, kernel.k2.noise_level
    assert isinstance(matern, Matern)
    scaled = (y - y.mean()) / y.std()
    twin = matern(asked, Z) @ np.linalg.solve(matern(Z) + white * np.eye(40), scaled) * y.std() + y.mean()
    np.testing.assert_allclose(predict(asked), twin, rtol=1e-6)


def test_errors_are_those_of_the_library_without_the_noise():
    rng = np.random.default_rng(0)
    Z, asked = rng.random((40, 3)), rng.random((20, 3))
    found = posterior(Z, 3 * np.sin(5 * Z).sum(axis=1) + 0.3 * rng.standard_normal(40))
    assert found.noise() > 1e-3
    theirs = found.process.predict(asked, return_cov=True)[1] - found.noise() * np.eye(20)
    np.testing.assert_allclose(found.covariance(asked), theirs, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.variance(asked), theirs.diagonal(), rtol=0, atol=1e-10)


def test_a_linear_objective_gives_no_convergence_warning(space):
    X = space.sample(60, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted = gp(space).fit(X, X.sum(axis=1).astype(float))(X)
    assert np.corrcoef(predicted, X.sum(axis=1))[0, 1] > 0.99


def test_of_many_points_it_keeps_the_best_half_and_a_spread_of_the_rest():
    y = np.random.default_rng(0).permutation(100).astype(float)
    kept = np.sort(y[telling(y, 20)])
    assert len(set(kept)) == 20
    assert kept[:10].tolist() == list(range(10))
    assert kept[[10, -1]].tolist() == [10, 99]
    assert np.ptp(np.diff(kept[10:])) <= 1


@pytest.mark.parametrize(("n", "most"), [(2, 2), (3, 2), (5, 4), (7, 7), (7, 100)])
def test_it_keeps_no_row_twice(n, most):
    kept = telling(np.zeros(n), most)
    assert len(set(kept.tolist())) == len(kept) == min(n, most)


def test_a_cap_still_ranks(space, objective):
    X = space.sample(200, np.random.default_rng(0))
    y = objective(X)
    predicted = gp(space, max_points=60).fit(X, y)(X)
    assert np.corrcoef(predicted, y)[0, 1] > 0.8


def test_a_wrong_option_says_what_is_accepted(space):
    with pytest.raises(ConfigError, match="max_points must be at least 2"):
        gp(space, max_points=1)
