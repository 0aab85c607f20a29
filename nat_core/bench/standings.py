"""A bench in numbers: hypervolume as a share of the best known front's, evaluation by evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nat_core.bench.play import Trace
from nat_core.bench.problems import BenchConfig, Cell, Contestant, Task
from nat_core.encoding import Objectives, Values
from nat_core.pareto import hypervolume, non_dominated
from nat_core.report.words import per_cent

TARGETS = (0.90, 0.95, 0.99)  # shares that a search is asked how many evaluations it took to reach


@dataclass(frozen=True)
class Best:
    """The hypervolume that counts as 1, and where it is from."""

    hypervolume: float
    source: str


@dataclass(frozen=True)
class Standing:
    """A contestant on a problem: a row a seed."""

    contestant: Contestant
    fail: float
    seeds: tuple[int, ...]
    curves: Objectives  # (n_seeds, evaluations): the share after each; where some must fail, after each that did not
    seconds: Values  # (n_seeds,) of the search itself

    @property
    def name(self) -> str:
        """Of the contestant, and what was done to it."""
        return f"{self.contestant.name}, {per_cent(self.fail, 0)} failing" if self.fail else self.contestant.name

    def share(self, evaluations: int) -> Values:
        """The share after so many evaluations, (n_seeds,)."""
        return self.curves[:, evaluations - 1]

    def reached(self, target: float) -> Values:
        """After how many evaluations each seed had a share, (n_seeds,); infinite where it never had."""
        there = self.curves >= target
        return np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, math.inf)


@dataclass(frozen=True)
class Table:
    """One problem of a bench."""

    task: Task
    best: Best
    standings: tuple[Standing, ...]

    def kept(self, failing: Standing) -> Objectives | None:
        """The hypervolume with failures as a share of the clean run's with as many good evaluations, seed by seed."""
        for clean in self.standings:
            both = [s for s in failing.seeds if s in clean.seeds]
            if clean.contestant == failing.contestant and not clean.fail and both:
                rows = [(failing.seeds.index(s), clean.seeds.index(s)) for s in both]
                return np.array([failing.curves[i] / np.maximum(clean.curves[j], 1e-12) for i, j in rows])
        return None


def tabulate(task: Task, traces: Mapping[Cell, Trace], listed: Objectives | None) -> Table:
    """All finished cells of a problem. `listed` holds the objectives of its whole space, where that can be listed."""
    mine = {cell: trace for cell, trace in traces.items() if cell.task.name == task.name}
    best = best_known(task.bench, mine.values(), listed)
    groups: dict[tuple[str, float], list[Cell]] = {}
    for cell in sorted(mine, key=lambda cell: cell.seed):
        groups.setdefault((cell.contestant.name, cell.fail), []).append(cell)
    order = list(dict.fromkeys((cell.contestant.name, cell.fail) for cell in traces if cell in mine))
    return Table(task, best, tuple(_standing(task.bench, groups[key], mine, best) for key in order))


def best_known(bench: BenchConfig, traces: Iterable[Trace], listed: Objectives | None) -> Best:
    """The best of what the problem file says, the whole space, and everything that this bench found."""
    rows = [row for trace in traces for row in _feasible(trace) if row is not None]
    found = volume(bench, np.array(rows).reshape(len(rows), len(bench.low)))
    candidates = [Best(found, "everything that this bench measured")]
    if bench.best is not None:
        candidates.append(Best(bench.best, "the problem file"))
    elif listed is not None:
        candidates.append(Best(volume(bench, listed), "the whole space"))
    return max(reversed(candidates), key=lambda best: round(best.hypervolume, 9))


def volume(bench: BenchConfig, F: Objectives) -> float:
    """The hypervolume of F (n, n_objectives), with `low` … `high` of each objective as 0 … 1."""
    reference = np.full(F.shape[1], bench.reference)
    return hypervolume(scaled(bench, F), reference) * float(reference.prod()) if len(F) else 0.0


def scaled(bench: BenchConfig, F: Objectives) -> Objectives:
    """F with `low` … `high` of each objective as 0 … 1."""
    low, high = np.array(list(bench.low.values())), np.array(list(bench.high.values()))
    between: Objectives = (F - low) / (high - low)
    return between


def curve(bench: BenchConfig, trace: Trace, length: int, *, good: bool = False) -> Values:
    """The hypervolume after 1, 2, … `length` evaluations, or `good` ones; what ended before stays where it was."""
    front, now, volumes = np.empty((0, len(bench.low))), 0.0, list[float]()
    for row, outcome in zip(_feasible(trace), trace.objectives, strict=True):
        if row is not None and not (front <= row).all(axis=1).any():
            front = np.vstack([front, row])
            front = front[non_dominated(front)]
            now = volume(bench, front)
        if outcome is not None or not good:
            volumes.append(now)
    volumes = volumes[:length]
    return np.array(volumes + [now if not volumes else volumes[-1]] * (length - len(volumes)))


def document(tables: Sequence[Table], failures: Sequence[tuple[Cell, str]]) -> dict[str, Any]:
    """A whole bench as plain JSON."""
    faults = [
        {"problem": c.task.name, "contestant": c.contestant.name, "seed": c.seed, "fail": c.fail, "reason": reason}
        for c, reason in failures
    ]
    return {"problems": [_problem(table) for table in tables], "failures": faults}


def summary(values: Values) -> dict[str, float | None]:
    """Median, least and most; none where it was never reached."""
    found = {"median": np.median(values), "min": values.min(), "max": values.max()}
    return {name: float(value) if np.isfinite(value) else None for name, value in found.items()}


def _standing(bench: BenchConfig, cells: Sequence[Cell], traces: Mapping[Cell, Trace], best: Best) -> Standing:
    first = cells[0]
    curves = [curve(bench, traces[c], c.evaluations, good=bool(c.fail)) / max(best.hypervolume, 1e-12) for c in cells]
    seconds = np.array([traces[c].seconds for c in cells])
    return Standing(first.contestant, first.fail, tuple(c.seed for c in cells), np.array(curves), seconds)


def _feasible(trace: Trace) -> list[tuple[float, ...] | None]:
    return [row if v <= 0 else None for row, v in zip(trace.objectives, trace.violation, strict=True)]


def _problem(table: Table) -> dict[str, Any]:
    task, bench = table.task, table.task.bench
    return {
        "name": task.name,
        "objectives": list(task.objectives),
        "low": list(bench.low.values()),
        "high": list(bench.high.values()),
        "reference": bench.reference,
        "best": {"hypervolume": table.best.hypervolume, "source": table.best.source},
        "evaluations": list(bench.evaluations),
        "contestants": [_contestant(table, standing) for standing in table.standings],
    }


def _contestant(table: Table, standing: Standing) -> dict[str, Any]:
    evaluations = table.task.bench.evaluations
    facts: dict[str, Any] = {
        "name": standing.name,
        **standing.contestant.parts,
        "options": {part: dict(values) for part, values in standing.contestant.options.items()},
        "fail": standing.fail,
        "seeds": list(standing.seeds),
        "share": {str(n): summary(standing.share(n)) for n in evaluations},
        "reached": {f"{target:g}": summary(standing.reached(target)) for target in TARGETS},
        "seconds": summary(standing.seconds),
        "curves": standing.curves.round(6).tolist(),
    }
    if standing.fail and (kept := table.kept(standing)) is not None:
        facts["kept"] = {str(n): summary(kept[:, n - 1]) for n in evaluations}
    return facts
