"""An archive in numbers: its front, its hypervolume, and how well the surrogates ranked what they proposed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from nat_core.archive import Archive, Evaluation
from nat_core.contracts import SearchSpace
from nat_core.encoding import Architecture, Values
from nat_core.pareto import hypervolume, hypervolume_method, reference_point


@dataclass(frozen=True)
class Summary:
    """One iteration."""

    iteration: int
    architectures: int  # measured up to now, each counted once
    reference: Values | None  # the worst point of the initial sample, with a margin
    rank_correlation: Mapping[str, float | None]  # Kendall's tau of predicted and measured, by costly objective
    front: Archive
    surrogates: Mapping[str, str] = field(default_factory=dict)  # objective → how its surrogate came about, if it says

    @cached_property
    def hypervolume(self) -> float:
        """The share of the box up to the reference point, 0 … 1; 0 as long as nothing meets the constraints."""
        return hypervolume(self.front.F, self.reference) if self.reference is not None and feasible(self.front) else 0.0

    @property
    def hypervolume_method(self) -> str:
        """`exact`, or the name of the approximation that many objectives call for."""
        return "exact" if self.reference is None else hypervolume_method(self.front.F, self.reference)


def summarise(
    archives: Iterable[Archive], costly: Collection[str], notes: Callable[[int], Mapping[str, str]] = lambda _: {}
) -> Iterable[Summary]:
    """A summary for each archive; all hypervolumes share the reference point of the first.

    `notes` gives what the surrogates of an iteration said of themselves, by objective.
    """
    reference: Values | None = None
    seen = set[Architecture]()
    for iteration, archive in enumerate(archives):
        if reference is None and len(archive.measured):
            reference = reference_point(archive.measured.F)
        seen |= archive.measured.architectures
        correlation = {n: rank_correlation(archive, n, iteration) for n in archive.names if n in costly}
        yield Summary(iteration, len(seen), reference, correlation, archive.front, notes(iteration))


def feasible(archive: Archive) -> bool:
    """Whether anything measured meets the constraints."""
    return bool(len(archive.measured)) and bool(archive.measured.violation.min() <= 0)


def rank_correlation(archive: Archive, name: str, iteration: int) -> float | None:
    """Kendall's tau between predicted and measured values of an iteration's batch; none where nothing is to be ranked.

    What earlier batches were predicted to be may be in the archive still: by other surrogates, for other weights.
    """
    from scipy.stats import kendalltau

    column = archive.names.index(name)
    batch = (e for e in archive.measured if e.iteration == iteration)
    pairs = [(e.predicted[column], e.objectives[column]) for e in batch if e.predicted and e.objectives]
    if len(pairs) < 2 or any(len(set(values)) < 2 for values in zip(*pairs, strict=True)):
        return None
    tau = float(kendalltau(*zip(*pairs, strict=True)).statistic)
    return tau if np.isfinite(tau) else None


def document(
    folder: str, summary: Summary, space: SearchSpace, tested: Mapping[Architecture, Mapping[str, float]]
) -> dict[str, Any]:
    """The result of a run as plain JSON values: what `--json` prints."""
    front = [
        {
            "architecture": space.describe(e.architecture)["architecture"],
            **({} if (pixels := side(space, e.architecture)) is None else {"side": pixels}),
            "objectives": dict(zip(summary.front.names, map(plain, e.objectives or ()), strict=True)),
            "test": dict(tested.get(e.architecture, {})),
        }
        for e in ordered(summary.front)
    ]
    return {
        "run": folder,
        "evaluations": summary.architectures,
        "hypervolume": summary.hypervolume,
        "hypervolume_method": summary.hypervolume_method,
        "surrogates": dict(summary.surrogates),
        "front": front,
    }


def side(space: SearchSpace, architecture: Architecture) -> int | None:
    """The side of a network's input in pixels, where its space says so: OFA's `r`. A name holds an index at most."""
    pixels = space.describe(architecture).get("r")
    return pixels if isinstance(pixels, int) else None


def ordered(front: Archive) -> list[Evaluation]:
    """The evaluations of a front, best in the first objective first."""
    return sorted(front, key=lambda e: e.objectives or ())


def plain(value: float) -> float | int:
    """A whole number without its decimal point."""
    return int(value) if float(value).is_integer() and abs(value) >= 1 else value
