"""How long a run will take: from a rehearsal of its estimators before it begins, corrected as it goes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nat_core.contracts import Rehearsal
from nat_core.search import Plan


@dataclass(frozen=True)
class Forecast:
    """The seconds of adaptation and of measurement that are expected of each iteration, from 0."""

    adapt: tuple[float, ...]
    measure: tuple[float, ...]

    @property
    def total(self) -> float:
        """Of the whole run."""
        return sum(self.adapt) + sum(self.measure)

    def done(self, iteration: int, phase: str, share: float) -> float:
        """Expected seconds up to a share of a phase of an iteration."""
        before = sum(self.adapt[:iteration]) + sum(self.measure[:iteration])
        if iteration >= len(self.adapt):
            return self.total
        if phase == "measure":
            return before + self.adapt[iteration] + share * self.measure[iteration]
        return before + (share * self.adapt[iteration] if phase == "adapt" else 0.0)


def forecast(plan: Plan, rehearsals: Iterable[Rehearsal], at_once: int = 1) -> Forecast:
    """The expectation for a plan, where so many architectures are measured at a time."""
    trials = list(rehearsals)
    sizes = [min(plan.initial + i * plan.batch, plan.capacity or 2**62) for i in range(plan.iterations + 1)]
    new = [plan.initial] + [plan.batch] * plan.iterations
    again = {"all": 1.0, "front": 1 / 3, "none": 0.0}  # of the others, about
    measured = [n + int(again[plan.policy(i)] * (s - n)) for i, (n, s) in enumerate(zip(new, sizes, strict=True))]
    adapt = tuple(sum(t.adapt[i] for t in trials) for i in range(plan.iterations + 1))
    return Forecast(adapt, tuple(math.ceil(n / at_once) * sum(t.measure for t in trials) for n in measured))
