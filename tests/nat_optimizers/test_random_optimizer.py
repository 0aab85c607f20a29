from __future__ import annotations

import numpy as np

import nat_optimizers


def test_more_draws_find_more_feasible_rows(toy, begun):
    problem = toy(2, "large", most=15)
    archive = begun(problem)

    def feasible(draws):
        X = nat_optimizers.random(problem.space, draws).propose(problem, archive, 20, np.random.default_rng(0))
        return int((problem.violation(X, problem.F(X)) == 0).sum())

    assert feasible(1) < feasible(10) < feasible(60) == 20


def test_objectives_play_no_part(toy, begun):
    one, other = toy(2), toy(2, scale=-1.0)
    optimizer = nat_optimizers.random(one.space)
    X, Y = (optimizer.propose(p, begun(one), 10, np.random.default_rng(0)) for p in (one, other))
    assert (X == Y).all()
