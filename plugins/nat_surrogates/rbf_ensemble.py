"""NAT's surrogate: the mean of many radial-basis interpolants, each on random subsets of features and of measurements.

After Lu et al., "Neural Architecture Transfer", TPAMI 2021, and the released code: 500 cubic interpolants with a linear
tail (Powell, 1992). Four things differ.

Features that tell more are drawn more often, and no subset is small. Where one feature decides most (the resolution of
the pictures, say), members that miss it spoil the mean; and members of few features cannot tell good networks apart.

Members share subsets of features: twenty that differ in their measurements alone have one radial part, since the sum of
their weights predicts the sum of their predictions. So 500 members cost a prediction what 25 would.

Slopes of the tail are held back by a small penalty: every system can be solved, however few or alike its points.

Members need not go through their points: `smoothing=0` gives back the released behaviour.

A member with features w (a 0/1 mask) and samples z_1 … z_k predicts Σ_i a_i φ(|w∘(z − z_i)|) + b + c·(w∘z), where

    ⎡ Φ + smoothing·I   1    W  ⎤ ⎡a⎤   ⎡y⎤
    ⎢       1ᵀ          0    0  ⎥ ⎢b⎥ = ⎢0⎥     Φ_ij = φ(|w∘(z_i − z_j)|),  W's rows are w∘z_i
    ⎣       Wᵀ          0  −r·I ⎦ ⎣c⎦   ⎣0⎦

The last row gives c = Wᵀa/r, which leaves a system with the matrix S = Φ + smoothing·I + W Wᵀ/r. For the φ here S is
positive definite on Σ a_i = 0 if r is small enough (`tail_penalty`). With P the projection onto Σ a_i = 0, that is

    (P S P + 1 1ᵀ/k) a = P y,      b = mean of y − S a

which a Cholesky factorisation solves. Members of one subset need not have one each: they differ in the few points that
they leave out, and the inverse of the system of all points gives every one of them (`solve_without`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.lapack import dpotri

from nat_core.encoding import Values
from nat_core.errors import ConfigError, unknown
from nat_core.seeding import rng
from nat_surrogates.options import at_least
from nat_surrogates.points import Matrix, Points

Kernel = Callable[[Matrix], Matrix]  # squared distances → φ of the distances
Masks = NDArray[np.float64]  # (subsets, n_inputs)  1 where members look at an input, else 0

RIDGE = 1e-6  # the least smoothing, as released: points with different y may coincide in a subset of features
CHUNK = 120_000  # numbers in one temporary array: they stay in the cache, and memory stays bounded at any n
WORST = 1e7  # condition of a system whose inverse leaves more digits right than anybody looks at: nine


@dataclass(frozen=True)
class RbfEnsemble:
    """A `Fit`. The factory `nat_surrogates.rbf` describes the options."""

    members: int
    subsets: int
    least_share: float
    sample_fraction: float
    max_samples: int
    kernel: str
    smoothing: float
    seed: int

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise ConfigError(unknown("kernel", self.kernel, KERNELS))
        at_least(1, members=self.members, subsets=self.subsets, max_samples=self.max_samples)
        if not 0 < self.sample_fraction <= 1:
            raise ConfigError(f"sample_fraction must be above 0 and at most 1, not {self.sample_fraction}")
        if not 0 <= self.least_share <= 1:
            raise ConfigError(f"least_share must be from 0 to 1, not {self.least_share}")
        if not 0 <= self.smoothing < np.inf:
            raise ConfigError(f"smoothing must be 0 or more, not {self.smoothing}")

    def __call__(self, Z: Points, y: Values) -> Interpolants:
        """Draw the subsets and solve for all members."""
        draw = rng(self.seed, "rbf")
        masks = feature_subsets(Z, y, min(self.subsets, self.members), self.least_share, draw)
        k = min(max(1, round(self.sample_fraction * len(Z))), self.max_samples)
        samples = [
            np.stack([np.sort(draw.permutation(len(Z))[:k]) for _ in range(n)])
            for n in shares(self.members, len(masks))
        ]
        return interpolate(Z, y, masks, samples, KERNELS[self.kernel], self.smoothing, tail_penalty(Z.shape[1]))


@dataclass(frozen=True)
class Interpolants:
    """The mean of fitted members: one radial part for each subset of features, with the weights of all its members."""

    kernel: Kernel
    centres: Points  # (n, n_inputs)
    masks: Masks  # (subsets, n_inputs)
    weights: Matrix  # (n, subsets)
    slopes: Values  # (n_inputs,)
    offset: float

    def __call__(self, Z: Points) -> Values:
        """The mean over members, (n,), for n ≥ 1 points."""
        rows = max(1, CHUNK // len(self.centres))
        radial = [self._radial(Z[start : start + rows]) for start in range(0, len(Z), rows)]
        return np.asarray(np.concatenate(radial) + Z @ self.slopes + self.offset)

    def _radial(self, Z: Points) -> Values:
        """The radial part, (n,). What is left out of a subset is less than what is in it, and so quicker subtracted."""
        to_centres, left_out = self._distances
        everywhere, total = lifted(Z) @ to_centres, np.zeros(len(Z))
        for (columns, to_centres), weights in zip(left_out, self.weights.T, strict=True):
            squared = everywhere - lifted(Z[:, columns]) @ to_centres
            np.maximum(squared, 0.0, out=squared)  # rounding may leave less
            total += self.kernel(squared) @ weights
        return total

    @cached_property
    def _distances(self) -> tuple[Matrix, list[tuple[NDArray[np.intp], Matrix]]]:
        """What makes squared distances of points: in all inputs, and in those that each subset leaves out."""
        left_out = [np.flatnonzero(mask == 0) for mask in self.masks]
        return distances_to(self.centres), [(columns, distances_to(self.centres[:, columns])) for columns in left_out]


def lifted(Z: Points) -> Matrix:
    """Points with two more columns, (n, n_inputs + 2): times `distances_to(C)` they are squared distances (n, m).

    |z − c|² = |z|² + |c|² − 2 z·c, all by one product of matrices.
    """
    return np.column_stack([Z, np.square(Z).sum(axis=1), np.ones(len(Z))])


def distances_to(C: Points) -> Matrix:
    """The other factor, (n_inputs + 2, m)."""
    return np.vstack([-2.0 * C.T, np.ones(len(C)), np.square(C).sum(axis=1)])


def feature_subsets(Z: Points, y: Values, n: int, least_share: float, rng: np.random.Generator) -> Masks:
    """`n` subsets of between `least_share` of all inputs and all of them, at least one.

    An input's chance is in proportion to the share of y that it explains alone, plus the mean of these shares. Drawn
    without replacement by exponential clocks (Efraimidis and Spirakis, 2006).
    """
    n_inputs = Z.shape[1]
    sizes = rng.integers(max(1, int(least_share * n_inputs)), n_inputs + 1, size=(n, 1))
    alone = explained(Z, y)
    clocks = rng.exponential(size=(n, n_inputs)) / (alone + alone.mean() + np.finfo(float).tiny)
    masks: Masks = (clocks.argsort(axis=1).argsort(axis=1) < sizes).astype(np.float64)
    return masks


def explained(Z: Points, y: Values) -> Values:
    """The share of y's variance that each input explains by a line, (n_inputs,): its squared correlation."""
    Z, y = Z - Z.mean(axis=0), y - y.mean()
    squared: Values = (y @ Z) ** 2 / ((y @ y) * np.square(Z).sum(axis=0))
    return squared


def shares(members: int, subsets: int) -> Iterator[int]:
    """How many of the members each subset of features gets, as even as can be."""
    return (members // subsets + (i < members % subsets) for i in range(subsets))


def tail_penalty(n_inputs: int) -> float:
    """The penalty r on the slopes of a tail.

    A third of what keeps cubic members definite in a unit box: 1 / (3 √n_inputs), found by trying clouds, corners and
    lines. With fewer points than inputs it ranks much better than a free tail; with 100 points it hardly shows.
    """
    return 0.1 / float(np.sqrt(n_inputs))


def interpolate(
    Z: Points,
    y: Values,
    masks: Masks,
    samples: list[NDArray[np.intp]],
    kernel: Kernel,
    smoothing: float,
    penalty: float,
) -> Interpolants:
    """Solve for all members: those with `masks[i]` see, one each, the rows `samples[i]` (members, k) of Z."""
    weights, slopes, offset = np.zeros((len(Z), len(masks))), np.zeros(Z.shape[1]), 0.0
    for i, (mask, draws) in enumerate(zip(masks, samples, strict=True)):
        S, W = system(Z * mask, kernel, smoothing, penalty)
        weights[:, i], constants = solve_all(S, y, draws)
        offset += constants
        slopes += W.T @ weights[:, i] / penalty
    members = sum(map(len, samples))
    return Interpolants(kernel, Z, masks, weights / members, slopes / members, offset / members)


def system(W: Points, kernel: Kernel, smoothing: float, penalty: float) -> tuple[Matrix, Points]:
    """S (n, n) of all points in a subset of features W (n, n_inputs), which is 0 where the mask is; and W."""
    products = W @ W.T
    S = kernel(squared_distances(products)) + products / penalty
    S[np.diag_indices_from(S)] += max(smoothing, RIDGE)
    return np.asarray(S), W


def solve_all(S: Matrix, y: Values, samples: NDArray[np.intp]) -> tuple[Values, float]:
    """The sum of all members' weights, (n,), and of their constants: each sees one row of `samples` (members, k)."""
    members, k = samples.shape
    if len(S) - k < k:  # else the system of a member is the smaller one
        sees = np.zeros((members, len(S)), dtype=bool)
        np.put_along_axis(sees, samples, values=True, axis=1)
        if (B := inverse(S)) is not None:
            return solve_without(S, B, y, np.nonzero(~sees)[1].reshape(members, -1))
    weights, constants = np.zeros(len(S)), 0.0
    for rows in samples:
        a, b = solve(S[np.ix_(rows, rows)], y[rows])
        weights[rows] += a
        constants += b
    return weights, constants


def solve_without(S: Matrix, B: Matrix, y: Values, left_out: NDArray[np.intp]) -> tuple[Values, float]:
    """As `solve_all`, for members that each leave one row of `left_out` (members, o) out; B is the inverse of S.

    A point is left out if its y is such that its weight is 0. With all points the weights are a = B y; y changes by t
    at the points O that a member leaves out, so that a_O + B_OO t = 0: a small system.
    """
    a = B @ y
    t = np.linalg.solve(B[left_out[:, :, None], left_out[:, None, :]], -a[left_out][:, :, None])[:, :, 0]
    changed = len(left_out) * y
    np.add.at(changed, left_out, t)
    weights = B @ changed
    return weights, float(changed.mean() - S.mean(axis=0) @ weights)


def solve(S: Matrix, y: Values) -> tuple[Values, float]:
    """The weights a (k,) with Σ a = 0, and the constant b, of one member."""
    a = cho_solve(cho_factor(constrained(S)[0], lower=True), y - y.mean())
    return a, float(np.mean(y - S @ a))


def inverse(S: Matrix) -> Matrix | None:
    """What gives the weights a = B y with Σ a = 0; none where too few digits of it would be right."""
    definite, level = constrained(S)
    try:
        factor, _ = cho_factor(definite, lower=True)
    except LinAlgError:
        return None
    lower = np.tril(dpotri(factor, lower=True)[0])
    B = lower + np.tril(lower, -1).T
    if not np.linalg.norm(definite, 1) * np.linalg.norm(B, 1) < WORST:
        return None
    return np.asarray(B - 1.0 / (level * len(S)))  # without the part along 1 1ᵀ


def constrained(S: Matrix) -> tuple[Matrix, float]:
    """P S P + level · 1 1ᵀ/k, and the level: of the size of the matrix, though any positive number would do."""
    mean = S.mean(axis=0)
    centred = S - mean - mean[:, None] + mean.mean()
    level = float(np.trace(centred)) / len(S) or 1.0
    return centred + level / len(S), level


def squared_distances(products: Matrix) -> Matrix:
    """Between points with these scalar products, (k, k)."""
    lengths = products.diagonal()
    return np.asarray(np.maximum(lengths[:, None] + lengths - 2 * products, 0.0))


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
