from __future__ import annotations

import numpy as np
import pytest

import nat_optimizers
from nat_core.archive import Archive
from nat_core.encoding import as_architectures
from nat_core.pareto import hypervolume, reference_point
from nat_optimizers.asking import new_of

EVOLUTION = ("nsga3", "nsga2", "unsga3", "moead", "agemoea", "sms-emoa")


def differs(X, archive):
    """In how many variables the closest archive row differs, (n,)."""
    return (X[:, None] != archive.X).sum(axis=2).min(axis=1)


def test_what_is_drawn_comes_first_and_random_rows_fill_up(toy, begun):
    problem = toy(2)
    archive = begun(problem)
    new = [x for x in problem.space.everything if tuple(x) not in archive.architectures]
    wanted = np.array(new[:3])
    X = new_of(problem, archive, 8, np.random.default_rng(0), lambda _: np.vstack([archive.X[:2], wanted, wanted]))
    assert as_architectures(X[:3]) == as_architectures(wanted)
    assert len(set(as_architectures(X)) - archive.architectures) == 8


def test_rows_outside_a_constraint_are_led_inside_and_stay_close(toy, begun):
    problem = toy(2, "large", most=10)  # fewer than one sampled row in a thousand
    archive = begun(problem)
    assert (archive.violation > 0).all()
    drawn = problem.space.sample(50, np.random.default_rng(1))
    X = new_of(problem, archive, 6, np.random.default_rng(0), lambda k: drawn[:k])
    assert (problem.cost_violation(X) == 0).all()


def test_a_constraint_that_no_row_keeps_is_broken_as_little_as_possible(toy, begun):
    problem = toy(2, most=-1)
    X = new_of(problem, begun(problem), 3, np.random.default_rng(0), lambda k: problem.space.everything[-k:])
    assert np.sort(X.sum(axis=1)).tolist() <= [1, 1, 1]


@pytest.mark.parametrize("name", EVOLUTION)
def test_offspring_are_made_of_the_best_of_the_archive(name, toy, measured):
    problem = toy(2, "large")
    rng = np.random.default_rng(0)
    bad = problem.space.sample(40, rng)
    optimizer = nat_optimizers.register_optimizers()[name](problem.space, 20, 30, mutation_eta=50.0)
    good = optimizer.propose(problem, Archive(problem.names), 20, rng)
    archive = measured(problem, np.vstack([bad, good]))
    X = optimizer.ask(problem, archive, 20, rng)
    assert differs(X, measured(problem, good)).mean() < 0.5 * differs(X, measured(problem, bad)).mean()


@pytest.mark.parametrize("name", EVOLUTION)
def test_measured_violations_decide_who_has_offspring(name, toy, measured, monkeypatch):
    problem = toy(2, "large", most=20)  # feasible by its sum
    monkeypatch.setattr(type(problem), "cost_violation", lambda _self, X: np.zeros(len(X)))  # not known beforehand
    monkeypatch.setattr(type(problem), "violation", lambda _self, X, _F: np.maximum(X.sum(axis=1) - 20, 0.0))
    X = problem.space.sample(400, np.random.default_rng(0))
    small = X[X.sum(axis=1) <= 20][:20]
    archive = measured(problem, np.vstack([X[X.sum(axis=1) > 30][:40], small]))
    optimizer = nat_optimizers.register_optimizers()[name](problem.space, parents=len(small))
    asked = optimizer.ask(problem, archive, 20, np.random.default_rng(0))
    assert np.median(asked.sum(axis=1)) < 25


@pytest.mark.parametrize("name", [*EVOLUTION, "local-search", "optuna"])
def test_measured_alone_it_finds_more_than_random_rows(name, toy, begun, measured):
    """Eight batches of twenty, as the loop does without a surrogate; the mean of three seeds."""
    problem = toy(2, "large")
    begin = begun(problem)
    reference = reference_point(begin.F)
    offers = nat_optimizers.register_optimizers()

    def volume(name):
        found = []
        for seed in range(3):
            archive, rng = begin, np.random.default_rng(seed)
            for _ in range(8):
                X = offers[name](problem.space).ask(problem, archive, 20, rng)
                archive = archive.extend(measured(problem, X))
            found.append(hypervolume(archive.F, reference))
        return np.mean(found)

    assert volume(name) > volume("random")
