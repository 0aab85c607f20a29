"""Costly things happen once: each is looked up in the journal, and done and recorded if it is not there.

A `proposed` record is durable before anything is done for its architectures, an `adapted` record after new weights are
on the disk, and a `measured` or `failed` record after each evaluation.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nat_core.answering import Alone
from nat_core.archive import Archive, Evaluation
from nat_core.contracts import Answer, Crew, Progress, Task
from nat_core.encoding import Architecture, Encodings, Objectives, as_architectures, as_encodings
from nat_core.errors import blame
from nat_core.journal import Journal, Record
from nat_core.problem import Problem
from nat_core.weights import WeightStore

log = logging.getLogger("nat_core")


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
    crew: Crew | None = None  # who measures; none: this process
    strict: bool = False  # whether a failure ends the run, and is measured again when that goes on
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
        for architecture, answer in self._answers("measure", iteration, missing):
            done[architecture] = self._record(iteration, architecture, answer)
        predicted = (
            {}
            if batch.predicted is None
            else dict(zip(as_architectures(batch.X), batch.predicted.tolist(), strict=True))
        )
        return [evaluation(done[a], self.problem.names, predicted.get(a)) for a in as_architectures(rows)]

    def _results(self, iteration: int) -> Iterator[Record]:
        yield from self.journal.find("measured", iteration=iteration)
        yield from self.journal.find("failed", iteration=iteration)

    def _answers(
        self, phase: str, version: int, architectures: list[Architecture]
    ) -> Iterator[tuple[Architecture, Answer]]:
        """What came of each architecture with the weights of a version, as soon as it did."""
        if not architectures:
            return
        self.weights.hold(version)
        files = self.weights.files(version)
        tasks = [Task(architecture, files, test=phase == "test") for architecture in architectures]
        crew = self.crew or Alone(self.problem)
        self.progress(phase, 0, len(tasks))
        for n_done, (number, answer) in enumerate(crew.do(tasks), start=1):
            yield architectures[number], answer
            if n_done < len(tasks):
                self.progress(phase, n_done, len(tasks))

    def _record(self, iteration: int, architecture: Architecture, answer: Answer) -> Record:
        """Make the outcome of a measurement durable."""
        about: dict[str, Any] = {"iteration": iteration, "architecture": list(architecture)}
        about |= {"weights": self.weights.version, "seconds": round(answer.seconds, 4)}
        if answer.attempts > 1:
            about["attempts"] = answer.attempts
        if answer.reasons:
            reason = "; ".join(f"{name}: {why}" for name, why in answer.reasons.items())
            blame(f"architecture {architecture} could not be measured: {reason}", strict=self.strict)
            return self.journal.append("failed", reason=reason, **about)
        return self.journal.append("measured", objectives=dict(answer.values), violation=answer.violation, **about)

    def test(self, front: Archive) -> dict[Architecture, dict[str, float]]:
        """The final front on the test split: measured once in the life of a run."""
        recorded = {tuple(r["architecture"]): r["objectives"] for r in self.journal.find("tested")}
        missing = [e.architecture for e in front if e.architecture not in recorded]
        for architecture, answer in self._answers("test", self.weights.version, missing):
            for name, why in answer.reasons.items():
                blame(f"architecture {architecture} could not be tested: {name}: {why}", strict=self.strict)
            values = {name: value for name, value in answer.values.items() if name not in answer.reasons}
            recorded[architecture] = values
            seconds = round(answer.seconds, 4)
            self.journal.append("tested", architecture=list(architecture), objectives=values, seconds=seconds)
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
    proposed = list[Architecture]()

    def in_order() -> list[Evaluation]:  # several at a time are measured in any order, and archived in one
        place = {architecture: i for i, architecture in enumerate(proposed)}
        return sorted(new, key=lambda e: place.get(e.architecture, -1))

    for record in records:
        if record["kind"] == "proposed":
            archive, new = archive.extend(in_order()), []
            if record["iteration"] > 0:
                yield archive
            archive = archive.without(tuple(a) for a in record["dropped"])
            proposed, rows = [tuple(a) for a in record["architectures"]], record["predicted"] or []
            predicted = dict(zip(proposed, rows, strict=False))
        elif record["kind"] in {"measured", "failed"}:
            new.append(evaluation(record, names, predicted.get(tuple(record["architecture"]))))
    yield archive.extend(in_order())


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {part: round(value, 4) for part, value in seconds.items()}
