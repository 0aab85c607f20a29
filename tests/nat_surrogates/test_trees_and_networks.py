from __future__ import annotations

import numpy as np
import pytest

from nat_core.errors import ConfigError
from nat_surrogates import boosting, cart, forest, mlp
from nat_surrogates.trees import Carts


@pytest.mark.parametrize(
    ("make", "smaller"), [(mlp, {"networks": 1}), (cart, {"trees": 9}), (forest, {"trees": 9}), (boosting, {})]
)
def test_the_seed_alone_decides_what_is_random(make, smaller, space, objective):
    X = space.sample(60, np.random.default_rng(0))
    asked = space.sample(60, np.random.default_rng(1))
    first, again, other = (make(space, seed=seed, **smaller).fit(X, objective(X))(asked) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("make", [cart, forest])
def test_trees_predict_nothing_beyond_what_was_measured(make, space, objective):
    X = space.sample(60, np.random.default_rng(0))
    y = objective(X)
    predicted = make(space, trees=20).fit(X, y)(space.sample(300, np.random.default_rng(1)))
    assert y.min() <= predicted.min() < predicted.max() <= y.max()


def test_full_grown_trees_on_all_inputs_go_through_their_points():
    Z = np.arange(30.0)[:, None]
    y = np.sin(Z[:, 0])
    np.testing.assert_allclose(Carts(5, 1, 0)(Z, y)(Z), y)
    assert np.abs(Carts(5, 10, 0)(Z, y)(Z) - y).max() > 0.1


def test_the_trees_of_an_ensemble_look_at_different_inputs():
    Z = np.random.default_rng(0).random((60, 6))
    y = Z @ np.ones(6)

    def looks_at(tree, i):
        return bool((tree(np.where(np.arange(6) == i, 1 - Z, Z)) != tree(Z)).any())

    looked = np.array([[looks_at(Carts(1, 1, seed)(Z, y), i) for i in range(6)] for seed in range(30)])
    assert len(np.unique(looked, axis=0)) > 10
    assert set(looked.sum(axis=1).tolist()) >= {1, 3, 6}


def test_averaging_networks_helps(space, objective):
    X = space.sample(300, np.random.default_rng(0))
    y = objective(X)

    def error(**options):
        return np.square(mlp(space, **options).fit(X[:100], y[:100])(X[100:]) - y[100:]).mean()

    assert error(networks=5) < np.mean([error(networks=1, seed=seed) for seed in range(3)])


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (mlp, {"networks": 0}, "networks must be at least 1"),
        (mlp, {"hidden": 0}, "hidden must be at least 1"),
        (mlp, {"iterations": 0}, "iterations must be at least 1"),
        (mlp, {"weight_decay": -1.0}, "weight_decay must be at least 0"),
        (mlp, {"seed": -1}, "seed must be at least 0"),
        (cart, {"trees": 0}, "trees must be at least 1"),
        (cart, {"min_leaf": 0}, "min_leaf must be at least 1"),
        (forest, {"trees": -5}, "trees must be at least 1"),
        (forest, {"max_features": 0.0}, "max_features must be above 0 and at most 1"),
        (boosting, {"rounds": 0}, "rounds must be at least 1"),
        (boosting, {"depth": 0}, "depth must be at least 1"),
        (boosting, {"subsample": 1.5}, "subsample must be above 0 and at most 1"),
        (boosting, {"learning_rate": float("nan")}, "learning_rate must be above 0 and at most 1"),
    ],
)
def test_a_wrong_option_says_what_is_accepted(space, make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(space, **options)
