"""Pareto mathematics on plain matrices: F (n, n_objectives), lower is better, finite.

Rows that could not be measured must be dropped by the caller: a NaN has no place in a ranking.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Objectives, Values


def non_dominated(F: Objectives) -> NDArray[np.bool_]:
    """Which rows no other row dominates, (n,). Equal rows do not dominate each other."""
    _require_finite(F)
    if not len(F):
        return np.zeros(0, dtype=bool)
    import moocore

    return np.asarray(moocore.is_nondominated(F, keep_weakly=True), dtype=bool)


def ranks(F: Objectives) -> NDArray[np.int64]:
    """The non-dominated front each row belongs to, (n,): 0 is the best (Deb et al., 2002)."""
    rank = np.full(len(F), -1, dtype=np.int64)
    level = 0
    while (left := np.flatnonzero(rank < 0)).size:
        rank[left[non_dominated(F[left])]] = level
        level += 1
    return rank


def reference_point(F: Objectives) -> Values:
    """The worst value of every objective, with a margin of 1 % (as MSuNAS takes it from the initial archive)."""
    _require_finite(F)
    worst: Values = F.max(axis=0)
    margin: Values = np.maximum(0.01 * np.abs(worst), 1e-12)
    return worst + margin


def hypervolume(F: Objectives, reference: Values) -> float:
    """The share of the box between the origin and `reference` that F dominates: 0 … 1 where all objectives are ≥ 0.

    Exact, by moocore. With an origin that is not the ideal point the number is still comparable between two fronts that
    share a reference.
    """
    _require_finite(F)
    inside = F[(reference > F).all(axis=1)]
    if not len(inside):
        return 0.0
    import moocore

    scale = np.where(reference > 0, reference, 1.0)
    return float(moocore.hypervolume(inside / scale, ref=reference / scale))


def normalised(F: Objectives, like: Objectives) -> Objectives:
    """F with the range of every objective in `like` mapped to [0, 1]; a constant objective maps to 0."""
    low, high = like.min(axis=0), like.max(axis=0)
    span = high / 2 - low / 2  # halves, so that the largest numbers do not overflow
    scaled: Objectives = (F / 2 - low / 2) / np.where(span > 0, span, 1.0)
    return scaled


def spread(F: Objectives, n: int, among: Objectives | None = None) -> NDArray[np.int64]:
    """At most `n` rows of F that cover it: better fronts first, within a front the row farthest from all taken so far.

    `among` holds points that are there already (an archive's front) and push new ones away from themselves. Distances
    are Euclidean in normalised objectives. Ties fall to the lower index, so the answer is deterministic.
    """
    if not len(F):
        return np.empty(0, dtype=np.int64)
    there = np.empty((0, F.shape[1])) if among is None else among
    scale = np.vstack([F, there])
    _require_finite(scale)
    points, taken = normalised(F, scale), normalised(there, scale)
    nearest = _distances(points, taken).min(axis=1, initial=np.inf)
    rank, chosen = ranks(F), list[int]()
    for _ in range(min(n, len(F))):
        best_front = rank == rank.min()
        pick = int(np.argmax(np.where(best_front, nearest, -1.0)))
        chosen.append(pick)
        rank[pick] = np.iinfo(np.int64).max
        nearest = np.minimum(nearest, _distances(points, points[pick : pick + 1])[:, 0])
    return np.array(chosen, dtype=np.int64)


def _distances(A: Objectives, B: Objectives) -> Objectives:
    return np.asarray(np.linalg.norm(A[:, None, :] - B[None, :, :], axis=2))


def _require_finite(F: Objectives) -> None:
    if not np.isfinite(F).all():
        raise ValueError(f"objectives must be finite; {int((~np.isfinite(F)).any(axis=1).sum())} rows are not")
