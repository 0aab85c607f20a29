"""Optuna's samplers straight on measurements, through ask and tell on a study in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from optuna import create_study
from optuna import logging as optuna_logging
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIIISampler, TPESampler
from optuna.trial import TrialState

from nat_core.contracts import Evaluate, SearchSpace
from nat_core.encoding import as_encodings, sizes
from nat_core.options import at_least


@dataclass(frozen=True)
class OptunaSearch:
    """One trial after another. A failed measurement is a failed trial."""

    space: SearchSpace
    sampler: Callable[[int], BaseSampler]  # of a seed

    def search(self, evaluate: Evaluate, names: tuple[str, ...], n: int, seed: int) -> None:
        """Trials until the budget is spent."""
        del n
        distributions: dict[str, BaseDistribution] = {
            str(i): CategoricalDistribution(tuple(range(size)))
            for i, size in enumerate(sizes(self.space.variables).tolist())
        }
        with _quiet():
            study = create_study(directions=["minimize"] * len(names), sampler=self.sampler(seed))
            while True:
                trial = study.ask(distributions)
                row = as_encodings([[trial.params[name] for name in distributions]], len(distributions))
                values = evaluate(row)[0]
                if np.isfinite(values).all():
                    study.tell(trial, values.tolist())
                else:
                    study.tell(trial, state=TrialState.FAIL)


def nsga3(population: int) -> Callable[[int], BaseSampler]:
    """NSGA-III as Optuna sets it up."""
    at_least(2, population=population)
    return lambda seed: NSGAIIISampler(population_size=population, seed=seed)


def tpe(startup: int) -> Callable[[int], BaseSampler]:
    """The multivariate tree-structured Parzen estimator as Optuna sets it up."""
    at_least(1, startup=startup)
    return lambda seed: TPESampler(multivariate=True, n_startup_trials=startup, seed=seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """No line for each trial, and no word about what Optuna calls experimental."""
    verbosity = optuna_logging.get_verbosity()
    optuna_logging.set_verbosity(optuna_logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna_logging.set_verbosity(verbosity)
