"""Optimizers: they search the predicted problem for the architectures worth measuring next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from nat_core import hookimpl
from nat_core.contracts import Optimizer, SearchSpace


@hookimpl
def register_optimizers() -> Mapping[str, Callable[..., Optimizer]]:
    """NSGA-III (NAT's own, the default choice), NSGA-II (MSuNAS's), Optuna's samplers, and random rows."""
    return {"nsga3": nsga3, "nsga2": nsga2, "optuna": optuna, "random": random}


def nsga3(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    population: Annotated[int, "rows in a generation; raised to the number of objectives where it is smaller"] = 100,
    generations: Annotated[int, "generations of one proposal"] = 100,
    crossover: Annotated[float, "probability that two parents are crossed"] = 0.9,
    mutation_eta: Annotated[float, "distribution index of the mutation; a larger one makes smaller steps"] = 1.0,
) -> Optimizer:
    """NSGA-III by pymoo, for any number of objectives."""
    from nat_optimizers.evolution import Evolution, nsga3

    return Evolution(nsga3, population, generations, crossover, mutation_eta)


def nsga2(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    population: Annotated[int, "rows in a generation"] = 100,
    generations: Annotated[int, "generations of one proposal"] = 100,
    crossover: Annotated[float, "probability that two parents are crossed"] = 0.9,
    mutation_eta: Annotated[float, "distribution index of the mutation; a larger one makes smaller steps"] = 1.0,
) -> Optimizer:
    """NSGA-II by pymoo, for one or two objectives."""
    from nat_optimizers.evolution import Evolution, nsga2

    return Evolution(nsga2, population, generations, crossover, mutation_eta)


def optuna(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    sampler: Annotated[Literal["nsga3", "nsga2", "tpe", "random"], "the Optuna sampler; tpe is far slower"] = "nsga3",
    trials: Annotated[int, "rows predicted for one proposal, beside the archive's"] = 500,
    population: Annotated[int, "rows in a generation of nsga3 or nsga2, and rows to begin with"] = 50,
) -> Optimizer:
    """Optuna's samplers through ask and tell. Slower a row than `nsga3`, so with a smaller budget."""
    from nat_optimizers.optuna_study import OptunaStudy

    return OptunaStudy(sampler, trials, population)


def random(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    draws: Annotated[int, "rows drawn for each row proposed; feasible ones go first"] = 10,
) -> Optimizer:
    """Random rows: what every other optimizer has to beat."""
    from nat_optimizers.random_rows import RandomRows

    return RandomRows(draws)
