"""Milliseconds as a sum over a latency table."""

from __future__ import annotations

import numpy as np

from nat_core.contracts import SearchSpace
from nat_core.encoding import Encodings, Values
from nat_core.errors import ConfigError
from nat_core.latency.operators import reachable
from nat_core.latency.tables import read, require_all
from nat_costs.operators import per_operator


class TableLatency:
    """The sum over the operators of a network, corrected where whole networks were measured.

    Meets `Fingerprinted`: a run does not go on with other times or another correction. Raises `ConfigError` for a
    table that lacks an operator of the space.
    """

    def __init__(self, space: SearchSpace, table: tuple[str, ...], device: str | None, *, corrected: bool) -> None:
        self.table = read(table, device)
        self._sum = per_operator(space, "latency", self.table.price)
        operators = self._sum.space.operators
        if np.isnan(self._sum.prices).any():  # a space may list operators that no network of it has
            mine = [operators[i] for i in reachable(self._sum.space)]
            require_all(self.table, mine, f"the latency table {', '.join(table)}")
        self._correction = self.table.correction if corrected else None
        self.fingerprint = self.table.fingerprint(corrected=corrected)

    def __call__(self, X: Encodings) -> Values:
        """Milliseconds, (n,)."""
        total = self._sum(X)
        if np.isnan(total).any():
            lacking = self._sum.space.layers(X)[np.isnan(total)].ravel()
            index = next(i for i in lacking if np.isnan(self._sum.prices[i]))
            raise ConfigError(f"the latency table lacks {self._sum.space.operators[int(index)].name!r}")
        if self._correction is None:
            return total
        corrected: Values = self._correction.scale * total + self._correction.offset
        return corrected
