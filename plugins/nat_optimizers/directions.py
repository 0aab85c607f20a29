"""Reference directions for NSGA-III."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from nat_core.encoding import Objectives

_LAYERS = (1.0, 0.5, 0.25)  # how wide each layer of directions opens around the diagonal


def reference_directions(n_objectives: int, at_most: int) -> Objectives:
    """At most `at_most` directions spread over the unit simplex, (n, n_objectives); never fewer than its corners.

    The largest set of Das and Dennis (1998) that fits. With fewer partitions than objectives, all of that set lies on
    the border of the simplex, so it gets smaller layers inside, as Deb and Jain (2014) advise.
    """
    if n_objectives == 1:
        return np.ones((1, 1))
    layers, room = list[Objectives](), max(at_most, n_objectives)
    for scale in _LAYERS:
        partitions = _partitions(n_objectives, room)
        if partitions == 0:
            break
        layers.append(scale * das_dennis(n_objectives, partitions) + (1 - scale) / n_objectives)
        room -= len(layers[-1])
        if partitions >= n_objectives:
            break
    return np.concatenate(layers)


def das_dennis(n_objectives: int, partitions: int) -> Objectives:
    """All points of the simplex with coordinates that are multiples of 1 / partitions, (n, n_objectives).

    As many as there are ways to part `partitions` stars by `n_objectives` - 1 bars.
    """
    bars = np.array(list(combinations(range(partitions + n_objectives - 1), n_objectives - 1)))
    edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, partitions + n_objectives - 1)))
    return (np.diff(edges, axis=1) - 1) / partitions


def _partitions(n_objectives: int, at_most: int) -> int:
    """The most partitions that make no more than `at_most` points."""
    partitions = 0
    while math.comb(partitions + n_objectives, n_objectives - 1) <= at_most:
        partitions += 1
    return partitions
