"""Can the constraints be met at all? Asked before anything is trained.

Coordinate descent on the total violation, from the corners and random starts: every single-variable change of the best
row is tried at once. Before a bound, or several together, are said to be out of reach, a small space is listed, and in
a large one changes of two variables are tried: a depth and the layer that it uncovers may have to change together.

`preflight` looks at the same from above: how every cost is spread over the space, how many architectures each bound
leaves, and which of the bounds is the tight one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import Function
from nat_core.encoding import Encodings, Values, corners, everything, sizes
from nat_core.errors import ConfigError, NatError
from nat_core.problem import Constraint, Problem
from nat_core.seeding import rng

_STARTS = 8
_SAMPLE = 20_000  # rows: a share is known to within 0.7 %, and 0.02 % of the space is still seen with 98 % certainty
_REACHED = 0.0  # of a violation: no less is possible
_NEAREST = 4


@dataclass(frozen=True)
class CostRange:
    """One cost over the space; its values are none where the cost model gives no number, with the reason."""

    name: str
    smallest: float | None
    median: float | None  # of the sample
    largest: float | None
    failure: str = ""


@dataclass(frozen=True)
class ConstraintShare:
    """How much of the sample a constraint leaves."""

    constraint: Constraint
    alone: float  # the share that meets it
    without: float  # the share that meets all others


@dataclass(frozen=True)
class NearArchitecture:
    """An architecture that comes close to what is out of reach."""

    name: object  # its short text form
    costs: Mapping[str, float]  # what is constrained
    misses: tuple[str, ...]  # the constraints it does not meet


@dataclass(frozen=True)
class Preflight:
    """What can be known of a problem's costs and constraints before anything is trained."""

    rows: int  # sampled, as a search would begin
    listed: bool  # smallest and largest are exact; else they are the best that descent found
    ranges: tuple[CostRange, ...]
    shares: tuple[ConstraintShare, ...]  # of the constraints on costs
    together: float  # the share that meets them all
    satisfiable: bool
    binding: Constraint | None  # the one whose removal would leave most
    nearest: tuple[NearArchitecture, ...]  # where not satisfiable
    unknown: tuple[Constraint, ...]  # on what is measured: nothing can be said of them yet


def preflight(problem: Problem, rows: int = _SAMPLE) -> Preflight:
    """Look at every cost and at the constraints on costs, over a seeded sample. Deterministic.

    A cost model that fails is reported; a `NatError` of its own goes through.
    """
    X, listed = problem.space.sample(rows, rng(0, "preflight")), everything(problem.space.variables)
    every = None if listed is None else problem.space.canonicalize(listed)
    asked = {name: _Asked(cost) for name, cost in problem.costs.items()}
    sampled = {name: cost(X) for name, cost in asked.items()}
    ranges = tuple(_range(problem, name, asked[name], X, sampled[name], every) for name in problem.costs)
    safe = replace(problem, costs=asked, constraints=tuple(c for c in problem.constraints if c.name in problem.costs))
    met = _met(safe.constraints, sampled, len(X))
    shares = tuple(
        ConstraintShare(c, _share(met[[i]]), _share(np.delete(met, i, axis=0))) for i, c in enumerate(safe.constraints)
    )
    nearest = () if met.all(axis=0).any() else nearest_architectures(safe, X)
    unknown = tuple(c for c in problem.constraints if c.name not in problem.costs)
    satisfiable = not any(near.misses for near in nearest)
    return Preflight(
        rows=len(X),
        listed=every is not None,
        ranges=ranges,
        shares=shares,
        together=_share(met),
        satisfiable=satisfiable,
        binding=_binding(shares, sampled),
        nearest=() if satisfiable else nearest,
        unknown=unknown,
    )


class _Asked:
    """A cost model that gives NaN, and remembers why, where the plugin's raises."""

    def __init__(self, cost: Function) -> None:
        self._cost, self.failure = cost, ""

    def __call__(self, X: Encodings) -> Values:
        try:
            return np.asarray(self._cost(X), dtype=np.float64).reshape(len(X))
        except NatError:
            raise
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; a search records it as a failure
            self.failure = f"{type(error).__name__}: {error}"
            return np.full(len(X), np.nan)


def _range(problem: Problem, name: str, cost: _Asked, X: Encodings, y: Values, every: Encodings | None) -> CostRange:
    finite = y[np.isfinite(y)]
    if not len(finite):
        return CostRange(name, None, None, None, cost.failure or "it gives no finite number")

    def least(sign: float) -> float:
        def measure(rows: Encodings) -> Values:
            y = cost(rows)
            return np.where(np.isfinite(y), sign * y, np.inf)

        if every is not None:
            return sign * float(measure(every).min())
        starts = np.vstack([X[[int(measure(X).argmin())]], _corners(problem)])
        x = _lowest(problem, measure, starts, -np.inf)
        return sign * float(measure(_by_pairs(problem, measure, x, -np.inf))[0])

    return CostRange(name, least(1.0), float(np.median(finite)), least(-1.0), cost.failure)


def _met(constraints: Sequence[Constraint], sampled: Mapping[str, Values], n: int) -> NDArray[np.bool_]:
    """Which rows meet which constraint, (n_constraints, n)."""
    rows = [c.violation(sampled[c.name]) <= _REACHED for c in constraints]
    return np.array(rows, dtype=bool).reshape(len(rows), n)


def _share(met: NDArray[np.bool_]) -> float:
    """The share of rows that meet all of some constraints; 1 where there is none."""
    return float(met.all(axis=0).mean())


def _binding(shares: Sequence[ConstraintShare], sampled: Mapping[str, Values]) -> Constraint | None:
    """The one whose removal leaves most; of several the one that fewest meet, then the one that is missed furthest."""

    def tightness(share: ConstraintShare) -> tuple[float, float, float]:
        missed = np.nan_to_num(share.constraint.violation(sampled[share.constraint.name]), nan=np.inf, posinf=np.inf)
        return share.without, -share.alone, float(np.median(missed))

    tight = [share for share in shares if share.alone < 1]
    return max(tight, key=tightness).constraint if tight else None


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
    if together.cost_violation(_nearest(together))[0] > 0 and not (report := preflight(together)).satisfiable:
        first, *others = map(_described, report.nearest)
        raise ConfigError(
            f"each constraint can be met, but not {' and '.join(map(str, cheap))} together: "
            f"the nearest architecture found has {first}{''.join(f'; another has {other}' for other in others)}. "
            f"{_tightness(report)}"
        )


def _described(near: NearArchitecture) -> str:
    costs = ", ".join(f"{name}={_number(value)}" for name, value in near.costs.items())
    return f"{costs} ({near.name}), which misses {' and '.join(near.misses)}"


def _tightness(report: Preflight) -> str:
    alone = ", ".join(f"{s.constraint} by {said_share(s.alone, report.rows)}" for s in report.shares)
    tight = next(s for s in report.shares if s.constraint == report.binding)
    rest = said_share(tight.without, report.rows)
    return (
        f"Of {report.rows:,} sampled architectures each alone is met: {alone}. "
        f"{tight.constraint} binds: without it {rest} meet the rest"
    )


def said_share(share: float, rows: int) -> str:
    """A share of a sample as a person reads it: none seen is not none there."""
    return f"{100 * share:.3g} %" if share else f"less than {100 / rows:.2g} %"


def nearest_architectures(problem: Problem, X: Encodings) -> tuple[NearArchitecture, ...]:
    """The least total violation; and for each constraint, what meets the others and misses that one by the least.

    One for each set of constraints that is missed. Descends from the best of the rows X too.
    """
    best = _nearest(problem)
    found = [best]
    if problem.cost_violation(best)[0] > _REACHED and len(problem.constraints) > 1:
        for constraint in problem.constraints[:_NEAREST]:
            measure = _sparing(problem, constraint)
            starts = np.vstack([best, X[[int(_no_nan(measure(X)).argmin())]]])
            found.append(_at_length(problem, measure, _lowest(problem, measure, starts)))
    found.sort(key=lambda x: float(_no_nan(problem.cost_violation(x))[0]))
    distinct = dict[tuple[str, ...], NearArchitecture]()
    for near in (_near(problem, x) for x in found):
        distinct.setdefault(near.misses, near)
    return tuple(distinct.values())


def _sparing(problem: Problem, spared: Constraint) -> Function:
    """The violation, in which all constraints but one weigh a thousandfold."""
    others = replace(problem, constraints=tuple(c for c in problem.constraints if c != spared))
    one = replace(problem, constraints=(spared,))
    return lambda X: 1e3 * others.cost_violation(X) + one.cost_violation(X)


def _near(problem: Problem, x: Encodings) -> NearArchitecture:
    values = {c.name: problem.costs[c.name](x) for c in problem.constraints}
    misses = tuple(str(c) for c in problem.constraints if not c.violation(values[c.name])[0] <= _REACHED)
    return NearArchitecture(_name(problem, x), {name: float(y[0]) for name, y in values.items()}, misses)


def _nearest(problem: Problem) -> Encodings:
    return _settled(problem, problem.cost_violation)


def _settled(problem: Problem, measure: Function) -> Encodings:
    return _at_length(problem, measure, descend(problem, measure))


def descend(problem: Problem, measure: Function) -> Encodings:
    """The row (1, n_variables) with the least of a violation that was found."""
    drawn = problem.space.sample(_STARTS, rng(0, "feasibility"))
    return _lowest(problem, measure, np.vstack([_corners(problem), drawn]))


def _corners(problem: Problem) -> Encodings:
    return problem.space.canonicalize(corners(problem.space.variables))


def _lowest(problem: Problem, measure: Function, starts: Encodings, enough: float = _REACHED) -> Encodings:
    """The best row that single changes lead to from any of the starts."""
    found = [_from(problem, measure, start[None], enough) for start in problem.space.canonicalize(starts)]
    return min(found, key=lambda x: float(measure(x)[0]))


def _at_length(problem: Problem, measure: Function, x: Encodings) -> Encodings:
    """The least row of all, where they can be listed; else one that no change of two variables betters."""
    if measure(x)[0] <= _REACHED:
        return x
    if (rows := everything(problem.space.variables)) is not None:
        return _better(problem, measure, x, [rows])
    return _by_pairs(problem, measure, x, _REACHED)


def _by_pairs(problem: Problem, measure: Function, x: Encodings, enough: float) -> Encodings:
    return _while_better(problem, measure, x, enough, _pairs)


def _from(problem: Problem, measure: Function, x: Encodings, enough: float) -> Encodings:
    return _while_better(problem, measure, x, enough, lambda x, choices: iter([_neighbours(x, choices)]))


def _while_better(
    problem: Problem,
    measure: Function,
    x: Encodings,
    enough: float,
    around: Callable[[Encodings, Encodings], Iterator[Encodings]],
) -> Encodings:
    """Step to the best row around, until there is no better one or it is good enough."""
    choices = sizes(problem.space.variables)
    while not measure(x)[0] <= enough:
        if (found := _better(problem, measure, x, around(x[0], choices))) is x:
            return x
        x = found
    return x


def _better(problem: Problem, measure: Function, x: Encodings, blocks: Iterable[Encodings]) -> Encodings:
    """The best of the rows in some blocks if it is better than x; else x itself."""
    best, least = x, _no_nan(measure(x))[0]
    for rows in blocks:
        canonical = problem.space.canonicalize(rows)
        y = _no_nan(measure(canonical))
        if y.min() < least:
            best, least = canonical[[int(y.argmin())]], y.min()
    return best


def _no_nan(y: Values) -> Values:
    """What is no number is as bad as can be."""
    return np.where(np.isnan(y), np.inf, y)


def _neighbours(x: Encodings, choices: Encodings) -> Encodings:
    """All rows that differ from x in one variable; x itself where nothing can change."""
    variable, value = _changes(x, choices)
    rows = np.tile(x, (len(variable), 1))
    rows[np.arange(len(variable)), variable] = value
    return rows if len(rows) else x[None]


def _pairs(x: Encodings, choices: Encodings) -> Iterator[Encodings]:
    """All rows that differ from x in one or two variables: a block for each variable, with all behind it."""
    rows, (variable, _) = _neighbours(x, choices), _changes(x, choices)
    yield rows
    for i in range(len(x)):
        one, other = rows[variable == i], rows[variable > i]
        if len(one) and len(other):
            yield (one[:, None] + (other - x)[None]).reshape(-1, len(x))


def _changes(x: Encodings, choices: Encodings) -> tuple[Encodings, Encodings]:
    """Every change of one variable: which one (n,), and to what (n,)."""
    variable = np.repeat(np.arange(len(x)), choices)
    value = np.concatenate([np.arange(c) for c in choices])
    changed = value != x[variable]
    return variable[changed], value[changed]


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.6g}"


def _name(problem: Problem, x: Encodings) -> object:
    return problem.space.describe(tuple(x[0].tolist())).get("architecture")
