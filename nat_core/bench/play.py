"""One search of a bench, in memory: what was measured, in its order, and the time that went into the search itself."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nat_core.answering import answer
from nat_core.bench.problems import Cell, baseline
from nat_core.contracts import AdaptiveEstimator, Baseline, Estimator, Measurement, Spent, Task
from nat_core.encoding import Architecture, Encodings, Objectives, as_architectures, everything, new_rows
from nat_core.errors import ConfigError
from nat_core.journal import Journal, Record
from nat_core.ledger import Ledger
from nat_core.problem import Problem
from nat_core.run import Run, build, find_parts
from nat_core.search import search
from nat_core.weights import WeightStore

log = logging.getLogger("nat_core")

_INJECTED = "made to fail"
_SLACK = 1.25  # on the evaluations that a share of failures should take
_IDLE = 5_000  # rows in a row that were known already: a baseline has run dry


@dataclass(frozen=True)
class Trace:
    """What one search measured: distinct canonical architectures in their order."""

    objectives: tuple[tuple[float, ...] | None, ...]  # none where the measurement failed
    violation: tuple[float, ...]  # of the constraints; 0 is feasible
    seconds: float  # of the search itself, without evaluating

    def __len__(self) -> int:
        return len(self.objectives)


def play(cell: Cell) -> Trace:
    """Run the search of a cell until it has its evaluations; where some must fail, those that succeed count."""
    run = built(cell)
    problem = _failing(run.problem, cell.fail, cell.seed)
    with _one_thread(), _without_injected():
        return _baseline(cell, problem) if cell.contestant.baseline else _ours(cell, replace(run, problem=problem))


def built(cell: Cell) -> Run:
    """The run of a cell. Raises `ConfigError` where its objectives would not stay as they are."""
    run = build(find_parts(cell.config), Path())
    estimators = run.problem.estimators
    if learning := [name for name, e in estimators.items() if isinstance(e, AdaptiveEstimator)]:
        raise ConfigError(
            f"{cell.task.name}: {learning[0]} is measured by something that learns during the search; a bench compares "
            "searches on values that stay as they are, such as those of a table or a predictor"
        )
    if cell.fail and not estimators:
        raise ConfigError(f"{cell.task.name}: none of its objectives is measured by an estimator, so none can fail")
    return run


def complete(cell: Cell) -> Objectives | None:
    """The objectives of every feasible architecture, (n, n_objectives); none for a space too large to be listed."""
    problem = built(cell).problem
    rows = everything(problem.space.variables)
    if rows is None:
        return None
    X = new_rows(problem.space.canonicalize(rows))
    values = {name: np.array([m.value for m in estimator(X.copy())]) for name, estimator in problem.estimators.items()}
    costs = {name: problem.costs[name](X.copy()) for name in problem.names if name not in values}
    F = np.column_stack([(values | costs)[name] for name in problem.names])
    measured = np.isfinite(F).all(axis=1)
    X, F = X[measured], F[measured]
    feasible: Objectives = F[problem.violation(X, F) <= 0]
    return feasible


def _ours(cell: Cell, run: Run) -> Trace:
    """The search as `nat run` makes it, with as many iterations as it takes."""
    journal = MemoryJournal()
    ledger = Ledger(run.problem, journal, WeightStore(Path(), {}, journal), _silent)
    most = _most(cell)
    iterations = max(math.ceil((most - run.plan.initial) / run.plan.batch), 0)
    plan = replace(run.plan, iterations=iterations)
    start = time.perf_counter()
    for _ in search(run.problem, run.surrogate, run.optimizer, plan, cell.seed, ledger):
        if cell.fail and sum(r["kind"] == "measured" for r in journal.records) >= cell.evaluations:
            break
    spent = time.perf_counter() - start
    results = [r for r in journal.records if r["kind"] in {"measured", "failed"}]
    seconds = spent - sum(r["seconds"] for r in results)
    rows = [tuple(r["objectives"][n] for n in run.problem.names) if "objectives" in r else None for r in results]
    return _cut(cell, Trace(tuple(rows), tuple(r.get("violation", 0.0) for r in results), seconds))


def _baseline(cell: Cell, problem: Problem) -> Trace:
    """A baseline until it has asked for as many distinct architectures as it may."""
    offer, options = baseline(cell.task, cell.contestant)
    assert offer.factory is not None  # noqa: S101 - the registry finds working offers alone
    searcher: Baseline = offer.factory(problem.space, **options)
    meter = Meter(problem, _most(cell), cell.evaluations)
    start = time.perf_counter()
    try:
        searcher.search(meter, problem.names, _most(cell), cell.seed)
    except Spent:
        pass
    else:
        log.warning("%s: it ended by itself after %d of %d evaluations", cell, len(meter.rows), cell.evaluations)
    seconds = time.perf_counter() - start - meter.seconds
    return _cut(cell, Trace(tuple(meter.rows.values()), tuple(meter.violation), seconds))


@dataclass
class Meter:
    """Measures what a baseline asks for, each architecture once, until the budget is spent."""

    problem: Problem
    most: int  # distinct architectures
    good: int  # measurements that succeed
    rows: dict[Architecture, tuple[float, ...] | None] = field(default_factory=dict)  # in the order of measurement
    violation: list[float] = field(default_factory=list)
    seconds: float = 0.0
    _succeeded: int = 0
    _idle: int = 0

    def __call__(self, X: Encodings) -> Objectives:
        """F (n, n_objectives), NaN where the measurement failed. Raises `Spent`."""
        start = time.perf_counter()
        try:
            rows = [self._row(a) for a in as_architectures(self.problem.space.canonicalize(np.asarray(X, np.int64)))]
        finally:
            self.seconds += time.perf_counter() - start
        missing = (math.nan,) * len(self.problem.names)
        return np.array([missing if row is None else row for row in rows]).reshape(len(rows), len(missing))

    def _row(self, architecture: Architecture) -> tuple[float, ...] | None:
        if architecture in self.rows:
            self._idle += 1
            if self._idle > _IDLE:
                raise Spent
            return self.rows[architecture]
        if len(self.rows) >= self.most or self._succeeded >= self.good:
            raise Spent
        found = answer(self.problem, Task(architecture, {}))
        row = None if found.reasons else tuple(found.values[name] for name in self.problem.names)
        self.rows[architecture] = row
        self.violation.append(0.0 if found.reasons else found.violation)
        self._succeeded += row is not None
        self._idle = 0
        return row


class MemoryJournal(Journal):
    """A journal of a search that nobody resumes: the same records, and no file."""

    def __init__(self) -> None:
        self.file = Path("memory")
        self.records: list[Record] = []
        self.seconds = 0.0

    def append(self, kind: str, **fields: Any) -> Record:
        """Add a record, as it would be read from a file."""
        record: Record = json.loads(json.dumps({"kind": kind, **fields}, allow_nan=False))
        self.records.append(record)
        return record

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Failing:
    """An estimator whose measurement fails for a share of the architectures, always the same ones."""

    estimator: Estimator
    share: float
    seed: int

    def __call__(self, X: Encodings) -> Sequence[Measurement]:
        """As the estimator's own, or NaN."""
        fails = [_drawn(a, self.seed) < self.share for a in as_architectures(X)]
        failed = Measurement(math.nan, _INJECTED)
        return [failed if f else m for f, m in zip(fails, self.estimator(X), strict=True)]


def _failing(problem: Problem, share: float, seed: int) -> Problem:
    """The problem with one of its estimators failing for a share of the architectures."""
    if not share:
        return problem
    name, estimator = next(iter(problem.estimators.items()))
    return replace(problem, estimators={**problem.estimators, name: Failing(estimator, share, seed)})


def _drawn(architecture: Architecture, seed: int) -> float:
    """A number from 0 to 1 that depends on an architecture and a seed alone."""
    digest = hashlib.blake2b(json.dumps([seed, *architecture]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _most(cell: Cell) -> int:
    """The evaluations at which a search ends, whatever has failed."""
    return math.ceil(_SLACK * cell.evaluations / (1 - cell.fail)) if cell.fail else cell.evaluations


def _cut(cell: Cell, trace: Trace) -> Trace:
    """Without what an iteration measured beyond the budget."""
    end = cell.evaluations
    if cell.fail:
        succeeded = np.cumsum([row is not None for row in trace.objectives])
        end = int(np.searchsorted(succeeded, cell.evaluations)) + 1
    return Trace(trace.objectives[:end], trace.violation[:end], trace.seconds)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Linear algebra in one thread: times can be compared, and several searches share a machine."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@contextmanager
def _without_injected() -> Iterator[None]:
    """No warning for each measurement that was made to fail."""

    def passes(record: logging.LogRecord) -> bool:
        return _INJECTED not in record.getMessage()

    log.addFilter(passes)
    try:
        yield
    finally:
        log.removeFilter(passes)


def _silent(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""
