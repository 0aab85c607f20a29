"""From operators alone and whole networks to operators inside networks."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from nat_core.latency.fitting import _STRENGTHS, _left_out, fit, kendall, line, words


@pytest.fixture
def measured():
    """40 operators in 60 networks of 12; alone each pays an entry, and runs hot."""
    rng = np.random.default_rng(0)
    counts = np.zeros((60, 40))
    for row in counts:
        np.add.at(row, rng.integers(0, 40, 12), 1.0)
    true = rng.uniform(0.05, 0.5, 40)
    alone = 0.8 * true * rng.uniform(0.7, 1.3, 40) + 0.04
    return counts, counts @ true * rng.normal(1, 0.01, 60), alone, true, rng


def test_operators_inside_networks_are_found(measured):
    counts, networks, alone, true, _ = measured
    found = fit(counts, networks, alone, np.zeros((40, 0)))
    assert np.abs(found.times / true - 1).mean() < np.abs(alone / true - 1).mean() / 2
    assert found.error < 0.03


def test_new_networks_are_predicted_as_well_as_is_said(measured):
    counts, networks, alone, true, rng = measured
    found = fit(counts, networks, alone, np.zeros((40, 0)))
    new = np.zeros((500, 40))
    for row in new:
        np.add.at(row, rng.integers(0, 40, 12), 1.0)
    error = np.abs(new @ found.times / (new @ true) - 1).mean()
    assert error < 1.5 * found.error


def test_spreads_cover_what_is_true(measured):
    counts, networks, alone, true, _ = measured
    found = fit(counts, networks, alone, np.zeros((40, 0)))
    within = np.abs(found.times - true) < 3 * found.spreads
    assert within.mean() > 0.9
    assert (found.spreads > 0).all()


def test_what_operators_share_is_learnt_from_few_networks():
    """Twin: the same without words. Operators of a kind are off alone by the same factor, each also by its own."""
    rng = np.random.default_rng(3)
    names = [f"kind:{i % 4}-size:{i % 5}-own:{i}" for i in range(80)]
    factor = rng.uniform(0.5, 2, 4)[np.arange(80) % 4] * rng.uniform(0.7, 1.4, 5)[np.arange(80) % 5]
    alone = rng.uniform(0.05, 0.5, 80)
    true = alone * factor * rng.normal(1, 0.03, 80)
    counts = np.zeros((560, 80))
    for row in counts:
        np.add.at(row, rng.integers(0, 80, 12), 1.0)
    seen, new = counts[:60], counts[60:]
    errors = []
    for shared in (words(names), np.zeros((80, 0))):
        found = fit(seen, seen @ true, alone, shared)
        errors.append(np.abs(new @ found.times / (new @ true) - 1).mean())
        assert (np.abs(found.times - true) < 3 * found.spreads).mean() > 0.9
    assert errors[0] < errors[1] / 2


def test_words_of_names():
    assert words(["a-b", "b-c:1"]).tolist() == [[1, 1, 0], [0, 1, 1]]


def test_a_left_out_network_in_closed_form():
    """Twin: the fit without it, for every network and several strengths."""
    rng = np.random.default_rng(1)
    B, r = rng.normal(size=(12, 7)), rng.normal(size=12)
    U, s, _ = np.linalg.svd(B, full_matrices=False)
    for strength in _STRENGTHS[::8]:
        expected = []
        for i in range(12):
            A, b = np.delete(B, i, 0), np.delete(r, i)
            d = np.linalg.solve(A.T @ A + strength * np.eye(7), A.T @ b)
            expected.append(r[i] - B[i] @ d)
        assert _left_out(U, s, r, strength) == pytest.approx(expected)


def test_more_operators_than_networks():
    counts = np.eye(3, 30)
    found = fit(counts + 1, np.array([3.0, 3.1, 3.2]), np.full(30, 0.1), np.zeros((30, 0)))
    assert np.isfinite(found.times).all()
    assert (found.times > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_kendall(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, 20).astype(float), rng.normal(size=20)
    assert kendall(a, b) == pytest.approx(kendalltau(a, b).statistic)
    assert kendall(b, b) == pytest.approx(1)
    assert np.isnan(kendall(np.ones(4), b[:4]))


def test_a_line():
    x = np.array([1.0, 2.0, 5.0])
    assert line(x, 1.5 * x + 0.2) == pytest.approx((1.5, 0.2))
