"""One radial-basis interpolant by scipy: what NAT's ensemble has hundreds of.

A cubic interpolant needs a linear tail (Powell, 1992), and its tail the data to determine it. Where there are fewer
than two points to a coefficient, or the inputs depend on each other, a linear kernel with a constant tail stands in: it
is solvable for any distinct points, and on measured OFA networks ranks much better there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RBFInterpolator

from nat_core.encoding import Values
from nat_core.errors import ConfigError, unknown
from nat_surrogates.options import at_least
from nat_surrogates.points import Points, Regressor

KERNELS = {"cubic": "cubic", "linear": "linear", "thin-plate": "thin_plate_spline"}


@dataclass(frozen=True)
class Interpolant:
    """A `Fit`. The factory `nat_surrogates.rbf_single` describes the options."""

    kernel: str
    smoothing: float

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise ConfigError(unknown("kernel", self.kernel, KERNELS))
        at_least(0, smoothing=self.smoothing)

    def __call__(self, Z: Points, y: Values) -> Regressor:
        """The interpolant of y over distinct points Z."""
        if self.kernel == "linear" or not determines_tail(Z):
            function = RBFInterpolator(Z, y, kernel="linear", degree=0, smoothing=self.smoothing)
        else:
            function = RBFInterpolator(Z, y, kernel=KERNELS[self.kernel], degree=1, smoothing=self.smoothing)
        return lambda Z: np.asarray(function(Z), dtype=np.float64)


def determines_tail(Z: Points) -> bool:
    """Whether points leave no doubt about the 1 + n_inputs coefficients of a linear tail."""
    n, coefficients = len(Z), 1 + Z.shape[1]
    tail = np.column_stack([np.ones(n), Z])
    return n >= 2 * coefficients and bool(np.linalg.matrix_rank(tail) == coefficients)
