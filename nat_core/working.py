"""Measuring for a run in another process: a recipe and tasks come in, answers go out, all of it plain JSON.

Whoever takes up a recipe builds the run's own parts from the run's own config, and refuses where space, data or plugins
are not those of the run. Weights are taken from the files that the run has saved, and compared with their sha256.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nat_core.answering import answer
from nat_core.config import validate
from nat_core.contracts import AdaptiveEstimator, Answer, Task
from nat_core.durable import fault
from nat_core.errors import StateError
from nat_core.run import Run, build, find_parts, identity_of

Plain = Mapping[str, Any]  # what JSON can hold


class Workplace:
    """What does tasks for a run, away from it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._weights: Mapping[str, tuple[Path, str]] = {}  # that the estimators have in memory

    def do(self, task: Task, asking: Callable[[str], None] = lambda _: None) -> Answer:
        """Measure, or test, with the weights of the task. Raises `StateError` for weights that are damaged."""
        self._hold(task.weights)
        return answer(self._run.problem, task, asking)

    def _hold(self, weights: Mapping[str, tuple[Path, str]]) -> None:
        if weights == self._weights:
            return
        self._weights = {}
        for name, (file, sha256) in weights.items():
            if wrong := fault(file, sha256):
                raise StateError(f"the weights {file} cannot be used: {file.name} {wrong}")
            estimator = self._run.problem.estimators[name]
            assert isinstance(estimator, AdaptiveEstimator)  # noqa: S101 - none but these have weights
            estimator.load(file)
        self._weights = weights


def take_up(recipe: Plain) -> Workplace:
    """Build what a recipe says. Raises `NatError` where that cannot be done here, or gives something else."""
    run = build(find_parts(validate(recipe["config"])), Path())
    mine = identity_of(run)
    for name, wanted in recipe["identity"].items():
        if mine[name] != wanted:
            raise StateError(f"the {name} of this run changed while it ran")
    return Workplace(run)


def plain_task(task: Task) -> Plain:
    """A task as JSON."""
    weights = {name: [str(file), sha256] for name, (file, sha256) in task.weights.items()}
    return {"architecture": list(task.architecture), "weights": weights, "test": task.test}


def task(plain: Plain) -> Task:
    """The inverse."""
    weights = {name: (Path(file), sha256) for name, (file, sha256) in plain["weights"].items()}
    return Task(tuple(plain["architecture"]), weights, test=plain["test"])


def plain_answer(found: Answer) -> Plain:
    """An answer as strict JSON: what could not be measured has a reason, and no value."""
    values = {name: value for name, value in found.values.items() if name not in found.reasons}
    about = {"values": values, "reasons": dict(found.reasons), "seconds": found.seconds, "exhausted": found.exhausted}
    return about | ({"violation": found.violation} if math.isfinite(found.violation) else {})


def answer_of(plain: Plain) -> Answer:
    """The inverse."""
    violation = plain.get("violation", math.inf)
    return Answer(plain["values"], violation, plain["reasons"], plain["seconds"], exhausted=plain["exhausted"])
