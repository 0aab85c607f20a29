"""Pareto mathematics on plain matrices: F (n, n_objectives), lower is better, finite.

Rows that could not be measured must be dropped by the caller: a NaN has no place in a ranking.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Objectives, Values

EXACT = 6  # objectives up to which the hypervolume is exact; the time grows with n^(objectives - 2)
FEW = 20  # points of which it is exact for any number of objectives; the approximation is at its worst there
APPROXIMATION = "Rphi-FWE+"  # moocore's name: polar coordinates over a deterministic low-discrepancy sequence
NEAR = 0.125  # in normalised objectives: what counts as a neighbour
AUGMENTATION = 1e-4  # weight of the sum in the achievement function
# Directions. Measured: within 0.1 % of the exact value at 7 objectives; at 12, 5 % for two dozen points and 0.3 % from
# a hundred on; in some tenths of a second.
_SAMPLES = 2**18
_BEYOND = 1.1  # the reference point of what is added, in ranges from the best value to the worst
_BLOCK = 64  # rows whose distances to all others are held at once
_FAR = 1e20  # twelve such factors still make a finite number


def non_dominated(F: Objectives) -> NDArray[np.bool_]:
    """Which rows no other row dominates, (n,). Equal rows do not dominate each other."""
    _require_finite(F)
    if not len(F):
        return np.zeros(0, dtype=bool)
    import moocore

    return np.asarray(moocore.is_nondominated(F, keep_weakly=True), dtype=bool)


def ranks(F: Objectives) -> NDArray[np.int64]:
    """The non-dominated front each row belongs to, (n,): 0 is the best (Deb et al., 2002)."""
    _require_finite(F)
    if not len(F):
        return np.zeros(0, dtype=np.int64)
    import moocore

    return np.asarray(moocore.pareto_rank(F), dtype=np.int64)


def reference_point(F: Objectives) -> Values:
    """The worst value of every objective, with a margin of 1 % (as MSuNAS takes it from the initial archive)."""
    _require_finite(F)
    worst: Values = F.max(axis=0)
    margin: Values = np.maximum(0.01 * np.abs(worst), 1e-12)
    most = np.finfo(np.float64).max
    return np.minimum(worst, most - margin) + margin


def hypervolume(F: Objectives, reference: Values) -> float:
    """The share of the box between the origin and `reference` that F dominates: 0 … 1 where all objectives are ≥ 0.

    By moocore: exact up to `EXACT` objectives or `FEW` points, and beyond by a deterministic approximation;
    `hypervolume_method` says which. With an origin that is not the ideal point the number is still comparable between
    two fronts that share a reference. Always finite: what lies further than 1e20 boxes below the origin counts as that
    far.
    """
    inside = _inside(F, reference)
    if not len(inside):
        return 0.0
    import moocore

    scale = np.where(reference > 0, reference, 1.0)
    with np.errstate(over="ignore"):
        points, corner = np.clip(inside / scale, -_FAR, _FAR), np.clip(reference / scale, -_FAR, _FAR)
    if _is_exact(inside):
        return float(moocore.hypervolume(points, ref=corner))
    return _approximate(points, corner)


def hypervolume_method(F: Objectives, reference: Values) -> str:
    """How `hypervolume` computes: `exact`, or the name of moocore's approximation."""
    return "exact" if _is_exact(_inside(F, reference)) else APPROXIMATION


def _is_exact(inside: Objectives) -> bool:
    return inside.shape[1] <= EXACT or len(inside) <= FEW


def _inside(F: Objectives, reference: Values) -> Objectives:
    """What counts for the hypervolume: the distinct non-dominated rows that are better than the reference point."""
    _require_finite(F)
    inside = F[(reference > F).all(axis=1)]
    return np.unique(inside[non_dominated(inside)], axis=0)


def _approximate(F: Objectives, reference: Values) -> float:
    """The hypervolume by `APPROXIMATION`, in the box from the ideal to the reference point.

    In that box the directions meet every side alike: a narrow one would else be hit by few of them. The result is held
    between the volume of the largest single point and that of the box, where the true one lies.
    """
    import moocore

    sides = reference - F.min(axis=0)
    if not (sides > 0).all():  # by rounding
        return 0.0
    points = 1.0 - (reference - F) / sides
    share = moocore.hv_approx(points, ref=np.ones(len(sides)), nsamples=_SAMPLES, method=APPROXIMATION)
    least = (1.0 - points).prod(axis=1).max()
    return float(np.clip(share, least, 1.0) * sides.prod())


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
    nearest = np.full(len(points), np.inf)
    for block in range(0, len(taken), _BLOCK):
        nearest = np.minimum(nearest, _distances(points, taken[block : block + _BLOCK]).min(axis=1))
    rank, chosen = ranks(F), list[int]()
    for _ in range(min(n, len(F))):
        best_front = rank == rank.min()
        pick = int(np.argmax(np.where(best_front, nearest, -1.0)))
        chosen.append(pick)
        rank[pick] = np.iinfo(np.int64).max
        nearest = np.minimum(nearest, _distances(points, points[pick : pick + 1])[:, 0])
    return np.array(chosen, dtype=np.int64)


def most_added(F: Objectives, n: int, among: Objectives, like: Objectives | None = None) -> NDArray[np.int64]:
    """At most `n` rows of F, each the one that adds most to the hypervolume of `among` and the rows taken before it.

    Rows that add nothing are not taken. The reference point lies a tenth of the range of `like` (`among` if not given;
    F, where that is empty) beyond its worst values. Exact, so for `EXACT` objectives at most. What a row adds only
    shrinks as others are taken, so a row is asked again only when it comes first with what it added before (Minoux,
    1978).
    """
    like = among if like is None else like
    like = like if len(like) else F
    points, there = normalised(F, like), normalised(among, like)
    volume = _volume(there)
    added = [(-(_volume(np.vstack([there, point])) - volume), i, 0) for i, point in enumerate(points)]
    heapq.heapify(added)
    chosen = list[int]()
    while added and len(chosen) < n:
        gain, i, asked_at = heapq.heappop(added)
        if gain >= 0:
            break
        if asked_at == len(chosen):
            chosen.append(i)
            there = np.vstack([there, points[i]])
            volume = _volume(there)
        else:
            heapq.heappush(added, (min(volume - _volume(np.vstack([there, points[i]])), 0.0), i, len(chosen)))
    return np.array(chosen, dtype=np.int64)


def _volume(points: Objectives) -> float:
    """The hypervolume of normalised points up to a tenth of the range beyond the worst."""
    import moocore

    inside = points[(points < _BEYOND).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=np.full(points.shape[1], _BEYOND))) if len(inside) else 0.0


def trade_offs(F: Objectives) -> tuple[Values, NDArray[np.int64]]:
    """What a step away from each row costs at least, (n,), and the row that such a step leads to, (n,).

    F is normalised. A step to a neighbour gains in some objectives and sacrifices in others; its price is the sum of
    the sacrifices over the sum of the gains, and mu the least price over the neighbours: the knee is where mu is the
    largest (Rachmawati & Srinivasan, 2009). Neighbours are the rows within a distance of `NEAR`, at least the 2·m
    nearest; rows with equal objectives are one. A row with no other beside it has mu = inf and leads to itself.
    """
    _require_finite(F)
    rows, first, which = np.unique(F + 0.0, axis=0, return_index=True, return_inverse=True)  # −0.0 is 0.0
    mu, towards = np.full(len(rows), np.inf), np.arange(len(rows))
    enough = min(2 * F.shape[1], len(rows) - 1)
    for i, row in enumerate(rows if enough else ()):
        step = rows - row
        distance = np.linalg.norm(step, axis=1)
        distance[i] = np.inf
        near = distance <= max(NEAR, float(np.partition(distance, enough - 1)[enough - 1]))
        near[i] = False
        sacrifice, gain = np.maximum(step[near], 0).sum(axis=1), np.maximum(-step[near], 0).sum(axis=1)
        price = np.divide(sacrifice, gain, out=np.full(len(gain), np.inf), where=gain > 0)
        best = int(price.argmin())
        mu[i], towards[i] = price[best], np.flatnonzero(near)[best]
    which = which.reshape(-1)
    return mu[which], first[towards][which]


def achievement(F: Objectives, aspiration: Values, weights: Values) -> Values:
    """Wierzbicki's achievement scalarising function (1980), (n,): the least is nearest to what is wished, or beyond.

    The largest weighted distance above the aspiration level (m,), and a little of the sum of all, so that of two rows
    that are equally far the better one wins. F and the aspiration are normalised.
    """
    _require_finite(F)
    above = weights * (F - aspiration)
    return np.asarray(above.max(axis=1) + AUGMENTATION * above.sum(axis=1))


def _distances(A: Objectives, B: Objectives) -> Objectives:
    return np.asarray(np.linalg.norm(A[:, None, :] - B[None, :, :], axis=2))


def _require_finite(F: Objectives) -> None:
    if not np.isfinite(F).all():
        raise ValueError(f"objectives must be finite; {int((~np.isfinite(F)).any(axis=1).sum())} rows are not")
