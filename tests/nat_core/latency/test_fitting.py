"""From operators alone and whole networks to operators inside networks."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from nat_core.latency.fitting import _STRENGTHS, _left_out, fit, kendall, line


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
    found = fit(counts, networks, alone)
    assert np.abs(found.times / true - 1).mean() < np.abs(alone / true - 1).mean() / 2
    assert found.error < 0.03


def test_new_networks_are_predicted_as_well_as_is_said(measured):
    counts, networks, alone, true, rng = measured
    found = fit(counts, networks, alone)
    new = np.zeros((500, 40))
    for row in new:
        np.add.at(row, rng.integers(0, 40, 12), 1.0)
    error = np.abs(new @ found.times / (new @ true) - 1).mean()
    assert error < 1.5 * found.error


def test_spreads_cover_what_is_true(measured):
    counts, networks, alone, true, _ = measured
    found = fit(counts, networks, alone)
    within = np.abs(found.times - true) < 3 * found.spreads
    assert within.mean() > 0.9
    assert (found.spreads > 0).all()


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
    found = fit(counts + 1, np.array([3.0, 3.1, 3.2]), np.full(30, 0.1))
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
