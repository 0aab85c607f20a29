"""What every surrogate needs around its own mathematics: clean, scaled training data in, finite predictions out.

What cannot be fitted, or predicts what is not finite, is replaced along one chain: the surrogate that was asked for,
then a ridge regression, then the mean. It says so in a warning, and depends on nothing but the data.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.linalg  # noqa: F401  (it brings a BLAS of its own, which the controller below has to find)
from numpy.typing import NDArray

# OpenBLAS wakes every core for matrices as small as ours and spins at each barrier: on shared cores that is many times
# slower than one thread, and nowhere much faster. scikit-learn requires this package.
from threadpoolctl import ThreadpoolController

from nat_core.contracts import FeatureSpace, Function, SearchSpace
from nat_core.encoding import Encodings, Values, sizes
from nat_surrogates.linear_model import Ridge
from nat_surrogates.points import Fit, Matrix, Points, Regressor, UncertainRegressor

__all__ = ["Fitted", "Inputs", "Learner", "Matrix", "Points", "Regressor", "averaged", "features", "learn", "varying"]

LOG = logging.getLogger("nat_core")
BLAS = ThreadpoolController()  # made once: looking through all loaded libraries takes longer than a prediction

FAILURES = (ArithmeticError, ValueError)  # FloatingPointError is one of the first, LinAlgError one of the second


def mean(_Z: Points, y: Values) -> Regressor:
    """The `Fit` that no data can break."""
    value = float(y.mean())
    return lambda Z: np.full(len(Z), value)


STAND_INS: tuple[tuple[str, Fit], ...] = (("a ridge regression", Ridge()), ("the mean", mean))
MEAN: tuple[str, Regressor] = ("the mean", lambda Z: np.zeros(len(Z)))  # of scaled y


@dataclass(frozen=True)
class Learner:
    """A `Surrogate` of a space, made of a way to fit points."""

    space: SearchSpace
    fit_points: Fit

    def fit(self, X: Encodings, y: Values) -> Function:
        """A function of an objective's own type. The same rows in any order give the same function."""
        return learn(self.fit_points, self.space, X, y)


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
class Unit:
    """The scale that regressors learn on: log(1 + u) with u from 0 for the least y to 1 for the largest, standardised.

    Beyond them it goes on straight: what is predicted out there is not made more of than it is.

    Errors have a long tail: poor networks differ by much, good ones by little, and those are what a search is about. On
    measured OFA networks the logarithm raises Kendall's tau for every smooth surrogate, most for the simplest (ridge
    regression: 0.87 to 0.90 from 100 networks, 0.91 to 0.93 from 300), and changes nothing for trees.
    """

    exponent: (
        int  # y is divided by this power of two first, which rounds nothing, wherever in the range of floats it lies
    )
    least: float  # of what is left, at most 1 in size
    span: float  # between the least and the largest; 0 where y is constant
    mean: float  # of the logarithms
    deviation: float

    @classmethod
    def of(cls, y: Values) -> Unit:
        """The scale of finite y, (n,) with n ≥ 1."""
        exponent = exponent_of(y)
        small = np.ldexp(y, -exponent)
        least, span = float(small.min()), float(np.ptp(small))
        if span == 0:
            return cls(exponent, least, 0.0, 0.0, 1.0)
        logarithms = np.log1p((small - least) / span)
        return cls(exponent, least, span, float(logarithms.mean()), float(logarithms.std()))

    def scaled(self, y: Values) -> Values:
        """What regressors learn, for y in its own unit."""
        return (np.log1p((np.ldexp(y, -self.exponent) - self.least) / self.span) - self.mean) / self.deviation

    def measured(self, predicted: Values) -> Values:
        """The inverse of `scaled`; infinite where no float is as large."""
        with np.errstate(over="ignore", invalid="ignore"):
            logarithms = predicted * self.deviation + self.mean
            inside = np.clip(logarithms, 0.0, np.log(2.0))
            u = np.expm1(inside) + (1.0 + np.expm1(inside)) * (logarithms - inside)
            return np.ldexp(u * self.span + self.least, self.exponent)


@dataclass(frozen=True)
class Fitted:
    """A fitted surrogate as a function of X. Where a link of its chain has no finite number to give, the next does."""

    inputs: Inputs
    unit: Unit
    chain: tuple[tuple[str, Regressor], ...]  # with names for a person; the last one is the mean
    faults: Iterator[int] = field(default_factory=itertools.count, compare=False, repr=False)

    def __call__(self, X: Encodings) -> Values:
        """The predictions for rows X, (n,), finite."""
        y = np.full(len(X), np.nan)
        if not len(X):
            return y
        Z = self.inputs(X)
        for i, (_, regressor) in enumerate(self.chain):
            left = ~np.isfinite(y)
            y[left], reason = self._predicted(regressor, Z[left])
            bad = len(y) - int(np.isfinite(y).sum())
            if not bad:
                break
            if not next(self.faults):  # an optimizer asks hundreds of times
                stands_in = self.chain[i + 1][0]
                LOG.warning("surrogate: %d of %d predictions %s; %s stands in", bad, len(y), reason, stands_in)
        return y

    def _predicted(self, regressor: Regressor, Z: Points) -> tuple[Values, str]:
        """What a link predicts, in the unit of y, and what is wrong where that is not finite."""
        try:
            with BLAS.limit(limits=1, user_api="blas"):
                return self.unit.measured(regressor(Z)), "are not finite"
        except FAILURES as error:
            return np.full(len(Z), np.nan), f"failed ({error})"


@dataclass(frozen=True)
class Uncertain:
    """A fitted surrogate that knows how far it may be wrong, as an `UncertainFunction`."""

    fitted: Fitted
    regressor: UncertainRegressor  # the first of the chain

    def __call__(self, X: Encodings) -> Values:
        """The predictions for rows X, (n,), finite."""
        return self.fitted(X)

    def at_best(self, X: Encodings, deviations: float) -> Values:
        """The predictions less so many standard deviations, (n,); where these cannot be told, the predictions."""
        if not len(X):
            return np.zeros(0)
        Z = self.fitted.inputs(X)
        try:
            with BLAS.limit(limits=1, user_api="blas"):
                lower = self.regressor(Z) - deviations * np.sqrt(self.regressor.variance(Z))
            hoped = self.fitted.unit.measured(lower)
        except FAILURES:
            return self(X)
        return hoped if np.isfinite(hoped).all() else np.where(np.isfinite(hoped), hoped, self(X))

    def believe(self, X: Encodings) -> Beliefs:
        """What it takes the rows to be, together; where that cannot be told, certainly what is predicted."""
        predicted, Z = self(X), self.fitted.inputs(X)
        try:
            with BLAS.limit(limits=1, user_api="blas"):
                mean, covariance, noise = self.regressor(Z), self.regressor.covariance(Z), self.regressor.noise()
        except FAILURES:
            mean, covariance, noise = np.full(len(X), np.nan), np.zeros((len(X), len(X))), 1.0
        return Beliefs(self.fitted.unit, predicted, mean, covariance, noise)


@dataclass(frozen=True)
class Beliefs:
    """A `Belief`: means and covariances on the scale that regressors learn on."""

    unit: Unit
    predicted: Values  # in the objective's unit: what stands in where the others are not finite
    mean: Values
    covariance: Matrix
    noise: float  # variance of a measurement

    def at_best(self, deviations: float) -> Values:
        """The predictions less so many standard deviations, (n,), in the objective's own unit."""
        spread = np.sqrt(np.maximum(self.covariance.diagonal(), 0.0))
        hoped = self.unit.measured(self.mean - deviations * spread)
        return np.where(np.isfinite(hoped), hoped, self.predicted)

    def knowing(self, row: int) -> Beliefs:
        """The belief once a row has been measured: conditioning does not ask for the value."""
        with_all = self.covariance[:, row]
        total = with_all[row] + self.noise
        if total <= 0:  # nothing is left to be known
            return self
        return replace(self, covariance=self.covariance - np.outer(with_all, with_all) / total)


def learn(fit: Fit, space: SearchSpace, X: Encodings, y: Values) -> Function:
    """Fit on distinct, scaled points; where that cannot be done, a ridge regression, then the mean, with a warning.

    `fit` is called only with n ≥ 2 distinct points, every column varying, and y of mean 0 and deviation 1.
    """
    X, y = averaged(X, y)
    inputs = varying(space, X)
    if not len(inputs.columns):
        return Fitted(inputs, Unit.of(y), (MEAN,))
    Z, y = averaged(inputs(X), y)  # two networks may have the same features
    unit = Unit.of(y)
    if unit.span == 0:
        return Fitted(inputs, unit, (MEAN,))
    fitted = Fitted(inputs, unit, chain((("the surrogate", fit), *STAND_INS), Z, unit.scaled(y)))
    first = fitted.chain[0][1]
    return Uncertain(fitted, first) if isinstance(first, UncertainRegressor) else fitted


def chain(links: tuple[tuple[str, Fit], ...], Z: Points, y: Values) -> tuple[tuple[str, Regressor], ...]:
    """The links from the first that can be fitted on. Those behind it are fitted when they are needed."""
    for i, (name, fit) in enumerate(links):
        try:
            with BLAS.limit(limits=1, user_api="blas"):
                regressor = fit(Z, y)
        except FAILURES as error:
            next_name = links[i + 1][0]
            LOG.warning(
                "surrogate: %s cannot be fitted to %d points (%s); %s stands in", name, len(y), error, next_name
            )
        else:
            return ((name, regressor), *((n, postponed(f, Z, y)) for n, f in links[i + 1 :]))
    return ()  # not reached: the mean can be fitted to anything


def postponed(fit: Fit, Z: Points, y: Values) -> Regressor:
    """The regressor that is fitted anew whenever it is asked: it seldom is."""

    def predict(asked: Points) -> Values:
        return fit(Z, y)(asked)

    return predict


def averaged(X: NDArray[Any], y: Values) -> tuple[NDArray[Any], Values]:
    """The distinct rows of X in lexical order, and the mean of y over each one's duplicates."""
    if not len(X) or not np.isfinite(y).all():
        raise ValueError(f"a surrogate needs at least one row and finite y; got {len(X)} rows, y = {y}")
    distinct, which = np.unique(X, axis=0, return_inverse=True)
    which = which.reshape(-1)  # NumPy 2.0 gives it a second axis
    exponent = exponent_of(y)  # a sum of large numbers may be too large
    means = np.bincount(which, weights=np.ldexp(y, -exponent)) / np.bincount(which)
    return distinct, np.ldexp(means, exponent)


def exponent_of(y: Values) -> int:
    """The power of two above all of y in size."""
    return int(np.frexp(np.abs(y).max())[1])


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
