from __future__ import annotations

import numpy as np
import pytest

import nat_optimizers
from nat_core.archive import Archive
from nat_core.encoding import as_architectures
from nat_core.pareto import hypervolume, non_dominated, reference_point, spread

FACTORIES = {
    name: nat_optimizers.register_optimizers()[name]
    for name in ("nsga3", "nsga2", "unsga3", "moead", "agemoea", "sms-emoa")
}
both = pytest.mark.parametrize("factory", [nat_optimizers.nsga3, nat_optimizers.nsga2])
every = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


def true_front(problem):
    X = problem.space.everything
    F = problem.F(X)
    feasible = problem.violation(X, F) == 0
    X, F = X[feasible], F[feasible]
    return X[non_dominated(F)]


@pytest.mark.parametrize("population", [4, 40])
@pytest.mark.parametrize("n_objectives", [1, 2, 3, 5, 12])
def test_nsga3_takes_any_number_of_objectives(n_objectives, population, toy, begun, capfd):
    problem = toy(n_objectives, "large")
    optimizer = nat_optimizers.nsga3(problem.space, population, generations=5)
    X = optimizer.propose(problem, begun(problem), 10, np.random.default_rng(0))
    assert len(X) == 10
    assert capfd.readouterr() == ("", "")


def test_nsga3_finds_the_one_best_of_a_single_objective(toy, begun):
    problem = toy(1)
    archive = begun(problem)
    X = problem.space.everything
    new = [a for a in as_architectures(X[np.argsort(problem.F(X)[:, 0])]) if a not in archive.architectures]
    optimizer = nat_optimizers.nsga3(problem.space, 30, 20)
    assert as_architectures(optimizer.propose(problem, archive, 3, np.random.default_rng(0))) == new[:3]


@both
@pytest.mark.parametrize("most", [np.inf, 8])
def test_the_whole_true_front_of_a_small_space_is_found(factory, most, toy):
    problem = toy(2, most=most)
    front = set(as_architectures(true_front(problem)))
    optimizer = factory(problem.space, 60, 20)
    X = optimizer.propose(problem, Archive(problem.names), len(front), np.random.default_rng(0))
    assert set(as_architectures(X)) == front
    assert len(front) > 30


@both
@pytest.mark.parametrize("most", [np.inf, 8])
def test_nearly_all_of_the_true_front_is_found_in_half_of_a_space(factory, most, toy):
    problem = toy(2, "medium", most=most)
    front = set(as_architectures(true_front(problem)))
    problem.asked.clear()
    optimizer = factory(problem.space, 60, 20)
    X = optimizer.propose(problem, Archive(problem.names), len(front), np.random.default_rng(0))
    assert len(front & set(as_architectures(X))) > 0.9 * len(front)
    assert sum(map(len, problem.asked)) <= 1200


@every
@pytest.mark.parametrize("most", [np.inf, 8])
@pytest.mark.parametrize("n_objectives", [2, 3, 5])
def test_nearly_all_hypervolume_is_found_in_half_of_a_space(factory, n_objectives, most, toy):
    problem = toy(n_objectives, "medium", most=most)
    F = problem.F(true_front(problem))
    reference = reference_point(F)
    problem.asked.clear()
    X = factory(problem.space, 60, 20).propose(problem, Archive(problem.names), 60, np.random.default_rng(0))
    best = F[spread(F, 60)]  # as many of the true front, well spread
    assert sum(map(len, problem.asked)) <= 1200
    assert hypervolume(problem.F(X), reference) > 0.95 * hypervolume(best, reference)


def test_nsga3_adds_what_the_archive_lacks_of_the_true_front(toy, measured):
    problem = toy(3)
    front = true_front(problem)
    archive = measured(problem, front[::2])
    rest = set(as_architectures(front[1::2]))
    optimizer = nat_optimizers.nsga3(problem.space, 60, 10)
    X = optimizer.propose(problem, archive, len(rest), np.random.default_rng(0))
    assert set(as_architectures(X)) == rest


@every
@pytest.mark.parametrize("most", [np.inf, 30])
@pytest.mark.parametrize("n_objectives", [2, 3])
def test_far_more_hypervolume_than_random_rows(factory, n_objectives, most, toy, begun):
    problem = toy(n_objectives, "large", most=most)
    archive = begun(problem)
    reference = reference_point(archive.F)

    def volume(optimizer):
        X = optimizer.propose(problem, archive, 20, np.random.default_rng(3))
        F = problem.F(X)
        return hypervolume(F[problem.violation(X, F) == 0], reference)

    random = volume(nat_optimizers.random(problem.space))
    assert volume(factory(problem.space, 40, 25)) > 1.5 * random


@every
def test_a_generation_is_one_prediction_and_no_row_is_visited_twice(factory, toy, begun):
    problem = toy(2, "large")
    archive = begun(problem)
    factory(problem.space, 30, 8).propose(problem, archive, 5, np.random.default_rng(0))
    generations = problem.asked[:8]  # the archive has 30 rows, so it is no larger than the population
    assert [len(X) for X in generations] == [30] * 8
    assert len(np.unique(np.concatenate(generations), axis=0)) == 240
    assert len(problem.asked) == 9  # and the archive's front


@every
def test_the_first_generation_is_the_best_of_a_large_archive(factory, toy, measured):
    problem = toy(2)
    everything = problem.space.everything
    front = set(as_architectures(true_front(problem)))
    factory(problem.space, len(front), 2).propose(problem, measured(problem, everything), 1, np.random.default_rng(0))
    assert [set(as_architectures(X)) for X in problem.asked[1:2]] == [front]  # after the prediction of the archive


@every
def test_the_units_of_objectives_make_no_difference(factory, toy, begun):
    optimizer = factory(toy(2).space, 20, 8)
    rows = []
    for scale in (1.0, 2.0**-40, 2.0**30):
        problem = toy(2, "large", scale=scale)
        rows.append(optimizer.propose(problem, begun(problem), 8, np.random.default_rng(0)))
    assert (rows[0] == rows[1]).all()
    assert (rows[0] == rows[2]).all()


@every
def test_equal_violations_are_decided_by_the_given_seed(factory, toy, begun, monkeypatch):
    problem = toy(2, "large")
    monkeypatch.setattr(type(problem), "violation", lambda _self, X, _F: np.ones(len(X)))
    optimizer, archive = factory(problem.space, 20, 6), begun(problem)
    X, Y = (optimizer.propose(problem, archive, 8, np.random.default_rng(0)) for _ in range(2))
    assert (X == Y).all()


@every
def test_a_tiny_space_is_listed_without_waiting_for_generations(factory, toy):
    problem = toy(2)
    X = factory(problem.space, 40, 10_000).propose(problem, Archive(problem.names), 480, np.random.default_rng(0))
    assert len(X) == len(problem.space.everything)
