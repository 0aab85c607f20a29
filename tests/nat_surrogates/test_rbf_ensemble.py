"""The shared computation against members that are solved one by one, and against scipy's interpolator."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from nat_core.errors import ConfigError
from nat_surrogates import rbf, rbf_ensemble
from nat_surrogates.rbf_ensemble import (
    KERNELS,
    RIDGE,
    distances_to,
    explained,
    feature_subsets,
    interpolate,
    inverse,
    lifted,
    shares,
    solve,
    solve_all,
    squared_distances,
    system,
    tail_penalty,
)

SCIPY = {"cubic": "cubic", "linear": "linear", "thin-plate": "thin_plate_spline"}


def data(n, n_inputs, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.integers(0, 10, (n, n_inputs)) / 9
    return Z, np.sin(3 * Z).sum(axis=1) + Z[:, 0] * Z[:, -1]


def twin(Z, y, mask, rows, kernel, smoothing, penalty, asked):
    """One member by the system as the module's docstring writes it, solved as it stands."""
    W, asked = Z[rows] * mask, asked * mask
    k, m = W.shape
    A = np.zeros((k + 1 + m, k + 1 + m))
    A[:k, :k] = KERNELS[kernel](np.square(W[:, None] - W).sum(axis=-1)) + max(smoothing, RIDGE) * np.eye(k)
    A[:k, k] = A[k, :k] = 1.0
    A[:k, k + 1 :], A[k + 1 :, :k], A[k + 1 :, k + 1 :] = W, W.T, -penalty * np.eye(m)
    solved = np.linalg.solve(A, np.concatenate([y[rows], np.zeros(1 + m)]))
    radial = KERNELS[kernel](np.square(asked[:, None] - W).sum(axis=-1)) @ solved[:k]
    return radial + solved[k] + asked @ solved[k + 1 :]


def drawn(n, n_inputs, subsets, members, fraction, seed=0):
    rng = np.random.default_rng(seed)
    masks = (rng.random((subsets, n_inputs)) < 0.6).astype(float)
    masks[:, 0] = 1.0
    k = round(fraction * n)
    return masks, [np.stack([np.sort(rng.permutation(n)[:k]) for _ in range(members)]) for _ in range(subsets)]


@pytest.mark.parametrize("smoothing", [0.0, 0.03, 1.0])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_full_member_is_nearly_scipys_interpolator(kernel, smoothing):
    """scipy's tail is free; a penalty that hardly holds it back makes a small difference."""
    Z, y = data(60, 8)
    asked, _ = data(40, 8, seed=1)
    ours = interpolate(Z, y, np.ones((1, 8)), [np.arange(60)[None]], KERNELS[kernel], smoothing, 1e-7)
    scipys = RBFInterpolator(Z, y, kernel=SCIPY[kernel], degree=1, smoothing=max(smoothing, RIDGE))
    np.testing.assert_allclose(ours(asked), scipys(asked), rtol=0, atol=1e-4)


@pytest.mark.parametrize("n", [5, 60])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_ensemble_is_the_mean_of_members_solved_one_by_one(kernel, n):
    Z, y = data(n, 8)
    asked, _ = data(40, 8, seed=1)
    masks, samples = drawn(n, 8, subsets=6, members=5, fraction=0.8)
    ours = interpolate(Z, y, masks, samples, KERNELS[kernel], 0.3, tail_penalty(8))
    rest = (kernel, 0.3, tail_penalty(8), asked)
    single = [twin(Z, y, mask, rows, *rest) for mask, draws in zip(masks, samples, strict=True) for rows in draws]
    assert len(single) == 30
    np.testing.assert_allclose(ours(asked), np.mean(single, axis=0), rtol=0, atol=1e-8 * np.ptp(y))


def one_by_one(S, y, samples):
    """The sums of `solve_all`, of members that are solved each by itself."""
    weights, constants = np.zeros(len(S)), 0.0
    for rows in samples:
        a, b = solve(S[np.ix_(rows, rows)], y[rows])
        weights[rows] += a
        constants += b
    return weights, constants


CLOUDS = {
    "cloud": lambda rng, n: rng.random((n, 12)),
    "corners": lambda rng, n: rng.integers(0, 2, (n, 12)).astype(float),
    "line": lambda rng, n: np.outer(rng.random(n), np.ones(12)),
    "points that coincide": lambda rng, n: rng.random((3, 12))[np.arange(n) % 3],
    "one point": lambda _rng, n: np.zeros((n, 12)),
}


@pytest.mark.parametrize("smoothing", [1e-3, 0.3])
@pytest.mark.parametrize("fraction", [0.55, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3, 12, 120])
@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_leaving_points_out_of_one_inverse_is_solving_without_them(kernel, cloud, n, fraction, smoothing):
    rng = np.random.default_rng(n)
    W, y = CLOUDS[cloud](rng, n), rng.normal(size=n)
    S, _ = system(W - W.mean(axis=0), KERNELS[kernel], smoothing, tail_penalty(12))
    samples = np.stack([np.sort(rng.permutation(n)[: max(1, round(fraction * n))]) for _ in range(7)])
    weights, constants = solve_all(S, y, samples)
    twin_weights, twin_constants = one_by_one(S, y, samples)
    np.testing.assert_allclose(weights, twin_weights, rtol=0, atol=1e-8 * (np.abs(twin_weights).max() + 1e-9))
    assert constants == pytest.approx(twin_constants, rel=1e-8, abs=1e-8 * np.abs(y).sum())


def test_a_system_that_is_nearly_singular_is_not_inverted():
    rng = np.random.default_rng(0)
    W = rng.random((3, 12))[np.arange(60) % 3]
    for smoothing, inverted in ((0.3, True), (RIDGE, False)):
        S, _ = system(W - W.mean(axis=0), KERNELS["cubic"], smoothing, tail_penalty(12))
        assert (inverse(S) is not None) == inverted
    assert inverse(np.diag([1.0, -1.0, 1.0])) is None  # not definite either


def test_one_inverse_serves_all_members_of_a_subset(monkeypatch):
    asked = []
    inverting = rbf_ensemble.inverse
    monkeypatch.setattr(rbf_ensemble, "inverse", lambda S: asked.append(len(S)) or inverting(S))
    monkeypatch.setattr(rbf_ensemble, "solve", None)
    Z, y = data(60, 8)
    masks, samples = drawn(60, 8, subsets=6, members=5, fraction=0.8)
    interpolate(Z, y, masks, samples, KERNELS["cubic"], 0.3, tail_penalty(8))
    assert asked == [60] * 6


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
    full = rbf(space, members=1, smoothing=0.0, least_share=1.0, sample_fraction=1.0)
    np.testing.assert_allclose(full.fit(X, y)(X), y, atol=1e-3)


def test_subsets_are_of_the_sizes_that_were_asked_for():
    Z, y = data(50, 22)
    masks = feature_subsets(Z, y, 2000, 0.3, np.random.default_rng(0))
    sizes = masks.sum(axis=1)
    assert set(sizes) == set(range(6, 23))
    assert abs(sizes.mean() - 14) < 0.5
    assert (feature_subsets(Z, y, 50, 1.0, np.random.default_rng(0)) == 1).all()
    assert feature_subsets(Z[:, :1], y, 50, 0.0, np.random.default_rng(0)).all()


def test_an_input_that_decides_is_in_nearly_all_subsets():
    """And one that tells nothing alone is still in many: it may tell something beside others."""
    Z, _ = data(400, 22)
    y = 10 * Z[:, 3] + Z[:, 5]
    share = feature_subsets(Z, y, 2000, 0.3, np.random.default_rng(0)).mean(axis=0)
    assert share[3] > 0.95
    assert share.min() > 0.3
    assert np.ptp(np.delete(share, [3])) < 0.2


def test_what_an_input_explains_is_its_squared_correlation():
    Z, y = data(50, 6)
    squared = [np.corrcoef(Z[:, i], y)[0, 1] ** 2 for i in range(6)]
    np.testing.assert_allclose(explained(Z, y), squared, rtol=1e-9)


@pytest.mark.parametrize(("members", "subsets"), [(500, 25), (7, 3), (2, 2), (1, 1)])
def test_members_are_shared_out_evenly(members, subsets):
    given = list(shares(members, subsets))
    assert sum(given) == members
    assert len(given) == subsets
    assert max(given) - min(given) <= 1


def test_a_member_sees_no_more_than_it_may(space, objective, monkeypatch):
    seen = []
    solving = rbf_ensemble.solve
    monkeypatch.setattr(rbf_ensemble, "solve", lambda S, y: seen.append(len(y)) or solving(S, y))
    X = np.unique(space.sample(200, np.random.default_rng(0)), axis=0)
    rbf(space, members=10, max_samples=17).fit(X, objective(X))
    rbf(space, members=3, sample_fraction=0.001).fit(X, objective(X))
    assert seen == [17] * 10 + [1] * 3


def test_squared_distances_are_those_of_the_differences():
    W, C = np.random.default_rng(0).random((2, 7, 5))
    np.testing.assert_allclose(squared_distances(W @ W.T), np.square(W[:, None] - W).sum(axis=2), atol=1e-12)
    np.testing.assert_allclose(lifted(W) @ distances_to(C), np.square(W[:, None] - C).sum(axis=2), atol=1e-12)
    assert (lifted(W[:, :0]) @ distances_to(C[:, :0]) == 0).all()


@pytest.mark.parametrize("n_inputs", [1, 2, 5, 22, 60])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_tail_penalty_keeps_every_system_definite(kernel, n_inputs):
    rng = np.random.default_rng(0)
    for n in (2, 3, 10, 60):
        corners = rng.integers(0, 2, (n, n_inputs))
        line = np.outer(rng.random(n), np.ones(n_inputs))
        two_clouds = np.repeat([[0.0], [1.0]], [n // 2, n - n // 2], axis=0) * np.ones(n_inputs)
        for Z in (rng.random((n, n_inputs)), corners, line, two_clouds):
            S, _ = system(Z - Z.mean(axis=0), KERNELS[kernel], 0.0, tail_penalty(n_inputs))
            without_mean = np.eye(n) - 1 / n
            eigenvalues = np.linalg.eigvalsh(without_mean @ S @ without_mean)
            assert eigenvalues[0] > -1e-12 * eigenvalues[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "cubik"}, "Did you mean 'cubic'"),
        ({"members": 0}, "members must be at least 1"),
        ({"subsets": 0}, "subsets must be at least 1"),
        ({"max_samples": 0}, "max_samples must be at least 1"),
        ({"least_share": 1.5}, "least_share must be from 0 to 1"),
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
