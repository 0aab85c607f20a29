"""Ridge regression (Hoerl and Kennard, 1970) on the inputs and on indicators of their levels.

With the indicators an input may have any effect, not only a straight one: on measured OFA networks that ranks better
with 100 points or more. Its penalty has the least leave-one-out error, which a ridge regression gives in closed form.
Besides being a surrogate, it stands in where another cannot be fitted: it has a solution for any points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Values
from nat_core.errors import ConfigError, unknown
from nat_surrogates.options import at_least
from nat_surrogates.points import Matrix, Points, Regressor

PENALTIES = np.logspace(-3, 3, 13)  # tried for points of about unit range and y of unit deviation
INPUTS = ("levels", "features")
MOST_LEVELS = 16  # an input with more is a quantity, and gets no indicators


@dataclass(frozen=True)
class Ridge:
    """A `Fit`. The factory `nat_surrogates.ridge` describes the options."""

    penalty: float | None = None
    inputs: str = "levels"

    def __post_init__(self) -> None:
        if self.inputs not in INPUTS:
            raise ConfigError(unknown("inputs", self.inputs, INPUTS))
        if self.penalty is not None:
            at_least(1e-9, penalty=self.penalty)

    def __call__(self, Z: Points, y: Values) -> Regressor:
        """The regression of y on points Z."""
        expand = Indicators.of(Z) if self.inputs == "levels" else Indicators(())
        A = expand(Z)
        centre, offset = A.mean(axis=0), float(y.mean())
        penalties = PENALTIES if self.penalty is None else np.array([self.penalty])
        slopes = least_squares(A - centre, y - offset, penalties)
        return lambda Z: offset + (expand(Z) - centre) @ slopes


@dataclass(frozen=True)
class Indicators:
    """Points with a 0/1 column beside them for every level of some inputs. A new level counts as the nearest known."""

    levels: tuple[tuple[int, NDArray[np.float64]], ...]  # an input, and the values it takes in the training data

    @classmethod
    def of(cls, Z: Points) -> Indicators:
        """For the inputs with 3 … `MOST_LEVELS` levels: two are told apart by the input itself."""
        found = ((i, np.unique(column)) for i, column in enumerate(Z.T))
        return cls(tuple((i, levels) for i, levels in found if 2 < len(levels) <= MOST_LEVELS))

    def __call__(self, Z: Points) -> Matrix:
        """Z and the indicators, (n, n_inputs + n_indicators)."""
        blocks = [Z]
        for i, levels in self.levels:
            nearest = np.abs(Z[:, i, None] - levels).argmin(axis=1)
            blocks.append((nearest[:, None] == np.arange(len(levels))).astype(np.float64))
        return np.hstack(blocks)


def least_squares(A: Matrix, y: Values, penalties: Values) -> Values:
    """The slopes for that penalty which has the least leave-one-out error. A and y have mean 0."""
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    along = U.T @ y
    errors = []
    for penalty in penalties:
        shrinkage = s**2 / (s**2 + penalty)
        leverage = 1 / len(y) + U**2 @ shrinkage
        errors.append(np.square((y - U @ (shrinkage * along)) / np.maximum(1 - leverage, 1e-9)).mean())
    penalty = penalties[int(np.argmin(errors))]
    slopes: Values = Vt.T @ (s / (s**2 + penalty) * along)
    return slopes
