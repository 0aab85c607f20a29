"""Random search: what every search has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nat_core.contracts import Evaluate, SearchSpace
from nat_core.encoding import random_encodings

_ROWS = 20  # drawn at a time


@dataclass(frozen=True)
class RandomSearch:
    """Rows with every choice equally likely, whatever was measured before."""

    space: SearchSpace

    def search(self, evaluate: Evaluate, names: tuple[str, ...], n: int, seed: int) -> None:
        """Draw and measure until the budget is spent."""
        del names, n
        rng = np.random.default_rng(seed)
        while True:
            evaluate(random_encodings(self.space.variables, _ROWS, rng))
