"""Can the constraints be met at all? Asked before anything is trained.

Coordinate descent on the total violation, from the corners and random starts: every single-variable change of the best
row is tried at once. For costs that are sums over layers, a single bound's optimum is found exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nat_core.contracts import Function
from nat_core.encoding import Encodings, as_encodings, sizes
from nat_core.errors import ConfigError
from nat_core.problem import Problem
from nat_core.seeding import rng

_STARTS = 8


def require_feasible(problem: Problem) -> None:
    """Raise `ConfigError`, with the nearest reachable values, where no architecture meets the constraints on costs."""
    cheap = tuple(c for c in problem.constraints if c.name in problem.costs)
    for constraint in cheap:
        alone = replace(problem, constraints=(constraint,))
        x = descend(alone, alone.cost_violation)
        if alone.cost_violation(x)[0] > 0:
            nearest = problem.costs[constraint.name](x)[0]
            word = "smallest" if constraint.relation == "<=" else "largest"
            raise ConfigError(
                f"no architecture of this space meets {constraint}: the {word} {constraint.name} it has is "
                f"{_number(nearest)}, of {_name(problem, x)}"
            )
    together = replace(problem, constraints=cheap)
    x = descend(together, together.cost_violation)
    if together.cost_violation(x)[0] > 0:
        nearest = ", ".join(f"{c.name}={_number(problem.costs[c.name](x)[0])}" for c in cheap)
        raise ConfigError(
            f"each constraint can be met, but not {' and '.join(map(str, cheap))} together: "
            f"the nearest architecture found has {nearest} ({_name(problem, x)})"
        )


def descend(problem: Problem, measure: Function) -> Encodings:
    """The row (1, n_variables) with the least of a function that was found."""
    space, n = problem.space, len(problem.space.variables)
    corners = np.stack([np.zeros(n, dtype=np.int64), sizes(space.variables) - 1])
    starts = space.canonicalize(np.vstack([corners, space.sample(_STARTS, rng(0, "feasibility"))]))
    found = [_from(problem, measure, start[None]) for start in starts]
    return min(found, key=lambda x: float(measure(x)[0]))


def _from(problem: Problem, measure: Function, x: Encodings) -> Encodings:
    best = float(measure(x)[0])
    while best > 0:
        around = problem.space.canonicalize(_neighbours(x[0], sizes(problem.space.variables)))
        y = measure(around)
        if y.min() >= best:
            return x
        x, best = around[[int(y.argmin())]], float(y.min())
    return x


def _neighbours(x: Encodings, choices: Encodings) -> Encodings:
    """All rows that differ from x in one variable."""
    rows = [(*x[:i], value, *x[i + 1 :]) for i in range(len(x)) for value in range(choices[i]) if value != x[i]]
    return as_encodings(rows or [tuple(x)], len(x))


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.6g}"


def _name(problem: Problem, x: Encodings) -> object:
    return problem.space.describe(tuple(x[0].tolist())).get("architecture")
