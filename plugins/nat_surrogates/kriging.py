"""How far a radial-basis interpolant may be wrong: the errors of kriging (Matheron, 1973; Cressie, 1993, chapter 3).

An interpolant with the kernel φ and a linear tail is the best linear prediction of a random function whose generalised
covariance is k(x, z) = φ(|x − z|) + x·z / r, with an unknown mean; the smoothing is the variance of what its
measurements add to it. So the errors of the prediction have a covariance as well, which needs no further parameter but
a scale:

    cov(x, z) = s² (k(x, z) − v(x)ᵀ M⁻¹ v(z)),     v(x) = [k(x, z_1) … k(x, z_n) 1],     M = ⎡ K + smoothing·I  1 ⎤
                                                                                             ⎣        1ᵀ         0 ⎦

The scale is the most likely one, s² = yᵀ a / (n − 1) with the weights a of the interpolant. On neighbours of a front
of the OFA predictor's networks the errors, in these deviations, have a deviation of 0.8 … 1.1. The ratio of noise to
signal is assumed, not estimated: smooth objectives are told with too large errors (down to 0.5), pure noise with too
small ones (up to 1.5). For an ensemble, these are the errors of one interpolant in all inputs; its members see a part
each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nat_core.encoding import Values
from nat_surrogates.points import Fit, Matrix, Points, Regressor, telling
from nat_surrogates.rbf_ensemble import KERNELS, RIDGE, Kernel, tail_penalty

MOST = 500  # points that errors are told from: the matrix to invert is as large
WORST = 1e14  # condition of that matrix, beyond which no digit of a variance would be right


@dataclass(frozen=True)
class Kriged:
    """A `Fit` that gives the regressor of another one, with the errors of kriging."""

    fit: Fit
    kernel: str
    smoothing: float

    def __call__(self, Z: Points, y: Values) -> KrigedRegressor:
        """The errors are told from `MOST` points at most. They are not computed before they are asked for."""
        return KrigedRegressor(self.fit(Z, y), Z, y, KERNELS[self.kernel], max(self.smoothing, RIDGE))


@dataclass(frozen=True)
class KrigedRegressor:
    """An `UncertainRegressor`."""

    mean: Regressor
    Z: Points
    y: Values
    kernel: Kernel
    smoothing: float

    def __call__(self, Z: Points) -> Values:
        """The predictions of the regressor, (n,)."""
        return self.mean(Z)

    def noise(self) -> float:
        """The variance that a measurement adds."""
        return 1.0 if self._told is None else self._told.scale * self.smoothing

    def variance(self, Z: Points) -> Values:
        """The variance of the error at each point, (n,); 0 where it cannot be told."""
        told = self._told
        if told is None:
            return np.zeros(len(Z))
        v = self._seen(Z, told)
        own = np.square(Z).sum(axis=1) / self._penalty  # φ(0) is 0
        left: Values = own - np.einsum("ij,ij->i", v @ told.inverse, v)
        return np.maximum(told.scale * left, 0.0)

    def covariance(self, Z: Points) -> Matrix:
        """The covariance of the errors at points, (n, n); 0 where it cannot be told."""
        told = self._told
        if told is None:
            return np.zeros((len(Z), len(Z)))
        v = self._seen(Z, told)
        return told.scale * (self._k(Z, Z) - v @ told.inverse @ v.T)

    @cached_property
    def _told(self) -> _Told | None:
        rows = telling(self.y, MOST)
        Z, y = self.Z[rows], self.y[rows]
        M = np.ones((len(Z) + 1, len(Z) + 1))
        M[:-1, :-1] = self._k(Z, Z)
        M[np.diag_indices(len(Z))] += self.smoothing
        M[-1, -1] = 0.0
        try:
            inverse: Matrix = np.linalg.inv(M).astype(np.float64, copy=False)
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(inverse).all() or np.abs(M).sum(axis=0).max() * np.abs(inverse).sum(axis=0).max() > WORST:
            return None
        scale = float(y @ (inverse[:-1, :-1] @ y)) / max(len(y) - 1, 1)
        return _Told(Z, inverse, scale) if scale > 0 else None

    def _seen(self, Z: Points, told: _Told) -> Matrix:
        """The v of points, (n, n_told + 1)."""
        return np.column_stack([self._k(Z, told.Z), np.ones(len(Z))])

    def _k(self, A: Points, B: Points) -> Matrix:
        products = A @ B.T
        squared = np.square(A).sum(axis=1)[:, None] + np.square(B).sum(axis=1) - 2 * products
        return self.kernel(np.maximum(squared, 0.0)) + products / self._penalty

    @property
    def _penalty(self) -> float:
        return tail_penalty(self.Z.shape[1])


@dataclass(frozen=True)
class _Told:
    """What is computed once: the points, M⁻¹ (n + 1, n + 1), and s²."""

    Z: Points
    inverse: Matrix
    scale: float
