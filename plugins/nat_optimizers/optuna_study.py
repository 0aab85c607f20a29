"""Optuna's samplers, through ask and tell on a study in memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from optuna import Study, create_study
from optuna import logging as optuna_logging
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import create_trial

from nat_core.archive import Archive
from nat_core.contracts import PredictedProblem, SearchSpace
from nat_core.encoding import Encodings, Objectives, as_encodings, sizes
from nat_core.errors import ConfigError, unknown
from nat_core.pareto import normalised
from nat_core.proposals import Visited, gather, propose, start, visit
from nat_optimizers.directions import reference_directions
from nat_optimizers.options import at_least

_SAMPLERS = ("nsga3", "nsga2", "tpe", "random")


@dataclass(frozen=True)
class OptunaStudy:
    """A study of the predictions, begun from the archive.

    A sampler costs Optuna milliseconds a row, and ever more as a study grows: the budget is a few hundred trials. Rows
    are predicted one population at a time, which changes nothing: a generation's rows depend on finished ones alone.
    """

    sampler: str
    trials: int
    population: int

    def __post_init__(self) -> None:
        if self.sampler not in _SAMPLERS:
            raise ConfigError(unknown("sampler", self.sampler, _SAMPLERS))
        at_least(1, trials=self.trials)
        at_least(2, population=self.population)

    def propose(self, problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows, the best of all that were visited."""
        first = visit(problem, start(problem, archive, self.population, rng))
        seed = int(rng.integers(2**32))
        with _quiet():
            sampler = _sampler(self.sampler, len(problem.names), self.population, seed)
            study = create_study(directions=["minimize"] * len(problem.names), sampler=sampler)
            _add(study, first, _distributions(problem.space))
            visited = gather([first, *self._visits(study, problem, first.F)])
        return propose(problem, visited, archive, n, rng)

    def _visits(self, study: Study, problem: PredictedProblem, scale: Objectives) -> Iterator[Visited]:
        # TPE learns from every row; the others from whole generations.
        batch, left = 1 if self.sampler == "tpe" else self.population, self.trials
        while left > 0:
            yield _batch(study, problem, min(batch, left), scale)
            left -= batch


def _batch(study: Study, problem: PredictedProblem, n: int, scale: Objectives) -> Visited:
    """Ask for `n` rows, predict them together, and tell."""
    distributions = _distributions(problem.space)
    trials = [study.ask(distributions) for _ in range(n)]
    rows = as_encodings(([t.params[name] for name in distributions] for t in trials), len(distributions))
    visited = visit(problem, problem.space.canonicalize(rows))
    for trial, values, violation in zip(trials, _values(visited, scale), visited.violation.tolist(), strict=True):
        trial.set_constraint("violation", violation)
        study.tell(trial, values)
    return visited


def _add(study: Study, first: Visited, distributions: dict[str, BaseDistribution]) -> None:
    """The first rows as finished trials. An evolutionary sampler takes its parents from trials of a generation only."""
    key = getattr(study.sampler, "_get_generation_key", None)
    generation = {key(): 0} if key else {}
    for row, values, violation in zip(first.X.tolist(), _values(first, first.F), first.violation.tolist(), strict=True):
        params = dict(zip(distributions, row, strict=True))
        study.add_trial(
            create_trial(
                params=params,
                distributions=distributions,
                values=values,
                system_attrs=dict(generation),  # which Optuna writes into
                constraints={"violation": violation},
            )
        )


def _values(visited: Visited, scale: Objectives) -> list[list[float]]:
    """The objectives in units of the first rows' ranges: as pymoo gets them."""
    values: list[list[float]] = normalised(visited.F, like=scale).tolist()
    return values


def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Integers, not categories: choices are ordered, and the neighbours of a good choice are worth a look."""
    return {str(i): IntDistribution(0, int(size) - 1) for i, size in enumerate(sizes(space.variables))}


def _sampler(name: str, n_objectives: int, population: int, seed: int) -> BaseSampler:
    if name == "nsga3":
        directions = reference_directions(n_objectives, population)
        return NSGAIIISampler(population_size=population, reference_points=directions, seed=seed)
    if name == "nsga2":
        return NSGAIISampler(population_size=population, seed=seed)
    return TPESampler(seed=seed) if name == "tpe" else RandomSampler(seed=seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's log of every study, and its warning that NSGA-III is experimental."""
    level = optuna_logging.get_verbosity()
    optuna_logging.set_verbosity(optuna_logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna_logging.set_verbosity(level)
