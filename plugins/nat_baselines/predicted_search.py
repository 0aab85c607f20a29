"""A search like LINAS, "lightweight iterative neural architecture search": Cummings et al., arXiv 2205.10358, 2022.

Random rows are measured; then, in turns, a regression of every objective is fitted to all that is known, NSGA-II runs
on the predictions, and its last population is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.svm import SVR

from nat_baselines.pymoo_search import evolve, nsga2, operators
from nat_core.contracts import Evaluate, SearchSpace
from nat_core.encoding import Encodings, Objectives, Values, as_architectures, new_rows, random_encodings, sizes
from nat_core.errors import ConfigError
from nat_core.options import at_least

_DRAWS = 20  # for each row of a random sample, until a space is taken to hold no more


@dataclass(frozen=True)
class Linas:
    """Predict, search the predictions, measure their population, and again."""

    space: SearchSpace
    initial: int
    population: int
    generations: int
    penalty: float

    def __post_init__(self) -> None:
        at_least(2, initial=self.initial, population=self.population)
        at_least(1, generations=self.generations)
        if not self.penalty > 0:
            raise ConfigError(f"penalty must be more than 0, not {self.penalty!r}")

    def search(self, evaluate: Evaluate, names: tuple[str, ...], n: int, seed: int) -> None:
        """Rounds until the budget is spent, or nothing new is left."""
        del names, n
        rng = np.random.default_rng(seed)
        X = self._random(self.initial, rng)
        F = evaluate(X)
        while True:
            known = np.isfinite(F).all(axis=1)
            found = self._proposed(X[known], F[known], rng) if known.any() else X[:0]
            new = new_rows(self.space.canonicalize(found), as_architectures(X))
            if not len(new):  # the predictions have nothing more to offer
                new = new_rows(self._random(self.population, rng), as_architectures(X))
            if not len(new):
                return
            X, F = np.vstack([X, new]), np.vstack([F, evaluate(new)])

    def _proposed(self, X: Encodings, F: Objectives, rng: np.random.Generator) -> Encodings:
        """The last population of NSGA-II on the predictions of what was measured."""
        predict = [_fitted(self._one_hot(X), y, self.penalty) for y in F.T]

        def predicted(rows: Encodings) -> Objectives:
            codes = self._one_hot(self.space.canonicalize(rows))
            return np.column_stack([function(codes) for function in predict])

        algorithm = nsga2(F.shape[1], self.population, operators(mutation_eta=3.0))
        evolve(algorithm, self.space, predicted, F.shape[1], rng, self.generations)
        rows: Encodings = algorithm.pop.get("X").astype(np.int64)
        return rows

    def _one_hot(self, X: Encodings) -> Values:
        """A column for every choice of every variable, (n, n_choices)."""
        columns = [X[:, [i]] == np.arange(size) for i, size in enumerate(sizes(self.space.variables))]
        return np.hstack(columns).astype(np.float64)

    def _random(self, n: int, rng: np.random.Generator) -> Encodings:
        """At most `n` distinct canonical rows."""
        return new_rows(self.space.canonicalize(random_encodings(self.space.variables, _DRAWS * n, rng)))[:n]


def _fitted(codes: Values, y: Values, penalty: float) -> Callable[[Values], Values]:
    """A support vector regression with an RBF kernel on the standardised objective, else as scikit-learn sets it up."""
    mean, scale = float(y.mean()), float(y.std()) or 1.0
    model = SVR(kernel="rbf", C=penalty)
    model.random_state = 0  # unused here; without it, fit() draws a seed from the global generator
    model.fit(codes, (y - mean) / scale)
    return lambda rows: np.asarray(model.predict(rows) * scale + mean, dtype=np.float64)
