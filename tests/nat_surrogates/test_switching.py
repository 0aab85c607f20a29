"""The choice among surrogates by cross-validation."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from nat_core.errors import ConfigError
from nat_surrogates import adaptive, ridge
from nat_surrogates.switching import Candidate, Switching, score, taus

N = 60


class Exactly:
    """Ranks everything rightly, or wrongly, or not at all; counts what it learnt from."""

    def __init__(self, sign):
        self.sign, self.seen = sign, []

    def fit(self, _X, y):
        self.seen.append(len(y))
        return lambda rows: self.sign * rows.sum(axis=1).astype(float)


@pytest.fixture
def measured(space):
    X = np.unique(space.sample(N, np.random.default_rng(0)), axis=0)
    return X, X.sum(axis=1).astype(float)


def switching(*signs, folds=5, max_points=300, seed=0):
    surrogates = [Exactly(sign) for sign in signs]
    return Switching(tuple(Candidate(f"{s.sign:+}", s, s) for s in surrogates), folds, max_points, seed), surrogates


def test_the_best_in_cross_validation_learns_from_everything(measured):
    X, y = measured
    surrogate, (wrong, blind, right) = switching(-1, 0, 1)
    function = surrogate.fit(X, y)
    assert np.array_equal(function(X), y)
    assert function.name == "+1"
    assert function.note == "+1 of -1 -1.00, +0 0.00, +1 1.00"
    assert wrong.seen == blind.seen == [48] * 5
    assert right.seen == [48] * 5 + [60]


def test_of_equals_the_first_wins(measured):
    surrogate, _ = switching(1, 2)
    assert surrogate.fit(*measured).note == "+1 of +1 1.00, +2 1.00"
    assert surrogate.candidates[1].surrogate.seen == [48] * 5


def test_every_measurement_is_tested_once(measured):
    X, y = measured
    asked = []

    class Asked(Exactly):
        def fit(self, X, _y):
            known = {tuple(row) for row in X.tolist()}

            def function(rows):
                assert not known & {tuple(row) for row in rows.tolist()}, "a measurement is learnt and tested at once"
                asked.extend(rows.tolist())
                return rows.sum(axis=1)

            return function

    surrogate = Asked(1)
    folds = np.array_split(np.random.default_rng(0).permutation(N), 7)
    assert list(taus(surrogate, X, y, folds)) == pytest.approx([1.0] * 7)
    assert sorted(asked) == X.tolist()


def test_a_steady_surrogate_beats_an_erratic_one():
    assert score([0.8, 0.8]) > score([1.0, 0.7])
    assert score([0.9, 0.7]) == pytest.approx(0.8 - 0.1)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_measurements_are_left_to_the_first_member(measured, n):
    X, y = (part[:n] for part in measured)
    surrogate, (first, second) = switching(-1, 1)
    function = surrogate.fit(X, y)
    assert function.note == f"-1, the first member: {n} measurements are too few to compare"
    assert (first.seen, second.seen) == ([n], [])


def test_a_single_member_is_not_compared(measured):
    surrogate, (only,) = switching(1)
    assert surrogate.fit(*measured).note == "+1, the only member"
    assert only.seen == [N]


def test_there_are_no_more_folds_than_measurements_allow(measured):
    X, y = (part[:12] for part in measured)
    surrogate, (_, second) = switching(1, -1, folds=10)
    surrogate.fit(X, y)
    assert second.seen == [6, 6]


def test_many_measurements_are_compared_on_a_part_of_them(measured):
    surrogate, (winner, other) = switching(1, -1, max_points=20)
    surrogate.fit(*measured)
    assert winner.seen == [15] * 4 + [N]
    assert other.seen == [15] * 4


def test_duplicates_stay_in_one_fold(measured):
    X, y = measured
    surrogate, (first, _) = switching(1, -1)
    surrogate.fit(np.concatenate([X, X]), np.concatenate([y, y]))
    assert first.seen == [48] * 5 + [60]


def test_the_winner_is_logged(space, measured, caplog):
    with caplog.at_level(logging.INFO, "nat_core"):
        function = adaptive(space, members=("cart", "ridge"), folds=2).fit(*measured)
    assert function.note in caplog.text
    assert function.note.startswith("ridge of cart 0.")
    assert np.array_equal(function(measured[0]), ridge(space).fit(*measured)(measured[0]))


def test_by_default_it_ranks_as_the_member_that_won(space, objective):
    X = space.sample(60, np.random.default_rng(0))
    function = adaptive(space, folds=2).fit(X, objective(X))
    assert [word.rstrip(",") for word in function.note.split()[2::2]] == ["rbf", "gp", "boosting"]
    alone = adaptive(space, members=(function.name,)).fit(X, objective(X))
    assert np.array_equal(function(X), alone(X))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": ("rbf", "gpp")}, "unknown member 'gpp'. Did you mean 'gp'"),
        ({"members": ("adaptive",)}, "unknown member 'adaptive'"),
        ({"members": ()}, "members must name at least one surrogate"),
        ({"members": ("gp", "gp")}, "each once, not gp, gp"),
        ({"max_points": 9}, "max_points must be at least 10"),
        ({"folds": 1}, "folds must be at least 2"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_a_wrong_option_says_what_is_accepted(space, options, message):
    with pytest.raises(ConfigError, match=message):
        adaptive(space, **options)
