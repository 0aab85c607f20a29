"""What a network needs in memory while it looks at one image."""

from __future__ import annotations

import numpy as np

from nat_core.contracts import SearchSpace
from nat_core.encoding import Encodings, Values
from nat_core.errors import ConfigError
from nat_costs.operators import per_operator

BYTES = 4  # of a number in fp32


class WeightsAndActivations:
    """All weights stay; of the activations the most that are alive at once count, over the layers of a network.

    Raises `ConfigError` for a space that does not say how many activations its operators need.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._params = per_operator(space, "memory", lambda operator: operator.params)
        self._space = self._params.space
        if not all(operator.peak for operator in self._space.operators):
            raise ConfigError(
                f"the cost memory needs operators that say their peak of activations, and those of "
                f"{type(space).__name__} do not: set Operator.peak"
            )
        self._peaks = np.array([*(operator.peak for operator in self._space.operators), 0.0])

    def __call__(self, X: Encodings) -> Values:
        """Bytes, (n,). Exact."""
        layers = self._space.layers(X)
        needed: Values = BYTES * (self._params.prices[layers].sum(axis=1) + self._peaks[layers].max(axis=1))
        return needed
