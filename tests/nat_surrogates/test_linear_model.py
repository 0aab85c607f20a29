"""The ridge regression against scikit-learn's, and its penalty against leaving rows out one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as TwinRidge

from nat_core.errors import ConfigError
from nat_surrogates import ridge
from nat_surrogates.linear_model import PENALTIES, Indicators, Ridge


def data(n, n_inputs, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.integers(0, 4, (n, n_inputs)) / 3
    return Z, Z @ rng.random(n_inputs) + 0.3 * rng.standard_normal(n)


@pytest.mark.parametrize("n", [5, 60])
@pytest.mark.parametrize("penalty", [0.01, 3.0])
def test_it_is_scikit_learns(n, penalty):
    Z, y = data(n, 8)
    asked, _ = data(30, 8, seed=1)
    twin = TwinRidge(penalty).fit(Z, y)
    np.testing.assert_allclose(Ridge(penalty, "features")(Z, y)(asked), twin.predict(asked), rtol=1e-9)


@pytest.mark.parametrize("n", [6, 40])
def test_the_penalty_is_the_one_that_predicts_rows_left_out_best(n):
    Z, y = data(n, 8)

    def left_out(penalty):
        rows = range(n)
        twins = (TwinRidge(penalty).fit(np.delete(Z, i, 0), np.delete(y, i)) for i in rows)
        return sum((twin.predict(Z[i : i + 1])[0] - y[i]) ** 2 for i, twin in zip(rows, twins, strict=True))

    best = min(PENALTIES, key=left_out)
    np.testing.assert_allclose(Ridge(None, "features")(Z, y)(Z), Ridge(float(best), "features")(Z, y)(Z), rtol=1e-9)


def test_indicators_tell_levels_apart_and_take_a_new_one_for_the_nearest():
    Z = np.array([[0.0, 0.1], [1.0, 0.5], [0.0, 0.9], [1.0, 0.5]])
    expand = Indicators.of(Z)
    assert expand(Z)[:, 2:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert expand(np.array([[0.5, 0.8]])).tolist() == [[0.5, 0.8, 0, 0, 1]]


def test_a_quantity_gets_no_indicators():
    assert Indicators.of(np.linspace(0, 1, 17)[:, None]).levels == ()
    assert len(Indicators.of(np.linspace(0, 1, 16)[:, None]).levels) == 1


def test_with_indicators_it_learns_an_effect_that_is_not_straight(make_space):
    space = make_space(10, 10, 10, 10)
    X = space.sample(300, np.random.default_rng(0))
    y = ((X - 4.5) ** 2).sum(axis=1)
    known, asked = X[:250], X[250:]
    levels, features = (ridge(space, inputs=i).fit(known, y[:250])(asked) for i in ("levels", "features"))
    assert np.corrcoef(levels, y[250:])[0, 1] > 0.99
    assert np.corrcoef(features, y[250:])[0, 1] < 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": 0.0}, "penalty must be at least 1e-09"),
        ({"penalty": float("nan")}, "penalty must be at least 1e-09"),
        ({"inputs": "level"}, "Did you mean 'levels'"),
    ],
)
def test_a_wrong_option_says_what_is_accepted(space, options, message):
    with pytest.raises(ConfigError, match=message):
        ridge(space, **options)
