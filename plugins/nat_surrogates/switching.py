"""Adaptive switching (Lu et al., "Neural Architecture Search Using Deep Neural Networks and MOEA", MSuNAS, 2020).

Which surrogate ranks best depends on the objective and on how much of it is known. So each candidate is cross-validated
on the measurements at hand, and the one with the greatest mean of Kendall's tau less its standard deviation over the
folds is fitted to all of them. With many measurements, a random part of them is enough to compare on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nat_core.contracts import Belief, Function, Surrogate, UncertainFunction
from nat_core.encoding import Encodings, Values
from nat_core.errors import ConfigError
from nat_core.seeding import rng
from nat_surrogates.learning import averaged
from nat_surrogates.options import at_least

LOG = logging.getLogger("nat_core")

FOLD = 5  # measurements at least in a fold: of fewer, tau says next to nothing


@dataclass(frozen=True)
class Candidate:
    """A surrogate to choose from, and a cheaper one of its kind that stands in for it while they are compared."""

    name: str
    surrogate: Surrogate
    trial: Surrogate


@dataclass(frozen=True)
class Chosen:
    """The fitted winner as a function of X."""

    function: Function
    name: str
    note: str  # who won and why, such as "gp of rbf 0.91, gp 0.93, boosting 0.88"

    def __call__(self, X: Encodings) -> Values:
        """The predictions for rows X, (n,)."""
        return self.function(X)


@dataclass(frozen=True)
class UncertainChosen(Chosen):
    """A winner that knows how far it may be wrong."""

    function: UncertainFunction

    def at_best(self, X: Encodings, deviations: float) -> Values:
        """The predictions less so many standard deviations, (n,)."""
        return self.function.at_best(X, deviations)

    def believe(self, X: Encodings) -> Belief:
        """What it takes the rows to be, together."""
        return self.function.believe(X)


@dataclass(frozen=True)
class Switching:
    """A `Surrogate`. The factory `nat_surrogates.adaptive` describes the options."""

    candidates: tuple[Candidate, ...]
    folds: int
    max_points: int
    seed: int

    def __post_init__(self) -> None:
        names = [c.name for c in self.candidates]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"members must name at least one surrogate, and each once, not {', '.join(names) or '∅'}")
        at_least(2, folds=self.folds)
        at_least(2 * FOLD, max_points=self.max_points)
        at_least(0, seed=self.seed)

    def fit(self, X: Encodings, y: Values) -> Chosen:
        """A function of an objective's own type, with a `note`. The same rows in any order give the same function."""
        X, y = averaged(X, y)
        winner, note = self._compared(X, y)
        LOG.info("surrogate: %s", note)
        function: object = winner.surrogate.fit(X, y)
        if isinstance(function, UncertainFunction):
            return UncertainChosen(function, winner.name, note)
        return Chosen(function, winner.name, note)  # type: ignore[arg-type]

    def _compared(self, X: Encodings, y: Values) -> tuple[Candidate, str]:
        """The candidate with the best score, the first of equals, and a line about it."""
        drawn = rng(self.seed, "folds").permutation(len(y))[: self.max_points]
        first, folds = self.candidates[0], min(self.folds, len(drawn) // FOLD)
        if len(self.candidates) == 1:
            return first, f"{first.name}, the only member"
        if folds < 2:
            return first, f"{first.name}, the first member: {len(y)} measurements are too few to compare"
        X, y, tests = X[drawn], y[drawn], np.array_split(np.arange(len(drawn)), folds)
        scores = [score(list(taus(c.trial, X, y, tests))) for c in self.candidates]
        shown = ", ".join(f"{c.name} {s:.2f}" for c, s in zip(self.candidates, scores, strict=True))
        winner = self.candidates[int(np.argmax(scores))]
        return winner, f"{winner.name} of {shown}"


def taus(surrogate: Surrogate, X: Encodings, y: Values, tests: list[NDArray[np.intp]]) -> Iterator[float]:
    """Kendall's tau on each fold of a surrogate that learnt from the others; 0 where there is nothing to rank."""
    for test in tests:
        function = surrogate.fit(np.delete(X, test, axis=0), np.delete(y, test))
        yield float(np.nan_to_num(kendalltau(function(X[test]), y[test]).statistic))


def score(taus: list[float]) -> float:
    """High where a surrogate ranks well on every fold. Rounded, so that equals are equal on every machine."""
    return round(float(np.mean(taus) - np.std(taus)), 9)
