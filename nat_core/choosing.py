"""One architecture from a front: within bounds, at the knee or nearest to a preference. Numbers alone, no words.

Objectives are normalised by the range of the whole front, so that a bound does not change what a preference means.
Everything else looks only at the architectures within the bounds: a neighbour outside is no alternative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nat_core.archive import Archive, Evaluation
from nat_core.encoding import Encodings, Objectives, Values
from nat_core.errors import ConfigError
from nat_core.pareto import NEAR, achievement, normalised, trade_offs
from nat_core.problem import Constraint

UNNAMED = 0.1  # an objective without a preference counts a tenth: it decides among those that are about as wished

_FAR = 1e3  # ranges: a wish beyond is as good as there


@dataclass(frozen=True)
class Pick:
    """One chosen architecture, and the numbers behind the choice."""

    evaluation: Evaluation
    costs: Mapping[str, float]  # what is bounded but no objective of the run
    score: float  # the trade-off mu (larger is better, inf: nothing beside it), the achievement, or the value (smaller)
    towards: Evaluation | None = None  # the neighbour with the cheapest step
    steps: Mapping[str, float] | None = None  # that step, as shares of each range; or how far each wish is missed
    equals: int = 0  # so many others within the bounds have the same value of what should be least


@dataclass(frozen=True)
class Choice:
    """Some picks, best first, from so many."""

    method: str  # knee | preference | best
    bounds: tuple[Constraint, ...]
    preference: Mapping[str, float]
    on_front: int
    within: int  # of these are within the bounds
    asked: int  # so many picks were asked for
    picks: tuple[Pick, ...]
    best: str = ""  # the objective that should be least


def choose(
    front: Archive,
    bounds: Sequence[Constraint] = (),
    preference: Mapping[str, float] | None = None,
    n: int = 1,
    costs: Mapping[str, Callable[[Encodings], Values]] | None = None,
    best: str = "",
) -> Choice:
    """At most `n` distinct picks: by trade-off, by a preference, or those with the least of the objective `best`.

    `costs` prices those bounded names that are no objectives of the front.
    Raises `ConfigError` if nothing is within the bounds, naming what comes nearest.
    """
    values = {name: front.F[:, i] for i, name in enumerate(front.names)}
    priced = {name: cost(front.X) for name, cost in (costs or {}).items()}
    rows = _within(values | priced, bounds)
    F = normalised(front.F, front.F)[rows]
    wished = dict(preference or {})
    method, equals = "preference" if wished else "best" if best else "knee", np.zeros(len(F), dtype=np.int64)
    if wished:
        ranked, score, towards, steps = _by_preference(front, F, wished)
    elif best:
        ranked, score, towards, steps = _by_value(front, F, rows, best)
        equals = (score[:, None] == score).sum(axis=1) - 1
    else:
        ranked, score, towards, steps = _by_trade_off(front, F)
    evaluations = front.evaluations
    picks = tuple(
        Pick(
            evaluations[rows[i]],
            {name: float(y[rows[i]]) for name, y in priced.items()},
            float(score[i]),
            None if towards[i] == i else evaluations[rows[towards[i]]],
            dict(zip(wished or front.names, steps[i].tolist(), strict=True)),
            int(equals[i]),
        )
        for i in _distinct(ranked, F)[:n]
    )
    return Choice(method, tuple(bounds), wished, len(front), len(rows), n, picks, best)


_Ranked = tuple[list[int], Values, NDArray[np.int64], Objectives]  # rows best first; score, partner and step of each


def _by_trade_off(front: Archive, F: Objectives) -> _Ranked:
    """The largest trade-off first; then those that are no neighbours of a better one before those that are."""
    del front
    mu, towards = trade_offs(F)
    first, later = list[int](), list[int]()
    for i in np.argsort(-mu, kind="stable").tolist():
        close = first and np.linalg.norm(F[first] - F[i], axis=1).min() <= NEAR
        (later if close else first).append(i)
    return first + later, mu, towards, F[towards] - F


def _by_preference(front: Archive, F: Objectives, wished: Mapping[str, float]) -> _Ranked:
    """The least achievement first. What is not wished for has the front's best value as its aspiration level."""
    named = [front.names.index(name) for name in wished]
    levels = front.F.min(axis=0)
    levels[named] = list(wished.values())
    varies = front.F.min(axis=0) < front.F.max(axis=0)
    aspiration = np.where(varies, np.clip(normalised(levels[None], front.F)[0], -_FAR, _FAR), 0.0)
    weights = np.full(len(front.names), UNNAMED)
    weights[named] = 1.0
    score = achievement(F, aspiration, weights)
    return np.argsort(score, kind="stable").tolist(), score, np.arange(len(F)), (F - aspiration)[:, named]


def _by_value(front: Archive, F: Objectives, rows: NDArray[np.int64], best: str) -> _Ranked:
    """The least value of one objective first; of equals, the least of the others, in the order of the run."""
    column = front.names.index(best)
    others = np.delete(front.F[rows], column, axis=1)
    values = front.F[rows, column]
    ranked = np.lexsort([*others.T[::-1], values])
    return ranked.tolist(), values, np.arange(len(rows)), np.zeros_like(F)


def _distinct(ranked: Sequence[int], F: Objectives) -> list[int]:
    """The same rows, those with the objectives of an earlier one last."""
    seen, first, later = set[tuple[float, ...]](), list[int](), list[int]()
    for i in ranked:
        (later if tuple(F[i]) in seen else first).append(i)
        seen.add(tuple(F[i]))
    return first + later


def _within(values: Mapping[str, Values], bounds: Sequence[Constraint]) -> NDArray[np.int64]:
    """The rows that meet all bounds. Raises `ConfigError` where there is none."""
    n = len(next(iter(values.values())))
    with np.errstate(over="ignore"):
        outside = np.array([b.violation(values[b.name]) for b in bounds]).reshape(len(bounds), n)
    outside[np.isnan(outside)] = np.inf  # a cost that is no number
    if (rows := np.flatnonzero((outside <= 0).all(axis=0))).size:
        return rows
    nearest = int(outside.sum(axis=0).argmin())
    has = ", ".join(f"{name}={_number(values[name][nearest])}" for name in dict.fromkeys(b.name for b in bounds))
    each = "; ".join(_alone(b, values[b.name], int((row <= 0).sum())) for b, row in zip(bounds, outside, strict=True))
    raise ConfigError(
        f"none of the {n} architectures on the front meets {' and '.join(map(str, bounds))}: {each}; "
        f"the nearest one has {has}"
    )


def _alone(bound: Constraint, y: Values, met: int) -> str:
    if met:
        return f"{bound} alone is met by {met}"
    word, best = ("smallest", y.min()) if bound.relation == "<=" else ("largest", y.max())
    return f"the {word} {bound.name} there is {_number(best)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.6g}"
