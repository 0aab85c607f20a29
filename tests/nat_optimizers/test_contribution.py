from __future__ import annotations

import itertools
import math

import moocore
import numpy as np
import pytest

from nat_optimizers.contribution import _credit, most_worth


def front(n, n_objectives, seed=0):
    F = np.abs(np.random.default_rng(seed).normal(size=(n, n_objectives)))
    return F / np.linalg.norm(F, axis=1, keepdims=True)


@pytest.mark.parametrize(("m", "k"), [(1, 1), (4, 1), (5, 2), (6, 4), (7, 7)])
def test_credit_is_the_chance_that_all_dominators_go_shared_among_them(m, k):
    for i in range(1, m + 1):
        # given that row 0 is among the k of m that go, by listing which others go with it
        goes = list(itertools.combinations(range(1, m), k - 1))
        lost = sum(set(range(1, i)) <= set(others) for others in goes) / len(goes)
        assert _credit(m, k)[i] == pytest.approx(lost / i)
    assert _credit(m, k)[0] == 0
    assert math.isclose(float(_credit(m, 1)[1]), 1.0)


def test_one_by_one_the_least_contribution_goes():
    F = front(12, 4)
    exact = moocore.hv_contributions((F - F.min(axis=0)) / np.ptp(F, axis=0), ref=np.full(4, 1.1))
    gone = set(range(12)) - set(most_worth(F, 11, np.random.default_rng(0)).tolist())
    assert next(iter(gone)) in np.argsort(exact)[:2]  # an estimate: the two least may be close


@pytest.mark.parametrize("n_objectives", [3, 4, 5, 6])
def test_what_is_kept_has_more_hypervolume_than_any_of_many_random_choices(n_objectives):
    F = front(40, n_objectives)
    reference = F.min(axis=0) + 1.1 * np.ptp(F, axis=0)
    rng = np.random.default_rng(1)
    kept = most_worth(F, 15, rng)
    assert len(set(kept.tolist())) == 15
    random = [moocore.hypervolume(F[rng.permutation(40)[:15]], ref=reference) for _ in range(50)]
    assert moocore.hypervolume(F[kept], ref=reference) > max(random)


def test_rows_that_are_equal_and_a_front_of_one():
    assert len(most_worth(np.ones((6, 5)), 2, np.random.default_rng(0))) == 2
    assert most_worth(np.ones((1, 5)), 1, np.random.default_rng(0)).tolist() == [0]
