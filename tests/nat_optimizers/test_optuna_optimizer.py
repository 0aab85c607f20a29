from __future__ import annotations

import numpy as np
import pytest

import nat_optimizers
from nat_core.encoding import as_architectures
from nat_core.pareto import hypervolume, reference_point
from nat_core.proposals import visit


@pytest.mark.parametrize("sampler", ["nsga3", "nsga2", "random", "tpe"])
@pytest.mark.parametrize("n_objectives", [1, 2, 3, 12])
def test_any_number_of_objectives(sampler, n_objectives, toy, begun):
    problem = toy(n_objectives, "large", most=30)
    optimizer = nat_optimizers.optuna(problem.space, sampler, trials=25 if sampler == "tpe" else 70, population=20)
    assert len(optimizer.propose(problem, begun(problem), 10, np.random.default_rng(0))) == 10


@pytest.mark.parametrize("sampler", ["nsga3", "nsga2"])
def test_more_hypervolume_than_random_rows(sampler, toy, begun):
    problem = toy(2, "large")
    archive = begun(problem)
    reference = reference_point(archive.F)

    def volume(optimizer):
        X = optimizer.propose(problem, archive, 20, np.random.default_rng(3))
        return hypervolume(problem.F(X), reference)

    random = volume(nat_optimizers.random(problem.space))
    assert volume(nat_optimizers.optuna(problem.space, sampler, trials=400, population=30)) > 1.3 * random


@pytest.mark.parametrize("sampler", ["nsga3", "nsga2"])
def test_the_first_rows_are_the_parents_of_the_first_generation(sampler, toy):
    from optuna import create_study

    from nat_optimizers import optuna_study

    problem = toy(2, most=8)
    first = visit(problem, problem.space.everything[:20])
    with optuna_study._quiet():
        study = create_study(
            directions=["minimize"] * 2, sampler=optuna_study._sampler(sampler, n_objectives=2, population=20, seed=0)
        )
        optuna_study._add(study, first, optuna_study._distributions(problem.space))
        child = study.ask(optuna_study._distributions(problem.space))
    parents = study.sampler.get_parent_population(study, 1)
    assert {tuple(t.params.values()) for t in parents} == set(as_architectures(first.X))
    assert study.sampler.get_trial_generation(study, study.trials[child.number]) == 1
    assert [t.constraints["violation"] for t in study.trials[:20]] == first.violation.tolist()


def test_a_generation_is_one_prediction(toy, begun):
    problem = toy(2, "large")
    archive = begun(problem)
    nat_optimizers.optuna(problem.space, "nsga3", trials=50, population=20).propose(
        problem, archive, 5, np.random.default_rng(0)
    )
    assert [len(X) for X in problem.asked[:5]] == [30, 20, 20, 20, 10]  # the archive, its best rows, and 50 trials


def test_tpe_learns_from_every_row(toy, begun):
    problem = toy(2, "large")
    archive = begun(problem, 20)
    nat_optimizers.optuna(problem.space, "tpe", trials=5, population=20).propose(
        problem, archive, 5, np.random.default_rng(0)
    )
    assert [len(X) for X in problem.asked[:6]] == [20, 1, 1, 1, 1, 1]
