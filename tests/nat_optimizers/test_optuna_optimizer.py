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


@pytest.mark.parametrize("n_objectives", [2, 5])
def test_gp_proposes_and_asks_under_a_constraint(n_objectives, toy, begun):
    problem = toy(n_objectives, "large", most=25)
    archive = begun(problem, 15)
    optimizer = nat_optimizers.optuna(problem.space, "gp", trials=2, population=15)
    X = optimizer.propose(problem, archive, 2, np.random.default_rng(0))
    assert (optimizer.propose(problem, archive, 2, np.random.default_rng(0)) == X).all()
    asked = optimizer.ask(problem, archive, 2, np.random.default_rng(0))
    for rows in (X, asked):
        assert len(set(as_architectures(rows)) - archive.architectures) == 2
        assert (problem.cost_violation(rows) == 0).all()


def test_gp_learns_what_it_is_told(toy, begun):
    problem = toy(1, "large")
    archive = begun(problem)
    X = nat_optimizers.optuna(problem.space, "gp").ask(problem, archive, 1, np.random.default_rng(0))
    assert problem.F(X)[0, 0] < archive.F[:, 0].min()


def test_a_scalar_is_of_another_direction_each_time(toy, begun):
    problem = toy(12, "large")
    archive = begun(problem, 12)
    X = nat_optimizers.optuna(problem.space, "gp").ask(problem, archive, 2, np.random.default_rng(0))
    assert (X[0] != X[1]).any()


@pytest.mark.parametrize(("sampler", "budget"), [("gp", 20), ("nsga3", 500), ("tpe", 500)])
def test_each_sampler_has_a_budget_of_its_own(sampler, budget, toy):
    assert nat_optimizers.optuna(toy(2).space, sampler)._budget == budget
    assert nat_optimizers.optuna(toy(2).space, sampler, trials=7)._budget == 7


@pytest.mark.parametrize("sampler", ["nsga3", "nsga2"])
def test_a_small_archive_is_a_whole_generation_of_parents(sampler, toy, measured):
    """Else Optuna would fill the first generation with random rows, whatever is known."""
    problem = toy(2, "large")
    rng = np.random.default_rng(0)
    good = nat_optimizers.nsga2(problem.space, 40, 40).propose(
        problem, measured(problem, problem.space.sample(9, rng)), 9, rng
    )
    asked = nat_optimizers.optuna(problem.space, sampler).ask(problem, measured(problem, good), 10, rng)
    closest = (asked[:, None] != good).sum(axis=2).min(axis=1)
    random = (problem.space.sample(10, rng)[:, None] != good).sum(axis=2).min(axis=1)
    assert closest.mean() < 0.7 * random.mean()
