"""What every surrogate needs around its own mathematics: clean training data in, finite predictions out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# OpenBLAS wakes every core for matrices as small as ours and spins at each barrier: on shared cores that is many times
# slower than one thread, and nowhere much faster. scikit-learn requires this package.
from threadpoolctl import threadpool_limits

from nat_core.contracts import FeatureSpace, Function, SearchSpace
from nat_core.encoding import Encodings, Values, sizes

LOG = logging.getLogger("nat_core")

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]  # Z  (n, n_inputs)  features of rows, of about unit range, centred on the training data
Regressor = Callable[[Points], Values]


@dataclass(frozen=True)
class Inputs:
    """What a surrogate looks at: those features of a space that vary in its training data."""

    space: SearchSpace
    columns: NDArray[np.intp]  # a constant one teaches nothing
    centre: Values  # (n_inputs,)

    def __call__(self, X: Encodings) -> Points:
        """The points Z of canonical rows X."""
        return np.asarray(features(self.space, X)[:, self.columns] - self.centre)


@dataclass(frozen=True)
class Fitted:
    """A fitted surrogate as a function of X. Predicts `otherwise` where the regressor gives no finite number."""

    inputs: Inputs
    regressor: Regressor
    otherwise: float

    def __call__(self, X: Encodings) -> Values:
        """The predictions for rows X, (n,), finite."""
        if not len(X):
            return np.empty(0)
        with threadpool_limits(1, "blas"):
            y = self.regressor(self.inputs(X))
        finite = np.isfinite(y)
        if not finite.all():
            LOG.warning("surrogate: %d of %d predictions are not finite; predicting the mean", (~finite).sum(), len(y))
        return np.where(finite, y, self.otherwise)


def learn(fit: Callable[[Points, Values], Regressor], space: SearchSpace, X: Encodings, y: Values) -> Function:
    """Fit on distinct, scaled rows. Data that `fit` cannot handle are predicted by their mean, with a warning.

    `fit` is called only with n ≥ 2 distinct rows, every column varying, and y that varies.
    """
    X, y = averaged(X, y)
    inputs, mean = varying(space, X), float(y.mean())
    if np.ptp(y) == 0:
        return Fitted(inputs, constant(float(y[0])), mean)
    try:
        with threadpool_limits(1, "blas"):
            regressor = fit(inputs(X), y)
    except np.linalg.LinAlgError as error:
        LOG.warning("surrogate: cannot be fitted to these %d points (%s); predicting their mean", len(y), error)
        regressor = constant(mean)
    return Fitted(inputs, regressor, mean)


def averaged(X: Encodings, y: Values) -> tuple[Encodings, Values]:
    """The distinct rows of X in lexical order, and the mean of y over each one's duplicates."""
    if not len(X) or not np.isfinite(y).all():
        raise ValueError(f"a surrogate needs at least one row and finite y; got {len(X)} rows, y = {y}")
    distinct, which = np.unique(X, axis=0, return_inverse=True)
    which = which.reshape(-1)  # NumPy 2.0 gives it a second axis
    return distinct, np.bincount(which, weights=y) / np.bincount(which)


def features(space: SearchSpace, X: Encodings) -> Points:
    """What the space says a surrogate should look at; else its choice indices, each scaled to 0 … 1."""
    if isinstance(space, FeatureSpace):
        return space.features(X)
    return np.asarray(X / np.maximum(sizes(space.variables) - 1, 1))


def varying(space: SearchSpace, X: Encodings) -> Inputs:
    """The inputs for training rows X: the features that take more than one value in them."""
    Z = features(space, X)
    columns = np.flatnonzero(np.ptp(Z, axis=0))
    return Inputs(space, columns, Z[:, columns].mean(axis=0))


def constant(value: float) -> Regressor:
    """The regressor that predicts one value everywhere."""
    return lambda Z: np.full(len(Z), value)
