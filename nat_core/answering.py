"""What is done for one architecture: each objective is asked for, and gives a finite value or a reason why not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nat_core.contracts import Answer, Measurement, Task, TestingEstimator
from nat_core.encoding import Encodings, as_encodings
from nat_core.machine import out_of_memory
from nat_core.problem import Problem

_LONGEST = 500  # characters of a reason: a record stays small
_CONSTRAINTS = "the constraints"
Ask = Callable[[], Measurement]


@dataclass(frozen=True)
class Alone:
    """The crew of a run that measures in its own process, with the weights that it holds."""

    problem: Problem

    def do(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        """One after another."""
        for number, task in enumerate(tasks):
            yield number, answer(self.problem, task)


def answer(problem: Problem, task: Task, asking: Callable[[str], None] = lambda _: None) -> Answer:
    """All objectives of an architecture, or what can be tested of it; `asking` is told each name beforehand."""
    start = time.perf_counter()
    X = as_encodings([task.architecture], len(task.architecture))
    found = dict[str, _Found]()
    for name, ask in (_tests(problem, X) if task.test else _measurements(problem, X)).items():
        asking(name)
        found[name] = _asked(ask)
    values = {name: one.value for name, one in found.items()}
    if not task.test and not any(one.reason for one in found.values()):
        F = np.array([list(values.values())])
        found[_CONSTRAINTS] = _asked(lambda: Measurement(float(problem.violation(X, F)[0])))
    return Answer(
        values,
        found[_CONSTRAINTS].value if _CONSTRAINTS in found else math.inf,
        {name: one.reason for name, one in found.items() if one.reason},
        time.perf_counter() - start,
        exhausted=any(one.exhausted for one in found.values()),
    )


def _measurements(problem: Problem, X: Encodings) -> dict[str, Ask]:
    """How to ask for each objective of a row, in their order."""

    def ask(name: str) -> Ask:
        if name in problem.estimators:
            return lambda: problem.estimators[name](X.copy())[0]
        return lambda: Measurement(float(problem.costs[name](X.copy())[0]))

    return {name: ask(name) for name in problem.names}


def _tests(problem: Problem, X: Encodings) -> dict[str, Ask]:
    """How to ask each estimator that can test a row."""

    def ask(estimator: TestingEstimator) -> Ask:
        return lambda: estimator.test(X.copy())[0]

    return {name: ask(e) for name, e in problem.estimators.items() if isinstance(e, TestingEstimator)}


class _Found(NamedTuple):
    """A finite value, or a reason why there is none."""

    value: float
    reason: str = ""
    exhausted: bool = False  # whether memory ran out


def _asked(ask: Ask) -> _Found:
    """What is answered. A plugin that raises, or returns something else, has failed to measure."""
    try:
        result = ask()
        value, reason, exhausted = float(result.value), str(result.reason), False
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the run goes on within its failure budget
        value, reason = math.nan, f"{type(error).__name__}: {error}"
        exhausted = out_of_memory(error)
    if math.isfinite(value):
        return _Found(value)
    return _Found(value, " ".join(reason.split())[:_LONGEST] or f"the value is {value}", exhausted)
