"""Costly things happen once: each is looked up in the journal, and done and recorded if it is not there.

A `proposed` record is durable before anything is done for its architectures, an `adapted` record after new weights are
on the disk, and a `measured` or `failed` record after each evaluation.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from nat_core.archive import Archive, Evaluation
from nat_core.contracts import Measurement, Progress, TestingEstimator
from nat_core.encoding import Architecture, Encodings, Objectives, as_architectures, as_encodings
from nat_core.journal import Journal, Record
from nat_core.problem import Problem
from nat_core.weights import WeightStore

log = logging.getLogger("nat_core")

_LONGEST = 500  # characters of a reason: a record stays small


@dataclass(frozen=True)
class Batch:
    """New architectures, and what was predicted of them."""

    X: Encodings
    predicted: Objectives | None = None
    dropped: tuple[Architecture, ...] = ()  # what leaves the archive to make room
    surrogates: Mapping[str, str] = field(default_factory=dict)  # objective → what its surrogate said of itself


@dataclass
class Ledger:
    """The journal and the weights of a run, as the search sees them."""

    problem: Problem
    journal: Journal
    weights: WeightStore
    progress: Progress
    _seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time inside to a part; it is written with the next batch."""
        start = time.perf_counter()
        yield
        self._seconds[part] = self._seconds.get(part, 0.0) + time.perf_counter() - start

    def batch(self, iteration: int) -> Batch | None:
        """What was proposed in an iteration, if that is recorded."""
        record = self.journal.first("proposed", iteration=iteration)
        if record is None:
            self.progress("search", iteration, iteration)
            return None
        X = as_encodings(record["architectures"], len(self.problem.space.variables))
        predicted = record["predicted"]
        dropped = tuple(tuple(a) for a in record["dropped"])
        shape = len(X), len(self.problem.names)
        F = None if predicted is None else np.array(predicted, dtype=np.float64).reshape(shape)
        return Batch(X, F, dropped, notes(record))

    def notes(self, iteration: int) -> dict[str, str]:
        """What the surrogates of an iteration said of themselves, by objective."""
        return notes(self.journal.first("proposed", iteration=iteration) or {})

    def record(self, iteration: int, batch: Batch) -> None:
        """Make a batch durable, before anything is done for it."""
        predicted = None if batch.predicted is None else batch.predicted.tolist()
        seconds, self._seconds = self._seconds, {}
        self.journal.append(
            "proposed",
            iteration=iteration,
            architectures=batch.X.tolist(),
            predicted=predicted,
            dropped=[list(a) for a in batch.dropped],
            surrogates=dict(batch.surrogates),
            seconds=_rounded(seconds),
        )

    def adapt(self, iteration: int, iterations: int, X: Encodings) -> None:
        """Bring the weights to an iteration's version."""
        self.weights.advance(iteration, iterations, X, self.progress)

    def measure(self, iteration: int, again: Encodings, batch: Batch) -> list[Evaluation]:
        """Evaluations of known rows and of a batch with the present weights, in this order."""
        done = {tuple(r["architecture"]): r for r in self._results(iteration)}
        rows = np.vstack([again.reshape(-1, batch.X.shape[1]), batch.X])
        missing = list(dict.fromkeys(a for a in as_architectures(rows) if a not in done))
        if missing:
            self.weights.hold(iteration)
        for i, architecture in enumerate(missing):
            self.progress("measure", i, len(missing))
            done[architecture] = self._measure(iteration, architecture)
        predicted = (
            {}
            if batch.predicted is None
            else dict(zip(as_architectures(batch.X), batch.predicted.tolist(), strict=True))
        )
        return [evaluation(done[a], self.problem.names, predicted.get(a)) for a in as_architectures(rows)]

    def _results(self, iteration: int) -> Iterator[Record]:
        yield from self.journal.find("measured", iteration=iteration)
        yield from self.journal.find("failed", iteration=iteration)

    def _measure(self, iteration: int, architecture: Architecture) -> Record:
        """Measure one architecture and record the outcome."""
        start = time.perf_counter()
        X = as_encodings([architecture], len(architecture))
        values, violation, reasons = measure(self.problem, X)
        common = {"iteration": iteration, "architecture": list(architecture), "weights": self.weights.version}
        common["seconds"] = round(time.perf_counter() - start, 4)
        if reasons:
            log.warning("architecture %s could not be measured: %s", architecture, "; ".join(reasons))
            return self.journal.append("failed", reason="; ".join(reasons), **common)
        return self.journal.append("measured", objectives=values, violation=violation, **common)

    def test(self, front: Archive) -> dict[Architecture, dict[str, float]]:
        """The final front on the test split: measured once in the life of a run."""
        recorded = {tuple(r["architecture"]): r["objectives"] for r in self.journal.find("tested")}
        missing = [e.architecture for e in front if e.architecture not in recorded]
        if missing:
            self.weights.hold(self.weights.version)
        for i, architecture in enumerate(missing):
            self.progress("test", i, len(missing))
            start = time.perf_counter()
            X = as_encodings([architecture], len(architecture))
            testable = {n: e for n, e in self.problem.estimators.items() if isinstance(e, TestingEstimator)}
            results = {name: _ask(name, partial(_first, estimator.test, X)) for name, estimator in testable.items()}
            for reason in filter(None, (result.reason for result in results.values())):
                log.warning("architecture %s could not be tested: %s", architecture, reason)
            recorded[architecture] = {name: r.value for name, r in results.items() if not r.reason}
            seconds = round(time.perf_counter() - start, 4)
            self.journal.append(
                "tested", architecture=list(architecture), objectives=recorded[architecture], seconds=seconds
            )
        return recorded


def evaluation(record: Record, names: tuple[str, ...], predicted: list[float] | None) -> Evaluation:
    """A `measured` or `failed` record as an evaluation."""
    objectives = record.get("objectives")
    return Evaluation(
        architecture=tuple(record["architecture"]),
        objectives=None if objectives is None else tuple(objectives[name] for name in names),
        iteration=record["iteration"],
        weights=record["weights"],
        violation=record.get("violation", math.inf),
        predicted=None if predicted is None else tuple(predicted),
        failure=record.get("reason", ""),
    )


def notes(proposed: Mapping[str, Any]) -> dict[str, str]:
    """What the surrogates behind a `proposed` record said of themselves, by objective; older journals lack it."""
    return dict(proposed.get("surrogates", {}))


def replay(records: Iterable[Record], names: tuple[str, ...]) -> Iterator[Archive]:
    """The archives of a journal, iteration by iteration, without building anything of the run."""
    archive, predicted, new = Archive(names), dict[Architecture, list[float]](), list[Evaluation]()
    for record in records:
        if record["kind"] == "proposed":
            archive, new = archive.extend(new), []
            if record["iteration"] > 0:
                yield archive
            archive = archive.without(tuple(a) for a in record["dropped"])
            rows = record["predicted"] or []
            predicted = {tuple(a): row for a, row in zip(record["architectures"], rows, strict=False)}
        elif record["kind"] in {"measured", "failed"}:
            new.append(evaluation(record, names, predicted.get(tuple(record["architecture"]))))
    yield archive.extend(new)


def measure(problem: Problem, X: Encodings) -> tuple[dict[str, float], float, list[str]]:
    """All objectives of one row and its constraint violation; and the reasons why some are not numbers."""
    found = {name: _ask(name, _asking(problem, name, X)) for name in problem.names}
    values = {name: measurement.value for name, measurement in found.items()}
    reasons = [measurement.reason for measurement in found.values() if measurement.reason]
    if reasons:
        return values, math.inf, reasons
    F = np.array([list(values.values())])
    violation = _ask("the constraints", lambda: Measurement(float(problem.violation(X, F)[0])))
    return values, violation.value, [violation.reason] if violation.reason else []


def _asking(problem: Problem, name: str, X: Encodings) -> Callable[[], Measurement]:
    if name in problem.estimators:
        return partial(_first, problem.estimators[name], X)
    return lambda: Measurement(float(problem.costs[name](X.copy())[0]))


def _first(measure: Callable[[Encodings], Sequence[Measurement]], X: Encodings) -> Measurement:
    return measure(X.copy())[0]


def _ask(name: str, measure: Callable[[], Measurement]) -> Measurement:
    """A finite value, or a reason. A plugin that raises, or returns something else, has failed to measure."""
    try:
        result = measure()
        value, reason = float(result.value), str(result.reason)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the run goes on within its failure budget
        value, reason = math.nan, f"{type(error).__name__}: {error}"
    if math.isfinite(value):
        return Measurement(value)
    return Measurement(value, f"{name}: {' '.join(reason.split())[:_LONGEST] or f'the value is {value}'}")


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {part: round(value, 4) for part, value in seconds.items()}
