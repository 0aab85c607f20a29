"""The stacked computation against scipy's interpolator, one member at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from nat_core.errors import ConfigError
from nat_core.seeding import rng
from nat_surrogates import rbf, rbf_ensemble
from nat_surrogates.rbf_ensemble import KERNELS, RIDGE, interpolate, squared_distances, subsets, systems, tail_penalty

SCIPY = {"cubic": "cubic", "linear": "linear", "thin-plate": "thin_plate_spline"}
FREE = 1e-10  # a tail penalty that leaves the tail as free as scipy's


def data(n, n_inputs, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.integers(0, 10, (n, n_inputs)) / 9
    return Z, np.sin(3 * Z).sum(axis=1) + Z[:, 0] * Z[:, -1]


def scipy_mean(Z, y, masks, samples, kernel, smoothing, asked):
    """The ensemble as its definition reads."""
    predicted = []
    for mask, rows in zip(masks.astype(bool), samples, strict=True):
        member = RBFInterpolator(Z[rows][:, mask], y[rows], kernel=SCIPY[kernel], degree=1, smoothing=smoothing)
        predicted.append(member(asked[:, mask]))
    return np.mean(predicted, axis=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.03, 1.0])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_full_member_is_scipys_interpolator(kernel, smoothing):
    Z, y = data(60, 8)
    asked, _ = data(40, 8, seed=1)
    masks, samples = np.ones((1, 8)), np.arange(60)[None]
    ours = interpolate(Z, y, masks, samples, KERNELS[kernel], smoothing, FREE)
    twin = RBFInterpolator(Z, y, kernel=SCIPY[kernel], degree=1, smoothing=max(smoothing, RIDGE))
    np.testing.assert_allclose(ours(asked), twin(asked), rtol=0, atol=1e-6)


@pytest.mark.parametrize("fraction", [1.0, 0.7])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_ensemble_is_the_mean_of_scipys_interpolators(kernel, fraction):
    Z, y = data(60, 8)
    asked, _ = data(40, 8, seed=1)
    masks, samples = subsets(60, 8, 30, fraction, np.random.default_rng(0))
    ours = interpolate(Z, y, masks, samples, KERNELS[kernel], 0.03, FREE)
    np.testing.assert_allclose(ours(asked), scipy_mean(Z, y, masks, samples, kernel, 0.03, asked), rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", [5, 60])
def test_stacked_members_are_the_mean_of_single_ones(n):
    Z, y = data(n, 8)
    asked, _ = data(40, 8, seed=1)
    masks, samples = subsets(n, 8, 30, 0.8, np.random.default_rng(0))
    rest = (KERNELS["cubic"], 0.03, tail_penalty(8))
    stacked = interpolate(Z, y, masks, samples, *rest)
    single = [interpolate(Z, y, masks[i : i + 1], samples[i : i + 1], *rest)(asked) for i in range(30)]
    np.testing.assert_allclose(stacked(asked), np.mean(single, axis=0), rtol=1e-9)


def test_the_size_of_a_chunk_makes_no_difference(space, objective, monkeypatch):
    X = space.sample(40, np.random.default_rng(0))
    asked = space.sample(50, np.random.default_rng(1))
    predictions = []
    for chunk in (1, 50_000, 10_000_000):
        monkeypatch.setattr(rbf_ensemble, "CHUNK", chunk)
        predictions.append(rbf(space, members=20).fit(X, objective(X))(asked))
    np.testing.assert_allclose(predictions[0], predictions[1], rtol=1e-9)
    np.testing.assert_allclose(predictions[0], predictions[2], rtol=1e-9)


def test_without_smoothing_it_goes_through_its_points(make_space):
    space = make_space(10, 10, 10)
    X = np.unique(space.sample(30, np.random.default_rng(0)), axis=0)
    y = np.sin(X).sum(axis=1)
    one_full_member = rbf(space, members=1, smoothing=0.0, seed=seed_of_a_full_member(3))
    np.testing.assert_allclose(one_full_member.fit(X, y)(X), y, atol=1e-3)


def seed_of_a_full_member(n_inputs):
    return next(s for s in range(100) if subsets(1, n_inputs, 1, 1.0, rng(s, "rbf"))[0].all())


def test_subsets_hold_what_they_promise():
    masks, samples = subsets(50, 22, 2000, 0.5, np.random.default_rng(0))
    assert samples.shape == (2000, 25)
    assert all(len(set(rows)) == 25 for rows in samples.tolist())
    sizes = masks.sum(axis=1)
    assert set(sizes) == set(range(1, 23))
    assert abs(sizes.mean() - 11.5) < 0.5
    assert np.ptp(masks.mean(axis=0)) < 0.1


def test_every_member_sees_at_least_one_sample():
    _, samples = subsets(3, 2, 4, 0.01, np.random.default_rng(0))
    assert samples.shape == (4, 1)


def test_squared_distances_are_those_of_the_differences():
    W = np.random.default_rng(0).random((3, 7, 5))
    twin = np.square(W[:, :, None] - W[:, None]).sum(axis=-1)
    np.testing.assert_allclose(squared_distances(W), twin, atol=1e-12)


@pytest.mark.parametrize("n_inputs", [1, 2, 5, 22, 60])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_tail_penalty_keeps_every_system_definite(kernel, n_inputs):
    rng = np.random.default_rng(0)
    for n in (2, 3, 10, 60):
        corners = rng.integers(0, 2, (n, n_inputs))
        line = np.outer(rng.random(n), np.ones(n_inputs))
        two_clouds = np.repeat([[0.0], [1.0]], [n // 2, n - n // 2], axis=0) * np.ones(n_inputs)
        for Z in (rng.random((n, n_inputs)), corners, line, two_clouds):
            A = systems((Z - Z.mean(axis=0))[None], KERNELS[kernel], 0.0, tail_penalty(n_inputs))[0]
            W, r = A[:n, n + 1 :], -A[-1, -1]
            without_mean = np.eye(n) - 1 / n
            eigenvalues = np.linalg.eigvalsh(without_mean @ (A[:n, :n] + W @ W.T / r) @ without_mean)
            assert eigenvalues[0] > -1e-12 * eigenvalues[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "cubik"}, "Did you mean 'cubic'"),
        ({"members": 0}, "members must be at least 1"),
        ({"sample_fraction": 0.0}, "sample_fraction must be above 0"),
        ({"sample_fraction": float("nan")}, "sample_fraction must be above 0"),
        ({"smoothing": -1.0}, "smoothing must be 0 or more"),
    ],
)
def test_a_wrong_option_says_what_is_accepted(space, options, message):
    with pytest.raises(ConfigError, match=message):
        rbf(space, **options)


def test_the_seed_draws_the_subsets(space, objective):
    X = space.sample(50, np.random.default_rng(0))
    first, second = (rbf(space, members=20, seed=seed).fit(X, objective(X))(X) for seed in (0, 1))
    assert not np.array_equal(first, second)
