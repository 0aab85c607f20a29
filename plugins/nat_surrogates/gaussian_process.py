"""A Gaussian process by scikit-learn (Rasmussen and Williams, 2006): Matérn 5/2, one length scale, noise.

All variables share one length scale: on measured OFA networks that ranks better than a scale for each where there are
100 points or fewer, as well with 300, and is fitted ten times faster. Without restarts, nothing is random.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from nat_core.contracts import Function, SearchSpace
from nat_core.encoding import Encodings, Values
from nat_core.errors import ConfigError
from nat_surrogates.learning import learn
from nat_surrogates.points import Points, Regressor


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

    def _fit(self, Z: Points, y: Values) -> Regressor:
        kept = telling(y, self.max_points)
        return posterior_mean(Z[kept], y[kept])


def posterior_mean(Z: Points, y: Values) -> Regressor:
    """The mean of the process given the points, its hyperparameters those of the greatest likelihood.

    y is normalised. Lengths are searched within 0.1 … 1000 sides of the unit box, the noise within 1e-6 … 1 variances.
    """
    kernel = Matern(1.0, (0.1, 1e3), nu=2.5) + WhiteKernel(0.01, (1e-6, 1.0))
    process = GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
        # An optimum at a bound of the search is a fine answer: a linear objective has no finite length.
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(Z, y)
    return lambda Z: np.asarray(process.predict(Z), dtype=np.float64)


def telling(y: Values, most: int) -> NDArray[np.intp]:
    """At most `most` rows to learn from: the best half of them by y, the others evenly spaced in the order of the rest.

    The front is where predictions decide, and the rest must still be recognised as worse.
    """
    order = np.argsort(y, kind="stable")
    if len(y) <= most:
        return order
    best, rest = order[: most // 2], order[most // 2 :]
    spaced = np.linspace(0, len(rest) - 1, most - len(best)).astype(np.intp)
    return np.concatenate([best, rest[spaced]])
