"""What the mathematics of a surrogate works on: points and a scaled objective, both plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Values

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]  # Z  (n, n_inputs)  features of rows, of about unit range, centred on the training data
Regressor = Callable[[Points], Values]
Fit = Callable[[Points, Values], Regressor]  # distinct points, every column varying, and y of mean 0 and deviation 1


def mean_of(members: Sequence[Regressor]) -> Regressor:
    """The regressor that predicts the mean of its members."""
    return lambda Z: np.mean([member(Z) for member in members], axis=0, dtype=np.float64)


def state(generator: np.random.Generator) -> int:
    """A seed as scikit-learn takes it."""
    return int(generator.integers(2**31))
