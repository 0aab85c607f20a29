"""What surrogates say of rows, made safe for a search; and what may be hoped of rows where they are not sure.

A search that goes by what it expects asks nothing about what it has never tried: its errors on the neighbours of the
front stay as they were. One that hopes does, and is wrong about a thing only once (Srinivas et al., "Gaussian Process
Optimization in the Bandit Setting", ICML 2010).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import Belief, Explained, Function, UncertainFunction
from nat_core.encoding import Encodings, Objectives, Values
from nat_core.errors import NatError
from nat_core.pareto import most_added
from nat_core.problem import Predicted
from nat_core.proposals import Visited

log = logging.getLogger("nat_core")

_LONGEST = 500  # characters of a note: a record stays small


def at_best(functions: Mapping[str, Function], deviations: float) -> dict[str, Function]:
    """The functions, each less so many standard deviations of its errors where it knows them."""
    return {name: _at_best(function, deviations) for name, function in functions.items()}


def _at_best(function: object, deviations: float) -> Function:
    if deviations and (uncertain := _uncertain(function)) is not None:
        return lambda X: uncertain.at_best(X, deviations)
    return function  # type: ignore[return-value]


def _uncertain(function: object) -> UncertainFunction | None:
    return function if isinstance(function, UncertainFunction) else None


@dataclass(frozen=True)
class Hopes:
    """Rows at their best: the objectives that they may have, as far as surrogates know how wrong they may be."""

    visited: Visited
    beliefs: Mapping[int, Belief]  # by column of F
    optimism: float

    @classmethod
    def of(cls, predicted: Predicted, visited: Visited, optimism: float) -> Hopes:
        """What the surrogates believe of some rows."""
        functions = map(_uncertain, predicted.functions if optimism and len(visited) else ())
        believed = {i: _believed(predicted.names[i], f, visited.X) for i, f in enumerate(functions) if f is not None}
        return cls(visited, {i: belief for i, belief in believed.items() if belief is not None}, optimism)

    @property
    def F(self) -> Objectives:
        """The objectives, (n, n_objectives); as predicted where no number can be hoped for."""
        F = self.visited.F.copy()
        for i, belief in self.beliefs.items():
            hoped = belief.at_best(self.optimism)
            F[:, i] = np.where(np.isfinite(hoped), hoped, F[:, i])
        return F

    def knowing(self, row: int) -> Hopes:
        """The hopes that are left once a row has been measured, whatever comes out."""
        return replace(self, beliefs={i: belief.knowing(row) for i, belief in self.beliefs.items()})

    def most_added(self, n: int, front: Objectives) -> NDArray[np.int64]:
        """At most `n` rows, each the one that at best adds most to the front and those before it.

        A row that is taken will be known, so less is hoped of rows like it: a batch asks about different things
        (GP-BUCB: Desautels, Krause and Burdick, JMLR 15, 2014). A row that would add nothing is not taken.
        """
        if not self.beliefs:
            return most_added(self.F, n, front)
        hopes, chosen, there = self, list[int](), front
        left = np.arange(len(self.visited))
        while len(chosen) < n and len(best := most_added(hopes.F[left], 1, there, like=front)):
            row = int(left[best[0]])
            chosen.append(row)
            there, left = np.vstack([there, hopes.F[row]]), left[left != row]
            hopes = hopes.knowing(row)
        return np.array(chosen, dtype=np.int64)


def guarded(name: str, function: Function, y: Values) -> Function:
    """The function, with the worst measured value where it says nothing usable. It says so once."""
    plain = _Guarded(name, function, float(y.max()), _note(name, function))
    uncertain = _uncertain(function)
    return plain if uncertain is None else _GuardedUncertain(plain, uncertain)


def notes(functions: Mapping[str, object]) -> dict[str, str]:
    """What guarded functions say of themselves, by objective, where they say anything."""
    return {name: f.note for name, f in functions.items() if isinstance(f, Explained) and f.note}


def _note(name: str, function: object) -> str:
    """The note of a plugin's function in one line; empty where there is none."""
    try:
        note = function.note if isinstance(function, Explained) else ""
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; nothing hangs on a note
        log.warning("the surrogate of %s has no note: %s: %s", name, type(error).__name__, error)
        return ""
    return " ".join(note.split())[:_LONGEST] if isinstance(note, str) else ""


@dataclass(frozen=True)
class _Guarded:
    """A function of a plugin, in which anything may go wrong."""

    name: str
    function: Function
    worst: float
    note: str = ""
    faults: Iterator[int] = field(default_factory=itertools.count, compare=False, repr=False)

    def __call__(self, X: Encodings) -> Values:
        predicted, reason = _predicted(self.function, X)
        bad = ~np.isfinite(predicted)
        if bad.any() and not next(self.faults):
            log.warning("no prediction of %s for %d of %d rows: %s", self.name, bad.sum(), len(bad), reason)
        return np.where(bad, self.worst, predicted)


@dataclass(frozen=True)
class _GuardedUncertain:
    """One that knows how far it may be wrong."""

    plain: _Guarded
    uncertain: UncertainFunction

    def __call__(self, X: Encodings) -> Values:
        return self.plain(X)

    @property
    def note(self) -> str:
        return self.plain.note

    def at_best(self, X: Encodings, deviations: float) -> Values:
        hoped, _ = _predicted(lambda rows: self.uncertain.at_best(rows, deviations), X)
        unknown = ~np.isfinite(hoped)
        return np.where(unknown, self(X), hoped) if unknown.any() else hoped

    def believe(self, X: Encodings) -> Belief:
        return self.uncertain.believe(X)


def _believed(name: str, function: UncertainFunction, X: Encodings) -> Belief | None:
    """What a function believes of rows; none, with a warning, where it raises an error."""
    try:
        return _GuardedBelief(name, len(X), function.believe(X))
    except NatError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the search goes on by what is expected
        _warn(name, error)
        return None


@dataclass(frozen=True)
class _GuardedBelief:
    """A belief of a plugin. Where something goes wrong in it, nothing more is hoped for, and it says so once."""

    name: str
    n: int
    belief: Belief
    faults: Iterator[int] = field(default_factory=itertools.count, compare=False, repr=False)

    def at_best(self, deviations: float) -> Values:
        try:
            return np.asarray(self.belief.at_best(deviations), dtype=np.float64).reshape(self.n)
        except NatError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            if not next(self.faults):
                _warn(self.name, error)
            return np.full(self.n, np.nan)

    def knowing(self, row: int) -> Belief:
        try:
            return replace(self, belief=self.belief.knowing(row))
        except NatError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            if not next(self.faults):
                _warn(self.name, error)
            return self


def _warn(name: str, error: Exception) -> None:
    log.warning("how far predictions of %s are unsure is not known: %s: %s", name, type(error).__name__, error)


def _predicted(function: Function, X: Encodings) -> tuple[Values, str]:
    """Values (n,), and a reason for those that are not finite."""
    try:
        return np.asarray(function(X), dtype=np.float64).reshape(len(X)), "no finite value"
    except NatError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the search goes on without it
        return np.full(len(X), np.nan), f"{type(error).__name__}: {error}"
