"""A Gaussian process by scikit-learn (Rasmussen and Williams, 2006): Matérn 5/2, one length scale, noise.

All variables share one length scale: on measured OFA networks that ranks better than a scale for each where there are
100 points or fewer, as well with 300, and is fitted ten times faster. Without restarts, nothing is random.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from nat_core.contracts import Function, SearchSpace
from nat_core.encoding import Encodings, Values
from nat_core.errors import ConfigError
from nat_surrogates.learning import learn
from nat_surrogates.points import Matrix, Points, telling


@dataclass(frozen=True)
class GaussianProcess:
    """A `Surrogate`. The factory `nat_surrogates.gp` describes the options."""

    space: SearchSpace
    max_points: int

    def __post_init__(self) -> None:
        if self.max_points < 2:
            raise ConfigError(f"max_points must be at least 2, not {self.max_points}")

    def fit(self, X: Encodings, y: Values) -> Function:
        """A function of an objective's own type. The same rows in any order give the same function."""
        return learn(self._fit, self.space, X, y)

    def _fit(self, Z: Points, y: Values) -> Posterior:
        kept = telling(y, self.max_points)
        return posterior(Z[kept], y[kept])


@dataclass(frozen=True)
class Posterior:
    """The process given the points: an `UncertainRegressor`. What it says of errors is of those without noise."""

    process: GaussianProcessRegressor

    def __call__(self, Z: Points) -> Values:
        """The mean, (n,)."""
        return np.asarray(self.process.predict(Z), dtype=np.float64)

    def noise(self) -> float:
        """The variance that a measurement adds."""
        return float(self.process.kernel_.k2.noise_level * self._scale)

    def variance(self, Z: Points) -> Values:
        """The variance of the error at each point, (n,)."""
        left = self.process.kernel_.k1.diag(Z) - np.square(self._explained(Z)).sum(axis=0)
        return np.asarray(np.maximum(self._scale * left, 0.0))

    def covariance(self, Z: Points) -> Matrix:
        """The covariance of the errors at points, (n, n)."""
        explained = self._explained(Z)
        return np.asarray(self._scale * (self.process.kernel_.k1(Z) - explained.T @ explained))

    def _explained(self, Z: Points) -> Matrix:
        """L⁻¹ k(points, Z), (n_points, n): its columns' products are what the points explain."""
        across = self.process.kernel_.k1(self.process.X_train_, Z)
        return np.asarray(solve_triangular(self.process.L_, across, lower=True))

    @property
    def _scale(self) -> float:
        return float(self.process._y_train_std**2)  # noqa: SLF001 - the process has the unit variance of scaled y


def posterior(Z: Points, y: Values) -> Posterior:
    """The process given the points, its hyperparameters those of the greatest likelihood.

    y is normalised. Lengths are searched within 0.1 … 1000 sides of the unit box, the noise within 1e-6 … 1 variances.
    """
    kernel = Matern(1.0, (0.1, 1e3), nu=2.5) + WhiteKernel(0.01, (1e-6, 1.0))
    process = GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
        # An optimum at a bound of the search is a fine answer: a linear objective has no finite length.
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(Z, y)
    return Posterior(process)
