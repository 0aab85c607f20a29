"""What a search has measured so far: frozen evaluations in an immutable archive. A front is an archive too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Architecture, Encodings, Objectives, as_encodings
from nat_core.pareto import non_dominated

Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True)
class Evaluation:
    """One architecture, measured once with one version of the weights."""

    architecture: Architecture
    objectives: tuple[float, ...] | None  # None: could not be measured
    iteration: int  # in which it was measured
    weights: int  # the version it was measured with: the iteration of the last adaptation
    violation: float = 0.0  # how far outside the constraints, summed and relative; 0 is feasible
    predicted: tuple[float, ...] | None = None  # what the surrogates said, where this iteration proposed it
    failure: str = ""  # why it could not be measured


@dataclass(frozen=True)
class Archive:
    """Evaluations of distinct architectures, in the order they were first proposed. Its matrices are read-only."""

    names: tuple[str, ...]  # of the objectives
    evaluations: tuple[Evaluation, ...] = ()

    def __len__(self) -> int:
        return len(self.evaluations)

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self.evaluations)

    @cached_property
    def architectures(self) -> frozenset[Architecture]:
        """The architectures in here: what an optimizer must not propose again."""
        return frozenset(e.architecture for e in self.evaluations)

    @cached_property
    def X(self) -> Encodings:
        """The architectures as rows, (n, n_variables)."""
        n_variables = len(self.evaluations[0].architecture) if self.evaluations else 0
        return _frozen(as_encodings((e.architecture for e in self.evaluations), n_variables))

    @cached_property
    def F(self) -> Objectives:
        """The objectives as rows, (n, n_objectives); a row of NaN where the measurement failed."""
        missing = (float("nan"),) * len(self.names)
        rows = [missing if e.objectives is None else e.objectives for e in self.evaluations]
        return _frozen(np.array(rows, dtype=np.float64).reshape(len(rows), len(self.names)))

    @cached_property
    def violation(self) -> NDArray[np.float64]:
        """The constraint violation of every row, (n,)."""
        return _frozen(np.array([e.violation for e in self.evaluations], dtype=np.float64))

    @cached_property
    def measured(self) -> Archive:
        """Without the failures."""
        return self.where(np.array([e.objectives is not None for e in self.evaluations], dtype=bool))

    @cached_property
    def front(self) -> Archive:
        """The non-dominated feasible evaluations; if none is feasible, those that violate the constraints least."""
        measured = self.measured
        if not len(measured):
            return measured
        allowed = measured.where(measured.violation <= measured.violation.min())
        return allowed.where(non_dominated(allowed.F))

    def where(self, mask: NDArray[np.bool_]) -> Archive:
        """The evaluations that a mask (n,) selects."""
        return Archive(self.names, tuple(e for e, keep in zip(self.evaluations, mask, strict=True) if keep))

    def extend(self, evaluations: Iterable[Evaluation]) -> Archive:
        """With these evaluations: a newer one of the same architecture takes the older one's place."""
        merged = {e.architecture: e for e in self.evaluations}
        merged.update((e.architecture, e) for e in evaluations)
        return Archive(self.names, tuple(merged.values()))

    def without(self, architectures: Iterable[Architecture]) -> Archive:
        """Without some architectures."""
        gone = frozenset(architectures)
        return self if not gone else Archive(self.names, tuple(e for e in self if e.architecture not in gone))


def _frozen(matrix: NDArray[Number]) -> NDArray[Number]:
    """The matrix, read-only: it is cached, and a plugin that wrote to it would change the search."""
    matrix.setflags(write=False)
    return matrix
