"""Optimizers: they search the predictions, or what was measured, for the architectures worth measuring next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from nat_core import hookimpl
from nat_core.contracts import DirectOptimizer, SearchSpace

_Population = Annotated[int, "rows in a generation"]
_Directed = Annotated[int, "rows in a generation; raised to the number of objectives where it is smaller"]
_Generations = Annotated[int, "generations of one proposal"]
_Crossover = Annotated[float, "probability that two parents are crossed"]
_Parents = Annotated[int, "rows of the archive that have offspring where nothing is predicted"]
_MutationEta = Annotated[float, "distribution index of the mutation; a larger one makes smaller steps"]


@hookimpl
def register_optimizers() -> Mapping[str, Callable[..., DirectOptimizer]]:
    """NSGA-III (NAT's own, the default choice), other evolutionary ones, Optuna's, local search, and random rows."""
    return {
        "nsga3": nsga3,
        "nsga2": nsga2,
        "unsga3": unsga3,
        "moead": moead,
        "agemoea": agemoea,
        "sms-emoa": sms_emoa,
        "optuna": optuna,
        "local-search": local_search,
        "random": random,
    }


def nsga3(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    population: _Directed = 100,
    generations: _Generations = 100,
    crossover: _Crossover = 0.9,
    mutation_eta: _MutationEta = 1.0,
    parents: _Parents = 20,
) -> DirectOptimizer:
    """NSGA-III: spreads along reference directions, for any number of objectives."""
    from nat_optimizers.evolution import Evolution
    from nat_optimizers.niching import nsga3

    return Evolution(nsga3, population, generations, crossover, mutation_eta, parents)


def nsga2(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    population: _Population = 100,
    generations: _Generations = 100,
    crossover: _Crossover = 0.9,
    mutation_eta: _MutationEta = 1.0,
    parents: _Parents = 20,
) -> DirectOptimizer:
    """NSGA-II: best with one or two objectives; with more it runs, but crowding guides it poorly."""
    from nat_optimizers.crowding import nsga2
    from nat_optimizers.evolution import Evolution

    return Evolution(nsga2, population, generations, crossover, mutation_eta, parents)


def unsga3(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    population: _Directed = 100,
    generations: _Generations = 100,
    crossover: _Crossover = 0.9,
    mutation_eta: _MutationEta = 1.0,
    parents: _Parents = 20,
) -> DirectOptimizer:
    """U-NSGA-III: NSGA-III whose better rows mate more often, for any number of objectives."""
    from nat_optimizers.evolution import Evolution
    from nat_optimizers.niching import unsga3

    return Evolution(unsga3, population, generations, crossover, mutation_eta, parents)


def moead(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    population: _Directed = 100,
    generations: _Generations = 100,
    crossover: _Crossover = 0.9,
    mutation_eta: _MutationEta = 1.0,
    parents: _Parents = 20,
) -> DirectOptimizer:
    """MOEA/D: one subproblem a direction, neighbours help each other; constraints come first, as in C-MOEA/D."""
    from nat_optimizers.decomposition import moead
    from nat_optimizers.evolution import Evolution

    return Evolution(moead, population, generations, crossover, mutation_eta, parents)


def agemoea(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    population: _Population = 100,
    generations: _Generations = 100,
    crossover: _Crossover = 0.9,
    mutation_eta: _MutationEta = 1.0,
    parents: _Parents = 20,
) -> DirectOptimizer:
    """AGE-MOEA: estimates the shape of the front and spreads along it, for any number of objectives."""
    from nat_optimizers.evolution import Evolution
    from nat_optimizers.geometry import agemoea

    return Evolution(agemoea, population, generations, crossover, mutation_eta, parents)


def sms_emoa(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    population: _Population = 100,
    generations: _Generations = 100,
    crossover: _Crossover = 0.9,
    mutation_eta: _MutationEta = 1.0,
    parents: _Parents = 20,
) -> DirectOptimizer:
    """SMS-EMOA: keeps what adds hypervolume; exact up to three objectives, beyond them by the estimate of HypE."""
    from nat_optimizers.contribution import sms_emoa
    from nat_optimizers.evolution import Evolution

    return Evolution(sms_emoa, population, generations, crossover, mutation_eta, parents)


def optuna(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    sampler: Annotated[
        Literal["nsga3", "nsga2", "tpe", "gp", "random"], "the Optuna sampler; tpe is far slower, gp slower still"
    ] = "nsga3",
    trials: Annotated[
        int | None, "rows predicted for one proposal, beside the archive's; none: 500, with gp 20"
    ] = None,
    population: Annotated[int, "rows in a generation of nsga3 or nsga2, and rows to begin with"] = 50,
    parents: _Parents = 20,
) -> DirectOptimizer:
    """Optuna's samplers through ask and tell. Slower a row than `nsga3`, so with a smaller budget."""
    from nat_optimizers.optuna_study import OptunaStudy

    return OptunaStudy(sampler, trials, population, parents)


def local_search(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    width: Annotated[int, "rows whose neighbours are looked at: the best so far"] = 100,
    rows: Annotated[int, "rows predicted for one proposal, beside the archive's"] = 10_000,
    step: Annotated[int, "neighbours predicted before the best are chosen anew"] = 50,
) -> DirectOptimizer:
    """Pareto local search: from the best rows so far to those that differ from one of them in one variable."""
    from nat_optimizers.pareto_search import LocalSearch

    return LocalSearch(width, rows, step)


def random(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    draws: Annotated[int, "rows drawn for each row proposed; feasible ones go first"] = 10,
) -> DirectOptimizer:
    """Random rows: what every other optimizer has to beat."""
    from nat_optimizers.random_rows import RandomRows

    return RandomRows(draws)
