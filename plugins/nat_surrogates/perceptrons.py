"""A few small multi-layer perceptrons by scikit-learn, their predictions averaged.

Small data allow L-BFGS, which needs no learning rate. The weight decay is strong: with the library's default the
networks go through their points, noise and all.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from nat_core.encoding import Values
from nat_core.seeding import rng
from nat_surrogates.options import at_least
from nat_surrogates.points import Points, Regressor, mean_of, state


@dataclass(frozen=True)
class Perceptrons:
    """A `Fit`. The factory `nat_surrogates.mlp` describes the options."""

    networks: int
    hidden: int
    weight_decay: float
    iterations: int
    seed: int

    def __post_init__(self) -> None:
        at_least(1, networks=self.networks, hidden=self.hidden, iterations=self.iterations)
        at_least(0, weight_decay=self.weight_decay, seed=self.seed)

    def __call__(self, Z: Points, y: Values) -> Regressor:
        """The mean of networks that differ in where they began."""
        generator = rng(self.seed, "mlp")
        return mean_of([self._fitted(Z, y, state(generator)) for _ in range(self.networks)])

    def _fitted(self, Z: Points, y: Values, seed: int) -> Regressor:
        network = MLPRegressor(
            hidden_layer_sizes=(self.hidden,),
            solver="lbfgs",
            alpha=self.weight_decay,
            max_iter=self.iterations,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is part of the regularisation
            network.fit(Z, y)
        return lambda Z: np.asarray(network.predict(Z), dtype=np.float64)
