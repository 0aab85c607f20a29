"""Ensembles of regression trees by scikit-learn. They need no scale, and take no account of order beyond a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor
from sklearn.tree import DecisionTreeRegressor

from nat_core.encoding import Values
from nat_core.seeding import rng
from nat_surrogates.options import at_least, share
from nat_surrogates.points import Points, Regressor, mean_of, state


@dataclass(frozen=True)
class Carts:
    """A `Fit`: full-grown trees (Breiman et al., 1984), each on a random subset of inputs, averaged.

    After MSuNAS (Lu et al., 2020), where they are thousands; more than a few hundred change little. The factory
    `nat_surrogates.cart` describes the options.
    """

    trees: int
    min_leaf: int
    seed: int

    def __post_init__(self) -> None:
        at_least(1, trees=self.trees, min_leaf=self.min_leaf)
        at_least(0, seed=self.seed)

    def __call__(self, Z: Points, y: Values) -> Regressor:
        """The mean of the trees; the size of a subset is uniform over 1 … n_inputs, as in the ensemble of RBFs."""
        generator = rng(self.seed, "cart")
        return mean_of([self._grown(Z, y, generator) for _ in range(self.trees)])

    def _grown(self, Z: Points, y: Values, generator: np.random.Generator) -> Regressor:
        inputs = generator.permutation(Z.shape[1])[: generator.integers(1, Z.shape[1] + 1)]
        tree = DecisionTreeRegressor(min_samples_leaf=self.min_leaf, random_state=state(generator))
        tree.fit(Z[:, inputs], y)
        return lambda Z: np.asarray(tree.predict(Z[:, inputs]), dtype=np.float64)


@dataclass(frozen=True)
class Forest:
    """A `Fit`: extremely randomised trees (Geurts et al., 2006). The factory `nat_surrogates.forest` has the options.

    On measured OFA networks they rank as well as a random forest or better, and are grown faster.
    """

    trees: int
    max_features: float
    min_leaf: int
    seed: int

    def __post_init__(self) -> None:
        at_least(1, trees=self.trees, min_leaf=self.min_leaf)
        at_least(0, seed=self.seed)
        share(max_features=self.max_features)

    def __call__(self, Z: Points, y: Values) -> Regressor:
        """The mean of the trees."""
        forest = ExtraTreesRegressor(
            n_estimators=self.trees,
            max_features=self.max_features,
            min_samples_leaf=self.min_leaf,
            random_state=state(rng(self.seed, "forest")),
        )
        forest.fit(Z, y)
        return lambda Z: np.asarray(forest.predict(Z), dtype=np.float64)


@dataclass(frozen=True)
class Boosting:
    """A `Fit`: stochastic gradient boosting (Friedman, 2002). The factory `nat_surrogates.boosting` has the options.

    scikit-learn's histogram-based kind needs thousands of rows to be worth its bins: with 100 it ranks worse.
    """

    rounds: int
    learning_rate: float
    depth: int
    subsample: float
    max_features: float
    seed: int

    def __post_init__(self) -> None:
        at_least(1, rounds=self.rounds, depth=self.depth)
        at_least(0, seed=self.seed)
        share(learning_rate=self.learning_rate, subsample=self.subsample, max_features=self.max_features)

    def __call__(self, Z: Points, y: Values) -> Regressor:
        """The sum of the trees."""
        boosted = GradientBoostingRegressor(
            n_estimators=self.rounds,
            learning_rate=self.learning_rate,
            max_depth=self.depth,
            subsample=self.subsample,
            max_features=self.max_features,
            random_state=state(rng(self.seed, "boosting")),
        )
        boosted.fit(Z, y)
        return lambda Z: np.asarray(boosted.predict(Z), dtype=np.float64)
