"""NSGA-III and NSGA-II, by pymoo."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.config import Config
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.selection.tournament import TournamentSelection

from nat_core.archive import Archive
from nat_core.contracts import PredictedProblem, SearchSpace
from nat_core.encoding import Architecture, Encodings, as_architectures, sizes
from nat_core.pareto import normalised
from nat_core.proposals import Visited, gather, propose, start, visit
from nat_optimizers.directions import reference_directions
from nat_optimizers.options import at_least, probability

Config.warnings["not_compiled"] = False  # a hint that pymoo would print to stdout, which is for results

_MATINGS = 10  # rounds of them for one generation: where a neighbourhood is exhausted, more would find no new row

Algorithm = Callable[[int, int, dict[str, Any]], Any]  # objectives, population, what all have in common → pymoo's own


@dataclass(frozen=True)
class Evolution:
    """An evolutionary algorithm run on the predictions, begun from the archive. It never looks at a row twice.

    The operators are NAT's for integers: uniform crossover, and polynomial mutation of each variable with probability
    1 / n_variables, rounded.
    """

    algorithm: Algorithm
    population: int
    generations: int
    crossover: float
    mutation_eta: float

    def __post_init__(self) -> None:
        at_least(2, population=self.population)
        at_least(1, generations=self.generations)
        at_least(0, mutation_eta=self.mutation_eta)
        probability(crossover=self.crossover)

    def propose(self, problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows, the best of all that were visited."""
        seen = set(archive.architectures)
        algorithm = self.algorithm(
            len(problem.names),
            self.population,
            {
                "sampling": start(problem, archive, self.population, rng),
                "crossover": UX(prob=self.crossover),
                "mutation": PM(prob=1.0, eta=self.mutation_eta),
                "repair": _repair(problem.space),
                "eliminate_duplicates": SimpleNamespace(do=_unseen(seen)),
                "output": None,
            },
        )
        algorithm.mating.n_max_iterations = _MATINGS
        algorithm.setup(_bounds(problem), termination=NoTermination(), seed=rng)
        return propose(problem, _evolve(algorithm, problem, self.generations, seen), archive, n, rng)


def nsga3(n_objectives: int, population: int, common: dict[str, Any]) -> Any:
    """NSGA-III: Deb and Jain, "An Evolutionary Many-Objective Optimization Algorithm […]", IEEE TEVC 18(4), 2014."""
    directions = reference_directions(n_objectives, population)
    selection = TournamentSelection(func_comp=_by_violation)
    return NSGA3(directions, pop_size=max(population, len(directions)), selection=selection, **common)


def nsga2(n_objectives: int, population: int, common: dict[str, Any]) -> Any:  # noqa: ARG001  (as nsga3)
    """NSGA-II: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEVC 6(2), 2002."""
    return NSGA2(population, selection=TournamentSelection(func_comp=_by_crowding), **common)


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
        F = normalised(visits[-1].F, like=visits[0].F)
        asked.set("F", F, "G", visits[-1].violation[:, None])
        with warnings.catch_warnings():  # pymoo switches all warnings off, for good
            algorithm.tell(infills=asked)
    return gather(visits)


def _bounds(problem: PredictedProblem) -> Any:
    """Half a choice wider at both ends: so the outermost choices round from as wide a range as all others."""
    choices = sizes(problem.space.variables)
    return Problem(
        n_var=len(choices), n_obj=len(problem.names), n_ieq_constr=1, xl=np.full(len(choices), -0.5), xu=choices - 0.5
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


def _by_violation(population: Any, pairs: NDArray[np.int64], random_state: Any, **_: Any) -> NDArray[np.int64]:
    """NSGA-III's tournament: the smaller violation wins, else chance. pymoo's own takes a fresh seed for a tie."""
    return _winners(pairs, [population.get("CV")[:, 0]], random_state)


def _by_crowding(population: Any, pairs: NDArray[np.int64], random_state: Any, **_: Any) -> NDArray[np.int64]:
    """NSGA-II's tournament: the smaller violation wins, then the better front, then the lonelier row."""
    violation, rank, crowding = population.get("CV", "rank", "crowding")
    rank, crowding = (np.nan_to_num(key.astype(np.float64)) for key in (rank, crowding))  # infeasible rows have none
    return _winners(pairs, [violation[:, 0], rank, -crowding], random_state)


def _winners(pairs: NDArray[np.int64], keys: list[NDArray[np.float64]], random_state: Any) -> NDArray[np.int64]:
    """The winner of every pair (n, 2), as (n, 1): the smaller value of the first key that tells them apart."""
    a, b = pairs.T
    wins = random_state.random(len(pairs)) < 0.5
    for key in reversed(keys):
        wins = np.where(key[a] == key[b], wins, key[a] < key[b])
    winners: NDArray[np.int64] = np.where(wins, a, b)
    return winners[:, None]
