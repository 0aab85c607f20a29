"""NSGA-II and NSGA-III by pymoo, straight on measurements, as pymoo's own documentation sets them up for integers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.config import Config
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.operators.selection.rnd import RandomSelection
from pymoo.util.ref_dirs import get_reference_directions

from nat_baselines.failures import WorstInstead
from nat_core.contracts import Evaluate, SearchSpace
from nat_core.encoding import sizes
from nat_core.options import at_least

Config.warnings["not_compiled"] = False  # a hint that pymoo would print to stdout, which is for results

Algorithm = Callable[[int, int, dict[str, Any]], Any]  # objectives, population, operators → pymoo's own


@dataclass(frozen=True)
class PymooSearch:
    """A genetic algorithm whose every offspring is measured."""

    space: SearchSpace
    algorithm: Algorithm
    population: int
    mutation_eta: float

    def __post_init__(self) -> None:
        at_least(2, population=self.population)
        at_least(0, mutation_eta=self.mutation_eta)

    def search(self, evaluate: Evaluate, names: tuple[str, ...], n: int, seed: int) -> None:
        """Generations until the budget is spent, or until no new offspring can be made."""
        del n
        algorithm = self.algorithm(len(names), self.population, operators(self.mutation_eta))
        evolve(algorithm, self.space, evaluate, len(names), np.random.default_rng(seed))


def operators(mutation_eta: float) -> dict[str, Any]:
    """Uniform crossover and polynomial mutation, both rounded to whole numbers; duplicates are eliminated."""
    return {
        "sampling": IntegerRandomSampling(),
        "crossover": UX(repair=RoundingRepair()),
        "mutation": PM(eta=mutation_eta, vtype=float, repair=RoundingRepair()),
        "eliminate_duplicates": True,
        "output": None,
    }


def nsga2(n_objectives: int, population: int, common: dict[str, Any]) -> Any:  # noqa: ARG001  (as nsga3)
    """NSGA-II: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEVC 6(2), 2002."""
    return NSGA2(population, **common)


def nsga3(n_objectives: int, population: int, common: dict[str, Any]) -> Any:
    """NSGA-III: Deb and Jain, "An Evolutionary Many-Objective Optimization Algorithm […]", IEEE TEVC 18(4), 2014.

    Without constraints its tournament is a draw by chance, for which pymoo's own takes a fresh seed each time: the
    random selection is the same, and can be repeated.
    """
    directions = get_reference_directions(
        "das-dennis", n_objectives, n_partitions=_partitions(n_objectives, population)
    )
    return NSGA3(directions, pop_size=max(population, len(directions)), selection=RandomSelection(), **common)


def _partitions(n_objectives: int, at_most: int) -> int:
    """The most partitions of the axes that make no more than `at_most` directions; one at least."""
    partitions = 1
    while math.comb(partitions + n_objectives, n_objectives - 1) <= at_most:
        partitions += 1
    return partitions


def evolve(
    algorithm: Any,
    space: SearchSpace,
    evaluate: Evaluate,
    n_objectives: int,
    rng: np.random.Generator,
    generations: int | None = None,
) -> Any:
    """Run an algorithm for so many generations, or until `evaluate` ends it; the algorithm as it then stands."""
    last = sizes(space.variables) - 1
    algorithm.setup(
        Problem(n_var=len(last), n_obj=n_objectives, xl=np.zeros(len(last)), xu=last, vtype=int),
        termination=NoTermination(),
        seed=rng,
    )
    without_failures = WorstInstead()
    generation = 0
    while generations is None or generation < generations:
        asked = algorithm.ask()
        if asked is None or not len(asked):  # mating found nothing new
            break
        asked.set("F", without_failures(evaluate(asked.get("X").astype(np.int64))))
        with warnings.catch_warnings():  # pymoo switches all warnings off, for good
            algorithm.tell(infills=asked)
        generation += 1
    return algorithm
