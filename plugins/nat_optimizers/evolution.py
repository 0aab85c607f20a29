"""Evolutionary algorithms by pymoo, on predictions or on what was measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.config import Config
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.selection.tournament import TournamentSelection

from nat_core.archive import Archive
from nat_core.contracts import MeasuredProblem, PredictedProblem, SearchSpace
from nat_core.encoding import Architecture, Encodings, Objectives, Values, as_architectures, as_encodings, sizes
from nat_core.options import at_least
from nat_core.pareto import normalised
from nat_core.proposals import Visited, gather, propose, start, visit
from nat_optimizers.asking import new_of
from nat_optimizers.directions import reference_directions
from nat_optimizers.options import probability
from nat_optimizers.tournaments import by_crowding, by_niche, by_violation

Config.warnings["not_compiled"] = False  # a hint that pymoo would print to stdout, which is for results

_MATINGS = 10  # rounds of them for one generation: where a neighbourhood is exhausted, more would find no new row

Algorithm = Callable[[int, int, dict[str, Any]], Any]  # objectives, population, what all have in common → pymoo's own


@dataclass(frozen=True)
class Evolution:
    """An evolutionary algorithm, begun from the archive. It never looks at a row twice.

    The operators are NAT's for integers: uniform crossover, and polynomial mutation of each variable with probability
    1 / n_variables, rounded. Constraints come first in every algorithm: a feasible row is better than one that is not,
    and of two that are not, the one with the smaller violation (Deb, 2000).
    """

    algorithm: Algorithm
    population: int
    generations: int
    crossover: float
    mutation_eta: float
    parents: int

    def __post_init__(self) -> None:
        at_least(2, population=self.population, parents=self.parents)
        at_least(1, generations=self.generations)
        at_least(0, mutation_eta=self.mutation_eta)
        probability(crossover=self.crossover)

    def propose(self, problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows, the best of all that were visited in some generations on the predictions."""
        seen = set(archive.architectures)
        first = start(problem, archive, self.population, rng)
        algorithm = self._begun(problem, self.population, first, seen, rng)
        return propose(problem, _evolve(algorithm, problem, self.generations, seen), archive, n, rng)

    def ask(self, problem: MeasuredProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows: the offspring of what the algorithm lets survive of the archive."""
        known = archive.measured
        if not len(known):
            return new_of(problem, archive, n, rng, lambda k: problem.space.sample(k, rng))
        seen = set(archive.architectures)
        algorithm = self._begun(problem, self.parents, known.X, seen, rng)
        _tell(algorithm, algorithm.ask(), normalised(known.F, like=known.F), known.violation)
        _tell(algorithm)  # all of the first rows are let live: now as many as there are to be parents

        def offspring(k: int) -> Encodings:
            algorithm.n_offsprings = k
            born = algorithm.ask()
            X = as_encodings((), len(problem.space.variables)) if born is None else born.get("X").astype(np.int64)
            seen.update(as_architectures(X))
            return X

        return new_of(problem, archive, n, rng, offspring)

    def _begun(
        self,
        problem: PredictedProblem | MeasuredProblem,
        population: int,
        first: Encodings,
        seen: set[Architecture],
        rng: np.random.Generator,
    ) -> Any:
        """The algorithm as an object of pymoo, about to ask for the first rows."""
        common = {
            "sampling": first,
            "crossover": UX(prob=self.crossover),
            "mutation": PM(prob=1.0, eta=self.mutation_eta),
            "repair": _repair(problem.space),
            "eliminate_duplicates": SimpleNamespace(do=_unseen(seen)),
            "output": None,
        }
        algorithm = self.algorithm(len(problem.names), population, common)
        algorithm.mating.n_max_iterations = _MATINGS
        algorithm.setup(_bounds(problem.space, len(problem.names)), termination=NoTermination(), seed=rng)
        return algorithm


def nsga3(n_objectives: int, population: int, common: dict[str, Any]) -> Any:
    """NSGA-III: Deb and Jain, "An Evolutionary Many-Objective Optimization Algorithm […]", IEEE TEVC 18(4), 2014."""
    return _by_directions(n_objectives, population, by_violation, common)


def unsga3(n_objectives: int, population: int, common: dict[str, Any]) -> Any:
    """U-NSGA-III: Seada and Deb, "A Unified Evolutionary Optimization Procedure […]", IEEE TEVC 20(3), 2016."""
    return _by_directions(n_objectives, population, by_niche, common)


def nsga2(n_objectives: int, population: int, common: dict[str, Any]) -> Any:  # noqa: ARG001  (as nsga3)
    """NSGA-II: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEVC 6(2), 2002."""
    return NSGA2(population, selection=TournamentSelection(func_comp=by_crowding), **common)


def _by_directions(n_objectives: int, population: int, tournament: Any, common: dict[str, Any]) -> Any:
    directions = reference_directions(n_objectives, population)
    selection = TournamentSelection(func_comp=tournament)
    return NSGA3(directions, pop_size=max(population, len(directions)), selection=selection, **common)


def _evolve(algorithm: Any, problem: PredictedProblem, generations: int, seen: set[Architecture]) -> Visited:
    """Every row that the algorithm asks for: selection for a spread drops some of the best on the way."""
    visits = list[Visited]()
    for _ in range(generations):
        asked = algorithm.ask()
        if asked is None:  # mating found nothing new
            break
        visits.append(visit(problem, asked.get("X")))
        seen.update(as_architectures(visits[-1].X))
        # NSGA-III takes differences under 0.001 for none: the first rows give every objective the unit it needs.
        _tell(algorithm, asked, normalised(visits[-1].F, like=visits[0].F), visits[-1].violation)
    return gather(visits)


def _tell(algorithm: Any, asked: Any = None, F: Objectives | None = None, violation: Values | None = None) -> None:
    """What the rows asked for are worth; without any, the algorithm selects among the rows that it has."""
    if asked is not None and violation is not None:
        asked.set("F", F, "G", violation[:, None])
    with warnings.catch_warnings():  # pymoo switches all warnings off, for good
        algorithm.tell(infills=asked)


def _bounds(space: SearchSpace, n_objectives: int) -> Any:
    """Half a choice wider at both ends: so the outermost choices round from as wide a range as all others."""
    choices = sizes(space.variables)
    return Problem(
        n_var=len(choices), n_obj=n_objectives, n_ieq_constr=1, xl=np.full(len(choices), -0.5), xu=choices - 0.5
    )


def _repair(space: SearchSpace) -> Callable[..., Any]:
    last = sizes(space.variables) - 1

    def repair(_problem: Any, population: Any, **_: Any) -> Any:
        X = np.clip(np.rint(population.get("X")), 0, last).astype(np.int64)
        population.set("X", space.canonicalize(X))
        return population

    return repair


def _unseen(seen: set[Architecture]) -> Callable[..., Any]:
    """Duplicate elimination on the canonical form, and against all rows that were ever visited."""

    def unseen(population: Any, *others: Any) -> Any:
        if not others:  # the first rows, which are distinct
            return population
        known = set(as_architectures(others[-1].get("X")))  # offspring so far; the parents before it are seen
        kept = []
        for i, architecture in enumerate(as_architectures(population.get("X"))):
            if architecture not in seen and architecture not in known:
                known.add(architecture)
                kept.append(i)
        return population[kept]

    return unseen
