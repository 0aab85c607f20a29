"""NAT's surrogate: the mean of many radial-basis interpolants, each on a random subset of variables.

After Lu et al., "Neural Architecture Transfer", TPAMI 2021, and the released code: 500 cubic interpolants
with a linear tail (Powell, 1992). Three things differ. All members are solved and evaluated as stacked matrices, since
one at a time they take minutes. A member whose points do not determine its linear tail (fewer points than variables, or
points that coincide in its subset) is not drawn again, but has the slopes of its tail held back by a small penalty. And
members need not go through their points: on measured OFA networks that ranks a little better (Kendall 0.889 against
0.880 with 100 points, alike with 300); `smoothing=0` gives back the released behaviour.

A member with features w (a 0/1 mask) and samples z_1 … z_k predicts Σ_i a_i φ(|w∘(z − z_i)|) + b + c·(w∘z), where

    ⎡ Φ + smoothing·I   1    W  ⎤ ⎡a⎤   ⎡y⎤
    ⎢       1ᵀ          0    0  ⎥ ⎢b⎥ = ⎢0⎥     Φ_ij = φ(|w∘(z_i − z_j)|),  W's rows are w∘z_i
    ⎣       Wᵀ          0  −r·I ⎦ ⎣c⎦   ⎣0⎦

Without c this is a system with the matrix Φ + smoothing·I + W Wᵀ/r. For the φ here it is positive definite on
Σ a_i = 0, and so solvable whatever the points, if r is small enough: `tail_penalty`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import Function, SearchSpace
from nat_core.encoding import Encodings, Values
from nat_core.errors import ConfigError, unknown
from nat_core.seeding import rng
from nat_surrogates.learning import Matrix, Points, learn

Kernel = Callable[[Matrix], Matrix]  # squared distances → φ of the distances
Masks = NDArray[np.float64]  # (members, n_inputs)  1 where a member looks at an input, else 0
Samples = NDArray[np.int64]  # (members, k)  the rows of Z that a member sees

RIDGE = 1e-6  # the least smoothing, as released: points with different y may coincide in a member's subset
CHUNK = 120_000  # numbers in one temporary array: they stay in the cache, and memory stays bounded at any n


@dataclass(frozen=True)
class RbfEnsemble:
    """A `Surrogate`. The factory `nat_surrogates.rbf` describes the options."""

    space: SearchSpace
    members: int
    kernel: str
    sample_fraction: float
    smoothing: float
    seed: int

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise ConfigError(unknown("kernel", self.kernel, KERNELS))
        if self.members < 1:
            raise ConfigError(f"members must be at least 1, not {self.members}")
        if not 0 < self.sample_fraction <= 1:
            raise ConfigError(f"sample_fraction must be above 0 and at most 1, not {self.sample_fraction}")
        if not 0 <= self.smoothing < np.inf:
            raise ConfigError(f"smoothing must be 0 or more, not {self.smoothing}")

    def fit(self, X: Encodings, y: Values) -> Function:
        """A function of an objective's own type. The same rows in any order give the same function."""
        return learn(self._fit, self.space, X, y)

    def _fit(self, Z: Points, y: Values) -> Interpolants:
        masks, samples = subsets(len(Z), Z.shape[1], self.members, self.sample_fraction, rng(self.seed, "rbf"))
        return interpolate(Z, y, masks, samples, KERNELS[self.kernel], self.smoothing, tail_penalty(Z.shape[1]))


@dataclass(frozen=True)
class Interpolants:
    """The mean of fitted members. They share one list of centres; a member's weight is 0 where it has no sample."""

    kernel: Kernel
    centres: Points  # (n, n_inputs)
    masks: Masks  # (members, n_inputs)
    weights: Matrix  # (n, members)
    tails: Matrix  # (members, 1 + n_inputs)
    offset: float

    def __call__(self, Z: Points) -> Values:
        """The mean over members, (n,), for n ≥ 1 points."""
        rows = max(1, CHUNK // self.weights.size)
        radial = [self._radial(Z[start : start + rows]) for start in range(0, len(Z), rows)]
        tail = self.tails.mean(axis=0)
        return np.asarray(np.concatenate(radial) + tail[0] + Z @ tail[1:] + self.offset)

    def _radial(self, Z: Points) -> Values:
        """The radial part, (n,). One product gives the squared distances of all members, as masks are 0 or 1."""
        differences = Z[:, None, :] - self.centres
        squared = np.square(differences).reshape(-1, Z.shape[1]) @ self.masks.T
        radial: Values = self.kernel(squared).reshape(len(Z), -1) @ self.weights.ravel()
        return radial / len(self.masks)


def subsets(n: int, n_inputs: int, members: int, fraction: float, rng: np.random.Generator) -> tuple[Masks, Samples]:
    """For every member 1 … n_inputs random inputs, and `fraction` of the n samples (as many for each: they stack)."""
    features = rng.integers(1, n_inputs + 1, size=(members, 1))
    masks = rng.random((members, n_inputs)).argsort(axis=1).argsort(axis=1) < features
    samples = rng.random((members, n)).argsort(axis=1)[:, : max(1, round(fraction * n))]
    return masks.astype(np.float64), samples


def tail_penalty(n_inputs: int) -> float:
    """The penalty r on the slopes of a tail.

    A third of what keeps cubic members definite in a unit box: 1 / (3 √n_inputs), found by trying clouds, corners and
    lines. With fewer points than inputs it ranks much better than a free tail; with 100 points it hardly shows.
    """
    return 0.1 / float(np.sqrt(n_inputs))


def interpolate(
    Z: Points, y: Values, masks: Masks, samples: Samples, kernel: Kernel, smoothing: float, penalty: float
) -> Interpolants:
    """All members, solved a few at a time."""
    offset = y.mean()
    weights, tails = np.zeros((len(masks), len(Z))), np.zeros((len(masks), 1 + Z.shape[1]))
    k = samples.shape[1]
    chunk = max(1, CHUNK // k**2)
    for start in range(0, len(masks), chunk):
        some = slice(start, start + chunk)
        rows = samples[some]
        A = systems(Z[rows] * masks[some, None, :], kernel, smoothing, penalty)
        b = np.zeros(A.shape[:2])
        b[:, :k] = y[rows] - offset
        solved = np.linalg.solve(A, b[:, :, None])[:, :, 0]
        np.put_along_axis(weights[some], rows, solved[:, :k], axis=1)
        tails[some] = solved[:, k:]
    return Interpolants(kernel, Z, masks, np.ascontiguousarray(weights.T), tails, float(offset))


def systems(W: Matrix, kernel: Kernel, smoothing: float, penalty: float) -> Matrix:
    """The matrices of the linear systems, (members, k + 1 + n_inputs, …), for masked samples W (members, k, n_inputs).

    The row of an input that a member does not look at is zero but for its diagonal, so that its slope is 0.
    """
    members, k, n_inputs = W.shape
    A = np.zeros((members, k + 1 + n_inputs, k + 1 + n_inputs))
    A[:, :k, :k] = kernel(squared_distances(W))
    A[:, :k, k] = A[:, k, :k] = 1.0
    A[:, :k, k + 1 :] = W
    A[:, k + 1 :, :k] = W.transpose(0, 2, 1)
    diagonal = np.arange(k + 1 + n_inputs)
    A[:, diagonal, diagonal] += np.repeat([max(smoothing, RIDGE), 0.0, -penalty], [k, 1, n_inputs])
    return A


def squared_distances(W: Matrix) -> Matrix:
    """Between the rows of each matrix in a stack: (…, k, n) → (…, k, k)."""
    lengths = np.square(W).sum(axis=-1)
    squared = lengths[..., :, None] + lengths[..., None, :] - 2 * W @ W.swapaxes(-1, -2)
    return np.asarray(np.maximum(squared, 0.0))


def cubic(squared: Matrix) -> Matrix:
    """d³."""
    phi = np.sqrt(squared)
    phi *= squared  # in place: new arrays cost as much as the arithmetic
    return phi


def linear(squared: Matrix) -> Matrix:
    """−d; the sign makes it positive definite on Σ a_i = 0."""
    return -np.sqrt(squared)


def thin_plate(squared: Matrix) -> Matrix:
    """d² log d, and 0 at 0."""
    return 0.5 * squared * np.log(np.maximum(squared, np.finfo(np.float64).tiny))


KERNELS: Mapping[str, Kernel] = {"cubic": cubic, "linear": linear, "thin-plate": thin_plate}
