from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from nat_optimizers.mating import Seen, polynomial_mutation, uniform_crossover


def test_a_row_is_admitted_once_and_no_more_than_asked_for():
    X = np.array([[0, 1], [2, 3], [0, 1], [4, 5], [6, 7]])
    seen = Seen(X[1:2])
    assert seen.admit(X, 2).tolist() == [0, 3]
    assert seen.admit(X, 9).tolist() == [4]  # it was not looked at before: there was no room
    assert seen.admit(X, 9).tolist() == []
    assert seen.admit(X[:0], 9).tolist() == []


def test_a_column_of_a_larger_matrix_is_the_same_row():
    wide = np.arange(12).reshape(3, 4)
    assert Seen(wide[:, ::2]).admit(wide[:, ::2].copy(), 9).tolist() == []


def test_two_children_share_out_what_their_parents_have():
    rng = np.random.default_rng(0)
    A, B = np.zeros((4000, 5), dtype=int), np.ones((4000, 5), dtype=int)
    X = uniform_crossover(A, B, 0.6, rng)
    first, second = X[:4000], X[4000:]
    assert (first + second == 1).all()
    assert first.mean() == pytest.approx(0.3, abs=0.02)
    assert (first == 0).all(axis=1).mean() == pytest.approx(0.4 + 0.6 / 32, abs=0.03)
    assert (uniform_crossover(A, B, 0.0, rng)[:4000] == A).all()


@pytest.mark.parametrize("eta", [0.0, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("x", [0, 3, 6])
def test_mutated_choices_are_distributed_as_pymoos(x, eta):
    """The same cumulative frequencies, within what two samples of this size differ by (Kolmogorov and Smirnov)."""
    from pymoo.operators.mutation.pm import mut_pm

    n, choices = 20_000, np.array([7])
    X = np.full((n, 1), x)
    rng = np.random.default_rng(1)
    ours = polynomial_mutation(X, choices, eta, rng)[:, 0]
    bounds = np.array([-0.5]), choices - 0.5
    theirs = mut_pm(X.astype(float), *bounds, np.full(n, eta), np.full(n, 0.5), at_least_once=False, random_state=rng)
    assert set(ours) <= set(range(7))
    assert ks_2samp(ours, np.clip(np.rint(theirs[:, 0]), 0, 6)).pvalue > 1e-3


def test_of_many_variables_one_mutates_on_average():
    X = np.zeros((4000, 20), dtype=int)
    mutated = polynomial_mutation(X, np.full(20, 1000), 1.0, np.random.default_rng(0))
    assert (mutated != 0).sum(axis=1).mean() == pytest.approx(0.5, abs=0.05)  # half of the steps would lead outside
    assert (X == 0).all()
    one_choice = polynomial_mutation(X, np.ones(20, dtype=int), 1.0, np.random.default_rng(0))
    assert (one_choice == 0).all()
