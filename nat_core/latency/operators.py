"""Which operators the networks of a space are really made of."""

from __future__ import annotations

import numpy as np

from nat_core.contracts import OperatorSpace
from nat_core.encoding import everything
from nat_core.seeding import rng

_ROWS, _MOST = 4096, 64  # rows that are drawn at a time, and how often at most


def reachable(space: OperatorSpace) -> list[int]:
    """The operators of a space's networks, as indices, in rising order; a space may list others beside them.

    A small space is gone through; of a large one networks are drawn until three draws in a row show nothing new.
    """
    listed = everything(space.variables)
    if listed is not None:
        found = np.unique(space.layers(space.canonicalize(listed)))
        return [int(i) for i in found if i >= 0]
    generator, seen, quiet = rng(0, "operators"), set[int](), 0
    for _ in range(_MOST):
        drawn = np.unique(space.layers(space.sample(_ROWS, generator)))
        new = {int(i) for i in drawn if i >= 0} - seen
        seen, quiet = seen | new, 0 if new else quiet + 1
        if quiet == 3:
            break
    return sorted(seen)
