"""Can the constraints be met at all? Asked before anything is trained.

Coordinate descent on the total violation, from the corners and random starts: every single-variable change of the best
row is tried at once. Before a bound, or several together, are said to be out of reach, a small space is listed, and in
a large one changes of two variables are tried: a depth and the layer that it uncovers may have to change together.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nat_core.contracts import Function
from nat_core.encoding import Encodings, as_encodings, everything, sizes
from nat_core.errors import ConfigError
from nat_core.problem import Problem
from nat_core.seeding import rng

_STARTS = 8


def require_feasible(problem: Problem) -> None:
    """Raise `ConfigError`, with the nearest reachable values, where no architecture meets the constraints on costs."""
    cheap = tuple(c for c in problem.constraints if c.name in problem.costs)
    for constraint in cheap:
        alone = replace(problem, constraints=(constraint,))
        x = _nearest(alone)
        if alone.cost_violation(x)[0] > 0:
            nearest = problem.costs[constraint.name](x)[0]
            word = "smallest" if constraint.relation == "<=" else "largest"
            raise ConfigError(
                f"no architecture of this space meets {constraint}: the {word} {constraint.name} it has is "
                f"{_number(nearest)}, of {_name(problem, x)}"
            )
    together = replace(problem, constraints=cheap)
    x = _nearest(together)
    if together.cost_violation(x)[0] > 0:
        nearest = ", ".join(f"{c.name}={_number(problem.costs[c.name](x)[0])}" for c in cheap)
        raise ConfigError(
            f"each constraint can be met, but not {' and '.join(map(str, cheap))} together: "
            f"the nearest architecture found has {nearest} ({_name(problem, x)})"
        )


def _nearest(problem: Problem) -> Encodings:
    return _at_length(problem, problem.cost_violation, descend(problem, problem.cost_violation))


def descend(problem: Problem, measure: Function) -> Encodings:
    """The row (1, n_variables) with the least of a function that was found."""
    space, n = problem.space, len(problem.space.variables)
    corners = np.stack([np.zeros(n, dtype=np.int64), sizes(space.variables) - 1])
    starts = space.canonicalize(np.vstack([corners, space.sample(_STARTS, rng(0, "feasibility"))]))
    found = [_from(problem, measure, start[None]) for start in starts]
    return min(found, key=lambda x: float(measure(x)[0]))


def _at_length(problem: Problem, measure: Function, x: Encodings) -> Encodings:
    """The least row of all, where they can be listed; else one that no change of two variables betters."""
    if measure(x)[0] <= 0:
        return x
    if (rows := everything(problem.space.variables)) is not None:
        return _better(problem, measure, x, rows)
    choices = sizes(problem.space.variables)
    while True:
        around = np.vstack([_neighbours(row, choices) for row in _neighbours(x[0], choices)])
        if (found := _better(problem, measure, x, around)) is x:
            return x
        x = found


def _better(problem: Problem, measure: Function, x: Encodings, rows: Encodings) -> Encodings:
    """The best of the rows if it is better than x; else x itself."""
    canonical = problem.space.canonicalize(rows)
    y = measure(canonical)
    return canonical[[int(y.argmin())]] if y.min() < measure(x)[0] else x


def _from(problem: Problem, measure: Function, x: Encodings) -> Encodings:
    choices = sizes(problem.space.variables)
    while measure(x)[0] > 0:
        if (found := _better(problem, measure, x, _neighbours(x[0], choices))) is x:
            return x
        x = found
    return x


def _neighbours(x: Encodings, choices: Encodings) -> Encodings:
    """All rows that differ from x in one variable."""
    rows = [(*x[:i], value, *x[i + 1 :]) for i in range(len(x)) for value in range(choices[i]) if value != x[i]]
    return as_encodings(rows or [tuple(x)], len(x))


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.6g}"


def _name(problem: Problem, x: Encodings) -> object:
    return problem.space.describe(tuple(x[0].tolist())).get("architecture")
