"""Baselines: whole searches by other libraries in their ordinary settings, for `nat bench` to compare with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from nat_core import hookimpl
from nat_core.contracts import Baseline, SearchSpace


@hookimpl
def register_baselines() -> Mapping[str, Callable[..., Baseline]]:
    """NSGA-II and NSGA-III by pymoo, Optuna's NSGA-III and TPE, a search like LINAS of DyNAS-T, and random rows."""
    return {
        "pymoo-nsga2": pymoo_nsga2,
        "pymoo-nsga3": pymoo_nsga3,
        "optuna-nsga3": optuna_nsga3,
        "optuna-tpe": optuna_tpe,
        "linas": linas,
        "random-search": random_search,
    }


def pymoo_nsga2(
    space: SearchSpace,
    population: Annotated[int, "rows in a generation"] = 20,
    mutation_eta: Annotated[float, "distribution index of the mutation; a larger one makes smaller steps"] = 3.0,
) -> Baseline:
    """NSGA-II by pymoo on measurements: uniform crossover, integer polynomial mutation, no duplicates."""
    from nat_baselines.pymoo_search import PymooSearch, nsga2

    return PymooSearch(space, nsga2, population, mutation_eta)


def pymoo_nsga3(
    space: SearchSpace,
    population: Annotated[int, "rows in a generation"] = 20,
    mutation_eta: Annotated[float, "distribution index of the mutation; a larger one makes smaller steps"] = 3.0,
) -> Baseline:
    """NSGA-III by pymoo on measurements: uniform crossover, integer polynomial mutation, no duplicates."""
    from nat_baselines.pymoo_search import PymooSearch, nsga3

    return PymooSearch(space, nsga3, population, mutation_eta)


def optuna_nsga3(
    space: SearchSpace,
    population: Annotated[int, "rows in a generation"] = 20,
) -> Baseline:
    """Optuna's NSGA-III sampler on measurements, every variable a category."""
    from nat_baselines.optuna_search import OptunaSearch, nsga3

    return OptunaSearch(space, nsga3(population))


def optuna_tpe(
    space: SearchSpace,
    startup: Annotated[int, "random rows to begin with"] = 10,
) -> Baseline:
    """Optuna's multivariate tree-structured Parzen estimator on measurements, every variable a category."""
    from nat_baselines.optuna_search import OptunaSearch, tpe

    return OptunaSearch(space, tpe(startup))


def linas(
    space: SearchSpace,
    initial: Annotated[int, "random rows to begin with"] = 50,
    population: Annotated[int, "rows of NSGA-II on the predictions, and rows measured in a round"] = 50,
    generations: Annotated[int, "generations of NSGA-II on the predictions"] = 100,
    penalty: Annotated[float, "C of the regression: what an error costs"] = 10.0,
) -> Baseline:
    """A search like LINAS (Cummings et al., 2022): support vector regression and NSGA-II, in turns."""
    from nat_baselines.predicted_search import Linas

    return Linas(space, initial, population, generations, penalty)


def random_search(space: SearchSpace) -> Baseline:
    """Random rows, every choice of every variable equally likely."""
    from nat_baselines.random_rows import RandomSearch

    return RandomSearch(space)
