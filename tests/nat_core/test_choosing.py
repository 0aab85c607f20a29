"""Choices from a front against twins that look at every architecture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_core.archive import Archive, Evaluation
from nat_core.choosing import UNNAMED, choose
from nat_core.errors import ConfigError
from nat_core.pareto import AUGMENTATION, NEAR
from nat_core.problem import Constraint

NAMES = tuple("abcdefghijkl")


def archive(F, names=None):
    """An architecture for each row: its number."""
    F = np.asarray(F, dtype=float)
    rows = (Evaluation((i,), tuple(row), 0, 0) for i, row in enumerate(F.tolist()))
    return Archive(names or NAMES[: F.shape[1]], tuple(rows)).front


def random_front(n, m, seed=0):
    """Rows on a simplex, on scales that differ."""
    rng = np.random.default_rng(seed)
    return archive(rng.dirichlet(np.ones(m), n) * np.geomspace(1e-3, 1e9, m))


fronts = st.builds(random_front, st.integers(1, 40), st.integers(2, 12), st.integers(0, 10_000))


def scaled(front):
    """Objectives as shares of the front's ranges, in plain Python."""
    columns = list(zip(*(e.objectives for e in front), strict=True))
    return {
        e.architecture: [
            (y - min(c)) / (max(c) - min(c)) if max(c) > min(c) else 0.0
            for y, c in zip(e.objectives, columns, strict=True)
        ]
        for e in front
    }


def trade_off(row, others, m):
    """The least price of a step to a neighbour."""
    others = sorted((math.dist(row, other), other) for other in others if other != row)
    if not others:
        return math.inf
    reach = max(NEAR, others[min(2 * m, len(others)) - 1][0])
    prices = []
    for distance, other in others:
        steps = [b - a for a, b in zip(row, other, strict=True)]
        if distance <= reach * (1 + 1e-12):
            prices.append(sum(s for s in steps if s > 0) / -sum(s for s in steps if s < 0))
    return min(prices)


@given(fronts, st.integers(0, 100))
def test_the_knee_has_the_largest_trade_off_within_the_bounds(front, percent):
    bound = float(np.percentile(front.F[:, 0], percent, method="higher"))
    choice = choose(front, [Constraint("a", "<=", bound)])
    within = [e.architecture for e in front if e.objectives[0] <= bound]
    rows = scaled(front)
    prices = {a: trade_off(rows[a], [rows[b] for b in within], len(front.names)) for a in within}
    assert (choice.method, choice.on_front, choice.within) == ("knee", len(front), len(within))
    (pick,) = choice.picks
    assert pick.score == pytest.approx(max(prices.values()), rel=1e-6)
    assert prices[pick.evaluation.architecture] == pytest.approx(pick.score, rel=1e-6)
    if pick.towards is not None:
        here, there = rows[pick.evaluation.architecture], rows[pick.towards.architecture]
        assert pick.towards.architecture in within
        assert list(pick.steps) == list(front.names)
        assert list(pick.steps.values()) == pytest.approx([b - a for a, b in zip(here, there, strict=True)], abs=1e-9)
        gain = -sum(s for s in pick.steps.values() if s < 0)
        assert sum(s for s in pick.steps.values() if s > 0) / gain == pytest.approx(pick.score, rel=1e-6)


@given(fronts, st.data())
def test_a_preference_is_wierzbickis_achievement(front, data):
    wished = data.draw(st.lists(st.sampled_from(front.names), min_size=1, unique=True))
    at = {name: data.draw(st.floats(-0.5, 1.5)) for name in wished}  # as a share of the range
    low, high = front.F.min(axis=0), front.F.max(axis=0)
    index = {name: front.names.index(name) for name in wished}
    wish = {n: float(low[index[n]] + at[n] * (high[index[n]] - low[index[n]])) for n in wished}
    levels = [at.get(n, 0.0) if low[i] < high[i] else 0.0 for i, n in enumerate(front.names)]
    weights = [1.0 if n in wish else UNNAMED for n in front.names]
    scores = {}
    for architecture, row in scaled(front).items():
        above = [w * (y - level) for w, y, level in zip(weights, row, levels, strict=True)]
        scores[architecture] = max(above) + AUGMENTATION * sum(above)
    choice = choose(front, (), wish, n=len(front))
    assert choice.method == "preference"
    found = [scores[p.evaluation.architecture] for p in choice.picks]
    assert found == pytest.approx(sorted(scores.values()), abs=1e-9)
    assert [p.score for p in choice.picks] == pytest.approx(found, abs=1e-9)


@given(fronts, st.integers(1, 50), st.booleans())
def test_several_picks_are_distinct_and_the_first_is_the_single_one(front, n, by_preference):
    wish = {"a": float(np.median(front.F[:, 0]))} if by_preference else {}
    picks = choose(front, (), wish, n).picks
    assert len({p.evaluation for p in picks}) == len(picks) == min(n, len(front))
    assert picks[0] == choose(front, (), wish).picks[0]
    assert {p.evaluation for p in choose(front, (), wish, 999).picks} == set(front)


def test_further_knees_are_elsewhere():
    x = np.concatenate([np.linspace(0, 1, 9), [0.100, 0.101, 0.102]])
    front = archive(np.column_stack([x, np.where(x < 0.1, 1 - 5 * x, 0.5 - 0.5 * x)]))
    first, second = (p.evaluation.objectives for p in choose(front, n=2).picks)
    assert first[0] == pytest.approx(0.1)
    assert math.dist(first, second) > NEAR


def test_a_preference_is_kept_before_the_rest_is_bettered():
    """A bound in effect, but a soft one: a little over the wish is taken for much of something else."""
    front = archive([(0.9, 0), (0.5, 10), (0.49, 10.5), (0.2, 11), (0, 100)], ("error", "macs"))
    assert choose(front, (), {"macs": 10}).picks[0].evaluation.objectives == (0.2, 11)
    assert choose(front, (), {"macs": 10, "error": 0.5}).picks[0].evaluation.objectives == (0.5, 10)
    assert choose(front, (), {"macs": 1e12}).picks[0].evaluation.objectives == (0, 100)
    assert choose(front, (), {"macs": -1e300}).picks[0].evaluation.objectives == (0.9, 0)


def test_copies_come_last():
    front = archive([(0, 1), (0, 1), (0.4, 0.4), (0.4, 0.4), (1, 0)])
    for wish in ({}, {"a": 0.4}):
        objectives = [p.evaluation.objectives for p in choose(front, (), wish, 5).picks]
        assert len(set(objectives[:3])) == 3


@pytest.mark.parametrize("wish", [{}, {"a": 1.0}, {"b": 7.0}])
def test_a_front_without_a_choice(wish):
    assert choose(archive([(7, 7)]), (), wish).picks[0].evaluation.architecture == (0,)
    same = choose(archive([(7, 7)] * 3), (), wish)
    assert (same.within, same.picks[0].evaluation.architecture) == (3, (0,))
    constant = archive([(0, 7, 3), (1, 7, 2), (2, 7, 1)])
    assert math.isfinite(choose(constant, (), wish).picks[0].score)


def test_the_largest_numbers():
    front = archive([(1e308, -1e308), (-1e308, 1e308), (0.0, -0.0), (5e-324, -5e-324)])
    for wish in ({}, {"a": 1e308}, {"a": -1e308, "b": 0.0}):
        assert all(not math.isnan(p.score) for p in choose(front, (), wish, 4).picks)


def test_bounds_on_costs_that_are_no_objective():
    front = archive([(0, 3), (1, 2), (2, 1)])
    costs = {"params": lambda X: X[:, 0] * 10.0}
    choice = choose(front, [Constraint("params", ">=", 5), Constraint("b", ">=", 1.5)], {}, 3, costs)
    (pick,) = choice.picks
    assert pick.evaluation.architecture == (1,)
    assert pick.costs == {"params": 10}
    broken = {"params": lambda X: np.where(X[:, 0] == 1, np.nan, X[:, 0])}
    assert choose(front, [Constraint("params", "<=", 1)], {}, 1, broken).within == 1


def test_bounds_that_nothing_meets_are_refused_with_what_is_near():
    front = archive([(0, 30), (1, 20), (2.5, 10)], ("error", "macs"))
    with pytest.raises(
        ConfigError, match=r"none of the 3 .* meets macs<=5: the smallest macs there is 10; .* macs=10$"
    ):
        choose(front, [Constraint("macs", "<=", 5)])
    with pytest.raises(ConfigError, match=r"the largest error there is 2\.5"):
        choose(front, [Constraint("error", ">=", 3)])
    both = [Constraint("macs", "<=", 10), Constraint("error", "<=", 2)]
    with pytest.raises(ConfigError) as caught:
        choose(front, both)
    assert "macs<=10 alone is met by 1; error<=2 alone is met by 2" in str(caught.value)
    assert str(caught.value).endswith("the nearest one has macs=10, error=2.5")


@given(fronts, st.data())
def test_the_best_has_the_least_value_within_the_bounds(front, data):
    best = data.draw(st.sampled_from(front.names))
    bound = data.draw(st.sampled_from(front.F[:, 0].tolist()))
    choice = choose(front, [Constraint("a", "<=", bound)], n=3, best=best)
    column = front.names.index(best)
    values = sorted(e.objectives[column] for e in front if e.objectives[0] <= bound)
    assert (choice.method, choice.best, choice.within) == ("best", best, len(values))
    assert [pick.evaluation.objectives[column] for pick in choice.picks] == values[:3]
    assert [pick.score for pick in choice.picks] == values[:3]


def test_the_others_decide_among_equals_in_their_order():
    front = archive([(2, 1, 0, 9), (1, 1, 5, 0), (1, 1, 4, 1), (0, 2, 9, 9), (9, 3, 0, 0), (1, 1, 4, 1)])
    choice = choose(front, n=6, best="b")
    assert [pick.evaluation.architecture for pick in choice.picks] == [(2,), (1,), (0,), (3,), (4,), (5,)]
    assert [pick.equals for pick in choice.picks] == [3, 3, 3, 0, 0, 3]
