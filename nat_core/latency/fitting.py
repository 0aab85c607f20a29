"""From operators timed alone and whole networks timed as they run to what each operator takes inside a network.

An operator that is timed alone has its weights in the nearest cache and pays the engine's entry every time; in a
network it does not, and its neighbours are fused with it. Whole networks say what their operators take together. A
design in which every operator is in several networks tells them apart far better than timing each by itself does
(Hotelling, "Some improvements in weighing and other experimental techniques", 1944). The two are joined by ridge
regression: what operators take alone, put on the networks' scale, is where the estimate is drawn to, as strongly as
predicts left-out networks best. Operators deviate from it together as well as each for itself: those whose names share
a word (a kernel, a shape, an expansion) share a part of their deviation, so that networks say something even of an
operator that is in few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Values

_STRENGTHS = np.logspace(-5, 1, 25)  # of the draw towards the operators alone
_LEAST = 0.05  # no operator is believed to take less than this share of what it is drawn to


@dataclass(frozen=True)
class Fit:
    """Times of operators inside networks, ms."""

    times: Values  # (n_operators,)
    spreads: Values  # (n_operators,): standard errors
    error: float  # mean absolute error of a left-out network, as a share


def words(names: Sequence[str]) -> NDArray[np.float64]:
    """Which words, joined by hyphens, are in each name: (n_names, n_words) of 0 and 1."""
    told = [set(name.split("-")) for name in names]
    return np.array([[word in some for word in sorted(set().union(*told))] for some in told], dtype=np.float64)


def fit(counts: NDArray[np.float64], networks: Values, alone: Values, shared: NDArray[np.float64]) -> Fit:
    """`counts` (n_networks, n_operators) says how often each operator is in each network; times in ms.

    `shared` (n_operators, n_words) says what operators have in common.
    """
    drawn_to = _on_the_scale_of_networks(counts, networks, alone)
    B = counts * drawn_to / networks[:, None]
    r = 1.0 - B.sum(axis=1)
    # An unknown is a part of the relative deviation from `drawn_to`: an operator's own, or that of all with a word.
    parts = np.hstack([np.eye(len(alone)), shared])
    U, s, Vt = np.linalg.svd(B @ parts, full_matrices=False)
    left_out = [_left_out(U, s, r, strength) for strength in _STRENGTHS]
    best = int(np.argmin([np.square(e).sum() for e in left_out]))
    shrunk = s / (s**2 + _STRENGTHS[best])
    deviation = parts @ (Vt.T @ (shrunk * (U.T @ r)))
    times = drawn_to * np.maximum(1.0 + deviation, _LEAST)
    noise = np.square(left_out[best]).mean()
    known = np.square(parts @ Vt.T) @ (s**2 / (s**2 + _STRENGTHS[best]))
    freedom = np.square(parts).sum(axis=1) - known
    variance = noise * np.maximum(freedom, 0.0) / _STRENGTHS[best]
    return Fit(times, drawn_to * np.sqrt(variance), float(np.abs(left_out[best]).mean()))


def _on_the_scale_of_networks(counts: NDArray[np.float64], networks: Values, alone: Values) -> Values:
    """Of each operator a · alone + b, as explains whole networks best: b is what entering the engine costs, below 0."""
    rows = np.column_stack([counts @ alone, counts.sum(axis=1)]) / networks[:, None]
    (a, b), *_ = np.linalg.lstsq(rows, np.ones(len(networks)), rcond=None)
    if not a > 0:  # too few networks to say
        a, b = float(np.median(networks / (counts @ alone))), 0.0
    drawn_to: Values = np.maximum(a * alone + b, _LEAST * a * alone)
    return drawn_to


def _left_out(U: NDArray[np.float64], s: Values, r: Values, strength: float) -> Values:
    """The residual of each network under the fit to all others, in closed form (Allen's PRESS, 1974)."""
    share = s**2 / (s**2 + strength)
    residual: Values = (r - U @ (share * (U.T @ r))) / np.maximum(1.0 - np.square(U) @ share, 1e-9)
    return residual


def kendall(a: Values, b: Values) -> float:
    """Kendall's tau-b of two rankings; NaN where one of them ranks nothing."""
    x, y = (np.sign(v[:, None] - v[None, :])[np.triu_indices(len(v), 1)] for v in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return float((x * y).sum() / np.sqrt(np.abs(x).sum() * np.abs(y).sum()))


def line(sums: Values, measured: Values) -> tuple[float, float]:
    """Scale and offset of measured = scale · sum + offset, by least squares of the relative error."""
    rows = np.column_stack([sums, np.ones(len(sums))]) / measured[:, None]
    (scale, offset), *_ = np.linalg.lstsq(rows, np.ones(len(sums)), rcond=None)
    return float(scale), float(offset)
