"""What holds for every surrogate: any archive, the same answer each time, finite numbers, a useful ranking."""

from __future__ import annotations

import functools
import gzip
import json
import logging
import subprocess
import sys
import typing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

import nat_surrogates
from nat_surrogates import gp, learning, rbf, rbf_single, ridge

# Budgets of the tests: what is promised holds for any.
SMALLER = {
    "rbf": {"members": 50},
    "mlp": {"networks": 2},
    "cart": {"trees": 20},
    "forest": {"trees": 20},
    "boosting": {"rounds": 60},
    "adaptive": {"members": ("rbf-single", "ridge"), "folds": 3},
}
FACTORIES = nat_surrogates.register_surrogates()
MAKERS = {
    **{name: functools.partial(factory, **SMALLER.get(name, {})) for name, factory in FACTORIES.items()},
    "rbf as released": lambda space: rbf(space, members=50, smoothing=0.0, least_share=0.0, sample_fraction=1.0),
    "rbf on few samples": lambda space: rbf(space, members=50, sample_fraction=0.2),
    "rbf linear": lambda space: rbf(space, members=50, kernel="linear"),
    "rbf thin-plate": lambda space: rbf(space, members=50, kernel="thin-plate"),
    "rbf-single through its points": lambda space: rbf_single(space, smoothing=0.0),
    "rbf-single linear": lambda space: rbf_single(space, kernel="linear"),
    "rbf-single thin-plate": lambda space: rbf_single(space, kernel="thin-plate"),
    "gp on few points": lambda space: gp(space, max_points=2),
    "ridge on features": lambda space: ridge(space, inputs="features"),
    "ridge of a given penalty": lambda space: ridge(space, penalty=1.0),
}
every_surrogate = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
every_default = pytest.mark.parametrize("make", FACTORIES.values(), ids=FACTORIES.keys())

RNG = np.random.default_rng(5)
N_CHOICES = (17, 2, *[10] * 20)
SAMPLE = RNG.integers(0, N_CHOICES, (40, 22))
Y = RNG.random(40)


def with_columns(*varying):
    """The sample, all columns but these constant."""
    X = np.full_like(SAMPLE, 1)
    X[:, varying] = SAMPLE[:, varying]
    return X


DEGENERATE = {
    "one point": (SAMPLE[:1], Y[:1]),
    "two points": (SAMPLE[:2], Y[:2]),
    "fewer points than variables": (SAMPLE[:9], Y[:9]),
    "as many points as coefficients": (SAMPLE[:23], Y[:23]),
    "constant columns": (with_columns(*range(2, 12)), Y),
    "one varying column": (with_columns(5), Y),
    "one varying column of two choices": (with_columns(1), Y),
    "one network measured again and again": (np.repeat(SAMPLE[:1], 5, axis=0), Y[:5]),
    "duplicate rows": (np.concatenate([SAMPLE, SAMPLE[:20]]), np.concatenate([Y, Y[:20] + 0.1])),
    "constant y": (SAMPLE, np.full(40, 3.0)),
    "nearly constant y": (SAMPLE, 3.0 + 1e-15 * np.arange(40)),
    "rows that coincide inside a subset": (np.indices((2,) * 5).reshape(5, -1).T.repeat(5, axis=1)[:, :22], Y[:32]),
    "columns that are copies": (np.repeat(SAMPLE[:, 4:5], 22, axis=1) % 2, Y),
    "neighbours": (SAMPLE[:1] // 2 + np.eye(22, dtype=np.int64), Y[:22]),
    "large y": (SAMPLE, 1e12 * Y),
    "small y": (SAMPLE, 1e-12 * Y),
    "the largest units": (SAMPLE, 1e300 * Y),
    "the smallest units": (SAMPLE, 1e-300 * Y),
    "smaller than any normal number": (SAMPLE, 1e-310 * Y),
    "twice the largest units": (np.concatenate([SAMPLE] * 2), np.concatenate([1.7e308 * Y] * 2)),
    "one outlier": (SAMPLE, np.where(np.arange(40) == 3, 1e6, Y)),
}
every_archive = pytest.mark.parametrize(("X", "y"), DEGENERATE.values(), ids=DEGENERATE.keys())


@every_archive
@every_surrogate
def test_predictions_are_finite_and_near_what_was_measured(make, X, y, space):
    asked = np.concatenate([X, space.sample(200, np.random.default_rng(1)), np.zeros((1, 22), dtype=np.int64)])
    predicted = make(space).fit(X, y)(asked)
    assert predicted.shape == (len(asked),)
    assert predicted.dtype == np.float64
    unit = abs(y).max()
    predicted, y = predicted / unit, y / unit
    room = 6 * np.ptp(y) + 1e-9
    assert predicted.min() >= y.min() - room
    assert predicted.max() <= y.max() + room


@every_surrogate
def test_what_never_varied_is_predicted_exactly(make, space):
    asked = space.sample(20, np.random.default_rng(1))
    assert (make(space).fit(SAMPLE, np.full(40, 3.0))(asked) == 3.0).all()
    assert (make(space).fit(SAMPLE[:1], Y[:1])(asked) == Y[0]).all()


@every_surrogate
def test_duplicates_count_as_their_mean(make, space):
    exact = np.round(1024 * Y) / 1024  # a tree may split elsewhere for the last bit of a mean
    twice = make(space).fit(np.concatenate([SAMPLE, SAMPLE]), np.concatenate([exact - 0.25, exact + 0.25]))
    once = make(space).fit(SAMPLE, exact)
    np.testing.assert_allclose(twice(SAMPLE), once(SAMPLE), atol=1e-8)


@every_surrogate
def test_the_same_archive_in_any_order_gives_the_same_function(make, space):
    asked = space.sample(30, np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(40)
    first = make(space).fit(SAMPLE, Y)(asked)
    assert np.array_equal(first, make(space).fit(SAMPLE, Y)(asked))
    assert np.array_equal(first, make(space).fit(SAMPLE[order], Y[order])(asked))


@every_surrogate
def test_fitting_and_predicting_change_no_argument(make, space):
    X, y = SAMPLE.copy(), Y.copy()
    make(space).fit(X, y)(X)
    assert np.array_equal(X, SAMPLE)
    assert np.array_equal(y, Y)


@every_surrogate
def test_a_row_is_predicted_alike_alone_and_among_others(make, space):
    function = make(space).fit(SAMPLE, Y)
    alone = np.concatenate([function(SAMPLE[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(function(SAMPLE)[:10], alone, atol=1e-8)
    assert function(SAMPLE[:0]).shape == (0,)


@every_surrogate
def test_a_variable_with_one_choice_is_harmless(make, make_space):
    space = make_space(1, 10, 10)
    X = space.sample(20, np.random.default_rng(0))
    assert np.isfinite(make(space).fit(X, np.sin(X).sum(axis=1))(X)).all()


@every_default
def test_it_ranks_what_it_has_not_seen(make, space, objective):
    X = space.sample(450, np.random.default_rng(0))
    y = objective(X)
    predicted = make(space).fit(X[:150], y[:150])(X[150:])
    steps = make in {FACTORIES["cart"], FACTORIES["forest"]}  # 150 points in 22 dimensions do not fill many leaves
    assert kendalltau(predicted, y[150:]).statistic > (0.4 if steps else 0.7)  # random ones stay within ±0.15


@every_default
def test_it_ranks_measured_networks(make, make_space):
    """Stored measurements of OFA subnets on ImageNet: learn from 300, rank the rest."""
    X, y = measured_networks()
    rows = np.random.default_rng(0).permutation(len(y))
    X, y = X[rows], y[rows]
    predicted = make(make_space(*[10] * 20)).fit(X[:300], y[:300])(X[300:])
    assert kendalltau(predicted, y[300:]).statistic > 0.85


def measured_networks():
    """Distinct networks X (n, 20), a layer being 0 (skipped) or 1 + kernel index + 3 · width index, and their error."""
    file = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "ofa_mbv3_w1.0_imagenet.jsonl.gz"
    if not file.exists():
        pytest.skip(f"needs the table {file.name} in the folder shared/reference beside the repository")
    with gzip.open(file, "rt") as lines:
        error = {layers(row): 100 - row["top1"] for row in map(json.loads, lines)}
    return np.array(list(error)), np.array(list(error.values()))


def layers(row):
    live = iter(1 + (3, 5, 7).index(k) + 3 * (3, 4, 6).index(e) for k, e in zip(row["ks"], row["e"], strict=True))
    return tuple(next(live) if i < depth else 0 for depth in row["d"] for i in range(4))


STRAIGHT = SAMPLE @ np.linspace(1, 2, 22)  # what a ridge regression can learn


def a_fit(predict):
    """A fit whose regressor is a function of the points alone."""
    return lambda _Z, _y: predict


def broken(error):
    def fail(*_):
        raise error

    return fail


ERRORS = [np.linalg.LinAlgError("Singular matrix"), ValueError("too few"), FloatingPointError("overflow")]
every_error = pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)


@every_error
def test_data_that_cannot_be_fitted_are_left_to_a_ridge_regression(space, caplog, error):
    with caplog.at_level(logging.WARNING, "nat_core"):
        stand_in = learning.learn(broken(error), space, SAMPLE, STRAIGHT)
    assert f"cannot be fitted to 40 points ({error}); a ridge regression stands in" in caplog.text
    asked = space.sample(50, np.random.default_rng(1))
    assert np.array_equal(stand_in(asked), ridge(space).fit(SAMPLE, STRAIGHT)(asked))


@every_error
def test_a_prediction_that_fails_is_left_to_a_ridge_regression(space, caplog, error):
    function = learning.learn(a_fit(broken(error)), space, SAMPLE, STRAIGHT)
    with caplog.at_level(logging.WARNING, "nat_core"):
        predicted = function(SAMPLE[:3])
    assert f"3 of 3 predictions failed ({error}); a ridge regression stands in" in caplog.text
    np.testing.assert_allclose(predicted, ridge(space).fit(SAMPLE, STRAIGHT)(SAMPLE[:3]), rtol=1e-12)


def test_single_predictions_that_are_not_finite_are_left_to_a_ridge_regression(space, caplog):
    second = a_fit(lambda Z: np.where(np.arange(len(Z)) == 1, np.nan, 0.0))
    function = learning.learn(second, space, SAMPLE, STRAIGHT)
    with caplog.at_level(logging.WARNING, "nat_core"):
        predicted = function(SAMPLE[:3])
        function(SAMPLE[:3])
    (mean,) = learning.Unit.of(STRAIGHT).measured(np.zeros(1))
    expected = [mean, ridge(space).fit(SAMPLE, STRAIGHT)(SAMPLE[1:2])[0], mean]
    assert predicted.tolist() == pytest.approx(expected, rel=1e-12)
    assert [r.getMessage() for r in caplog.records] == [
        "surrogate: 1 of 3 predictions are not finite; a ridge regression stands in"
    ]


@pytest.mark.parametrize("fit", [broken(ERRORS[0]), a_fit(lambda Z: np.full(len(Z), np.inf))], ids=["fit", "predict"])
def test_where_the_ridge_regression_fails_too_the_mean_stands_in(space, caplog, monkeypatch, fit):
    (name, _), last = learning.STAND_INS
    monkeypatch.setattr(learning, "STAND_INS", ((name, broken(ERRORS[0])), last))
    with caplog.at_level(logging.WARNING, "nat_core"):
        predicted = learning.learn(fit, space, SAMPLE, STRAIGHT)(SAMPLE[:3])
    assert predicted == pytest.approx(np.repeat(learning.Unit.of(STRAIGHT).measured(np.zeros(1)), 3), rel=1e-12)
    assert "a ridge regression stands in" in caplog.text


def test_an_error_that_no_data_explain_is_not_hidden(space):
    with pytest.raises(TypeError, match="a bug"):
        learning.learn(broken(TypeError("a bug")), space, SAMPLE, STRAIGHT)


def test_networks_with_the_same_features_count_as_one_point(space):
    @dataclass(frozen=True)
    class Coarse:
        variables: tuple = space.variables

        canonicalize = sample = describe = parse = lambda *_: None

        def features(self, X):
            return X[:, 2:4] // 5 / 1.0

    seen = []

    def fit(Z, y):
        seen.append((Z, y))
        return ridge_fit(Z, y)

    ridge_fit = learning.STAND_INS[0][1]
    function = learning.learn(fit, Coarse(), SAMPLE, Y)
    [(Z, y)] = seen
    assert len(Z) == len(np.unique(Z, axis=0)) == len(y) == 4
    assert (y.mean(), y.std()) == pytest.approx((0, 1))
    assert np.isfinite(function(SAMPLE)).all()


def test_a_regressor_learns_on_one_scale_whatever_the_unit(space):
    seen = []

    def fit(_Z, y):
        seen.append(y)
        return lambda Z: np.zeros(len(Z))

    for unit, offset in ((1.0, 0.0), (1e300, 0.0), (1e-300, 0.0), (2.5, -7.0)):
        learning.learn(fit, space, SAMPLE, unit * Y + offset)
    for y in seen[1:]:
        np.testing.assert_allclose(y, seen[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("unit", [1.0, 1e-310, -1e300, 3e-5])
def test_the_scale_is_undone_and_goes_on_straight_beyond_the_data(unit):
    y = unit * Y
    scale = learning.Unit.of(y)
    assert (scale.scaled(y).mean(), scale.scaled(y).std()) == pytest.approx((0, 1))
    np.testing.assert_allclose(scale.measured(scale.scaled(y)), y, rtol=1e-9)
    least, largest = scale.scaled(np.array([y.min(), y.max()]))
    for end, slope in (
        (least + np.array([0.0, -1.0, -2.0, -9.0]), 1.0),
        (largest + np.array([0.0, 1.0, 2.0, 9.0]), 2.0),
    ):
        beyond = scale.measured(end) / np.ptp(y)
        np.testing.assert_allclose(np.diff(beyond) / np.diff(end), slope * scale.deviation, rtol=1e-6)
    everywhere = scale.measured(np.linspace(-9, 9, 999))
    assert (np.diff(everywhere) > 0).all()


@every_surrogate
@pytest.mark.parametrize(("X", "y"), [(SAMPLE[:2], np.array([1.0, np.nan])), (SAMPLE[:0], Y[:0])])
def test_values_that_were_not_measured_are_refused(make, X, y, space):
    with pytest.raises(ValueError, match="at least one row and finite y"):
        make(space).fit(X, y)


def test_factories_stay_factories_and_their_signatures_resolve(space):
    for _ in range(2):  # importing a module of the package must not replace a factory
        for name, factory in nat_surrogates.register_surrogates().items():
            assert factory(space), name
            hints = typing.get_type_hints(factory, include_extras=True)
            assert hints.keys() > {"space", "return"}


def test_the_package_imports_nothing_heavy():
    heavy = {"scipy", "sklearn", "torch", "threadpoolctl"}
    code = f"import sys, nat_surrogates; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
