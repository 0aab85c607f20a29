"""What the mathematics of a surrogate works on: points and a scaled objective, both plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Values

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]  # Z  (n, n_inputs)  features of rows, of about unit range, centred on the training data
Regressor = Callable[[Points], Values]
Fit = Callable[[Points, Values], Regressor]  # distinct points, every column varying, and y of mean 0 and deviation 1


@runtime_checkable
class UncertainRegressor(Protocol):
    """A `Regressor` that knows how far it may be wrong."""

    def noise(self) -> float:
        """The variance that a measurement adds."""

    def __call__(self, Z: Points, /) -> Values:
        """The predictions, (n,)."""

    def variance(self, Z: Points) -> Values:
        """The variance of the error at each point, (n,)."""

    def covariance(self, Z: Points) -> Matrix:
        """The covariance of the errors at points, (n, n)."""


def mean_of(members: Sequence[Regressor]) -> Regressor:
    """The regressor that predicts the mean of its members."""
    return lambda Z: np.mean([member(Z) for member in members], axis=0, dtype=np.float64)


def state(generator: np.random.Generator) -> int:
    """A seed as scikit-learn takes it."""
    return int(generator.integers(2**31))


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
