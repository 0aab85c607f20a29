"""From the journal of a run to what its trackers write down. The journal is the truth: nothing else is remembered.

A run that goes on announces its earlier iterations again; a tracker is told only of those that it lacks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import TrackedIteration, Tracker
from nat_core.encoding import Objectives
from nat_core.journal import Record, read
from nat_core.ledger import replay
from nat_core.report.summary import Summary, ordered, summarise
from nat_core.run import Run


def follow(run: Run, archive: Archive, *, finished: bool = False) -> None:
    """Bring the trackers of a run to where the run is."""
    newest = max((e.iteration for e in archive), default=-1)
    behind = [t for t in run.trackers.values() if finished or not t.knows(newest)]
    if not behind:
        return
    records = read(run.folder / "journal.jsonl")
    last = run.plan.iterations if finished else newest
    found = {i: one for i, one in iterations(run, records).items() if i <= last}

    def begin(tracker: Tracker) -> Collection[int]:
        return tracker.begin(run.folder, run.folder.resolve().name, parameters(run))

    for followed in behind:
        followed.tell(begin, found, finished=finished)


def parameters(run: Run) -> dict[str, str]:
    """What the run is made of, as text: its config, and the versions of its parts."""
    config = {name: _text(value) for name, value in run.config.flat().items() if value is not None}
    return config | {f"plugins.{name}": version for name, version in run.parts.versions().items()}


def iterations(run: Run, records: Sequence[Record]) -> dict[int, Callable[[], TrackedIteration]]:
    """Every iteration that the journal knows of, the last perhaps not complete; each is computed when it is called."""
    archives = list(replay(records, run.config.objectives))
    told, summaries = _told(records), summarise(archives, run.problem.estimators)
    pairs = zip(archives, summaries, strict=True)
    return {s.iteration: partial(_tracked, run, archive, s, told.get(s.iteration, {})) for archive, s in pairs}


def _tracked(run: Run, archive: Archive, summary: Summary, told: Mapping[str, float]) -> TrackedIteration:
    front = ordered(summary.front)
    return TrackedIteration(
        summary.iteration,
        _finite(scalars(archive, summary) | dict(told)),
        archive.names,
        archive.measured.F,
        np.array([e.objectives for e in front], dtype=np.float64).reshape(len(front), len(archive.names)),
        tuple(str(run.space.describe(e.architecture)["architecture"]) for e in front),
    )


def scalars(archive: Archive, summary: Summary) -> dict[str, float]:
    """The numbers that curves are drawn of. Names before the slash are what a program groups them by."""
    front = summary.front
    best = dict(zip(front.names, front.F.min(axis=0).tolist(), strict=True)) if len(front) else {}
    ranked = {name: tau for name, tau in summary.rank_correlation.items() if tau is not None}
    return {
        "front/hypervolume": summary.hypervolume,
        "front/size": float(len(front)),
        **{f"best/{name}": value for name, value in best.items()},
        **{f"rank_correlation/{name}": tau for name, tau in ranked.items()},
        "archive/measured": float(summary.architectures),
        "archive/failed": float(len(archive) - len(archive.measured)),
    }


def table(names: Sequence[str], architectures: Sequence[str], front: Objectives) -> str:
    """A front in Markdown, a row an architecture."""
    heads = ["architecture", *names]
    rows = [[f"`{a}`", *(f"{y:.6g}" for y in row)] for a, row in zip(architectures, front.tolist(), strict=True)]
    rule = ["---", *["---:"] * len(names)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def _told(records: Sequence[Record]) -> dict[int, dict[str, float]]:
    """The time that each phase of each iteration took, and the mean training loss of its last epoch."""
    told: dict[int, dict[str, float]] = {}
    for record in records:
        kind, phases = record["kind"], dict[str, float]()
        if kind == "proposed":
            phases = dict(record.get("seconds", {}))
        elif kind == "adapted":
            phases = {"adapt": record.get("seconds", 0.0)}
            for name, epochs in record.get("losses", {}).items():
                if epochs and epochs[-1] is not None:
                    told.setdefault(record["iteration"], {})[f"loss/{name}"] = epochs[-1]
        elif kind in {"measured", "failed"}:
            phases = {"measure": record.get("seconds", 0.0)}
        for phase, seconds in phases.items():
            numbers = told.setdefault(record["iteration"], {})
            numbers[f"seconds/{phase}"] = numbers.get(f"seconds/{phase}", 0.0) + seconds
    return told


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def _text(value: object) -> str:
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)
