"""Optuna's samplers, through ask and tell on a study in memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from optuna import Study, Trial, create_study
from optuna import logging as optuna_logging
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import create_trial

from nat_core.archive import Archive
from nat_core.contracts import MeasuredProblem, PredictedProblem, SearchSpace
from nat_core.encoding import Encodings, Objectives, as_encodings, sizes
from nat_core.errors import ConfigError, unknown
from nat_core.options import at_least
from nat_core.pareto import normalised
from nat_core.proposals import Visited, gather, propose, start, visit
from nat_optimizers.asking import ROUNDS, new_of
from nat_optimizers.directions import reference_directions

_SAMPLERS = ("nsga3", "nsga2", "tpe", "gp", "random")
_TRIALS = 500
_GP_TRIALS = 20  # a second and more for each
_ROUNDS = {"gp": 1, "tpe": 2}  # of asking for rows that are new: of the others, each costs next to nothing
_MOST_EHVI = 3  # objectives: 20 rows by Optuna's expected hypervolume improvement take 77 s; for four, far longer
_AUGMENTED = 0.05  # share of the plain sum in a scalar, as in ParEGO


@dataclass(frozen=True)
class OptunaStudy:
    """A study of the predictions, begun from the archive; or of the archive alone.

    A sampler costs Optuna milliseconds a row, and ever more as a study grows: the budget is a few hundred trials. Rows
    are predicted one population at a time, which changes nothing: a generation's rows depend on finished ones alone.
    """

    sampler: str
    trials: int | None
    population: int
    parents: int

    def __post_init__(self) -> None:
        if self.sampler not in _SAMPLERS:
            raise ConfigError(unknown("sampler", self.sampler, _SAMPLERS))
        at_least(1, trials=self._budget)
        at_least(2, population=self.population, parents=self.parents)

    def propose(self, problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows, the best of all that were visited."""
        first = visit(problem, start(problem, archive, self.population, rng))
        visits = self._by_scalars if self._needs_scalars(first) else self._visits
        with _quiet():
            visited = gather([first, *visits(problem, first, rng)])
        return propose(problem, visited, archive, n, rng)

    def ask(self, problem: MeasuredProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows that the sampler asks for, knowing what was measured. Failures are left out."""
        space, known = problem.space, Visited(archive.measured.X, archive.measured.F, archive.measured.violation)
        if not len(known):
            return new_of(problem, archive, n, rng, lambda k: space.sample(k, rng))
        rounds = _ROUNDS.get(self.sampler, ROUNDS)
        with _quiet():
            if self._needs_scalars(known):
                return new_of(problem, archive, n, rng, lambda k: self._scalar_rows(space, known, k, rng), rounds)
            study = self._study(space, known, min(self.parents, max(len(known), 2)), rng)
            return new_of(problem, archive, n, rng, lambda k: _asked(study, space, k)[1], rounds)

    @property
    def _budget(self) -> int:
        own = _GP_TRIALS if self.sampler == "gp" else _TRIALS
        return own if self.trials is None else self.trials

    def _needs_scalars(self, known: Visited) -> bool:
        return self.sampler == "gp" and known.F.shape[1] > _MOST_EHVI

    def _visits(self, problem: PredictedProblem, first: Visited, rng: np.random.Generator) -> Iterator[Visited]:
        """Rows that one study asks for and is told about, batch after batch."""
        study = self._study(problem.space, first, self.population, rng)
        # TPE and GP learn from every row; the others from whole generations.
        batch, left = 1 if self.sampler in {"tpe", "gp"} else self.population, self._budget
        while left > 0:
            trials, X = _asked(study, problem.space, min(batch, left))
            visited = visit(problem, X)
            for trial, values, violation in zip(trials, *_told(visited, first.F), strict=True):
                trial.set_constraint("violation", violation)
                study.tell(trial, values)
            yield visited
            left -= batch

    def _by_scalars(self, problem: PredictedProblem, first: Visited, rng: np.random.Generator) -> Iterator[Visited]:
        """Rows that are each the best guess in a random direction, with all rows before them known."""
        known = first
        for _ in range(self._budget):
            visited = visit(problem, self._scalar_rows(problem.space, known, 1, rng))
            known = gather([known, visited])
            yield visited

    def _scalar_rows(self, space: SearchSpace, known: Visited, n: int, rng: np.random.Generator) -> Encodings:
        """`n` rows by ParEGO (Knowles, IEEE TEVC 10(1), 2006): each has objectives weighted at random into one."""
        rows = []
        for weights in rng.dirichlet(np.ones(known.F.shape[1]), n):
            weighted = normalised(known.F, like=known.F) * weights
            scalar = weighted.max(axis=1) + _AUGMENTED * weighted.sum(axis=1)
            study = self._study(space, Visited(known.X, scalar[:, None], known.violation), self.population, rng)
            rows.append(_asked(study, space, 1)[1])
        return np.concatenate(rows)

    def _study(self, space: SearchSpace, known: Visited, population: int, rng: np.random.Generator) -> Study:
        """A study that knows some rows."""
        sampler = _sampler(self.sampler, known.F.shape[1], population, int(rng.integers(2**32)))
        study = create_study(directions=["minimize"] * known.F.shape[1], sampler=sampler)
        _add(study, known, _distributions(space))
        return study


def _asked(study: Study, space: SearchSpace, n: int) -> tuple[list[Trial], Encodings]:
    """Trials, and their rows made canonical."""
    distributions = _distributions(space)
    trials = [study.ask(distributions) for _ in range(n)]
    rows = as_encodings(([t.params[name] for name in distributions] for t in trials), len(distributions))
    return trials, space.canonicalize(rows)


def _add(study: Study, known: Visited, distributions: dict[str, BaseDistribution]) -> None:
    """Known rows as finished trials. An evolutionary sampler takes its parents from trials of a generation only."""
    key = getattr(study.sampler, "_get_generation_key", None)
    generation = {key(): 0} if key else {}
    for row, values, violation in zip(known.X.tolist(), *_told(known, known.F), strict=True):
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


def _told(visited: Visited, scale: Objectives) -> tuple[list[list[float]], list[float]]:
    """The objectives in units of the first rows' ranges, as pymoo gets them, and the violations."""
    return normalised(visited.F, like=scale).tolist(), visited.violation.tolist()


def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Integers, not categories: choices are ordered, and the neighbours of a good choice are worth a look."""
    return {str(i): IntDistribution(0, int(size) - 1) for i, size in enumerate(sizes(space.variables))}


def _sampler(name: str, n_objectives: int, population: int, seed: int) -> BaseSampler:
    if name == "nsga3":
        directions = reference_directions(n_objectives, population)
        return NSGAIIISampler(population_size=population, reference_points=directions, seed=seed)
    if name == "nsga2":
        return NSGAIISampler(population_size=population, seed=seed)
    if name == "gp":
        return GPSampler(seed=seed, warn_independent_sampling=False)  # a variable with one choice is no surprise
    return TPESampler(seed=seed) if name == "tpe" else RandomSampler(seed=seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's log of every study and of searches that stop short, and its warning of what is experimental."""
    level = optuna_logging.get_verbosity()
    optuna_logging.set_verbosity(optuna_logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna_logging.set_verbosity(level)
