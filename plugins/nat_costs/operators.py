"""A cost that is a sum over the operators of an architecture: one look-up table, one gather, one sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nat_core.contracts import Operator, OperatorSpace, SearchSpace
from nat_core.encoding import Encodings, Values
from nat_core.errors import ConfigError


@dataclass(frozen=True)
class OperatorSum:
    """The price of every operator; the last price, 0, is that of an empty slot (index -1)."""

    space: OperatorSpace
    prices: Values

    def __call__(self, X: Encodings) -> Values:
        """The cost of canonical rows, (n,). Exact for prices that are whole numbers, while sums are below 2**53."""
        cost: Values = self.prices[self.space.layers(X)].sum(axis=1)
        return cost


def per_operator(space: SearchSpace, name: str, price: Callable[[Operator], float]) -> OperatorSum:
    """The cost model with a price for each operator. Raises `ConfigError` for a space that has no operators."""
    if not isinstance(space, OperatorSpace):
        raise ConfigError(f"the cost {name} needs a space made of operators, and {type(space).__name__} has none")
    return OperatorSum(space, np.array([*map(price, space.operators), 0.0]))
