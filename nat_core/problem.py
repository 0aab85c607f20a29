"""A problem: a space, its objectives and its constraints. Measured it is costly; predicted it is cheap."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from nat_core.contracts import CostModel, Estimator, Function, SearchSpace
from nat_core.encoding import Encodings, Objectives, Values
from nat_core.errors import ConfigError

_CONSTRAINT = re.compile(r"\s*([\w@.:-]+)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Constraint:
    """`name <= bound` or `name >= bound`."""

    name: str
    relation: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read `macs<=20e6`. Raises `ConfigError` for anything else."""
        match = _CONSTRAINT.fullmatch(text)
        if match is None:
            raise ConfigError(f"cannot read the constraint {text!r}: write name<=number or name>=number ('macs<=20e6')")
        name, relation, bound = match[1], match[2], float(match[3])
        if not math.isfinite(bound):
            raise ConfigError(f"the bound of the constraint {text!r} is too large a number")
        return cls(name, relation, bound)

    def __str__(self) -> str:
        return f"{self.name}{self.relation}{self.bound:g}"

    def violation(self, y: Values) -> Values:
        """How far outside, relative to the bound, (n,); 0 is inside."""
        outside = y - self.bound if self.relation == "<=" else self.bound - y
        return np.maximum(outside, 0.0) / (abs(self.bound) or 1.0)


@dataclass(frozen=True)
class Problem:
    """What is searched for. A name in `names` is a key of either `estimators` (costly) or `costs` (cheap)."""

    space: SearchSpace
    names: tuple[str, ...]
    estimators: Mapping[str, Estimator]
    costs: Mapping[str, CostModel]
    constraints: tuple[Constraint, ...] = ()

    def cost_violation(self, X: Encodings) -> Values:
        """The violation of those constraints that need no measurement, (n,)."""
        cheap = (c for c in self.constraints if c.name in self.costs)
        return _total((c.violation(self.costs[c.name](X)) for c in cheap), len(X))

    def violation(self, X: Encodings, F: Objectives) -> Values:
        """The violation of all constraints, given the measured objectives F of X, (n,)."""
        return Predicted(self.space, self.names, (), self.costs, self.constraints).violation(X, F)

    def predict(self, surrogates: Mapping[str, Function]) -> Predicted:
        """The same problem with a fitted surrogate in place of each costly objective, and of a cost if one is given."""
        functions = tuple(surrogates[n] if n in surrogates else self.costs[n] for n in self.names)
        return Predicted(self.space, self.names, functions, self.costs, self.constraints)


@dataclass(frozen=True)
class Predicted:
    """A `PredictedProblem`: every objective is a cheap function of X."""

    space: SearchSpace
    names: tuple[str, ...]
    functions: tuple[Function, ...]
    costs: Mapping[str, CostModel]
    constraints: tuple[Constraint, ...]

    def F(self, X: Encodings) -> Objectives:
        """All objectives, (n, n_objectives)."""
        return np.column_stack([function(X) for function in self.functions])

    def violation(self, X: Encodings, F: Objectives) -> Values:
        """The constraint violation, (n,): an objective's from its column of F, any other cost's from X."""
        column = {name: F[:, i] for i, name in enumerate(self.names)}
        values = ((c, column[c.name] if c.name in column else self.costs[c.name](X)) for c in self.constraints)
        return _total((c.violation(y) for c, y in values), len(X))


def _total(violations: Iterable[Values], n: int) -> Values:
    total = np.zeros(n)
    for violation in violations:
        total = total + violation
    return total
