"""Pareto mathematics against twins that try everything."""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_core.pareto import (
    APPROXIMATION,
    AUGMENTATION,
    EXACT,
    FEW,
    NEAR,
    achievement,
    hypervolume,
    hypervolume_method,
    most_added,
    non_dominated,
    normalised,
    ranks,
    reference_point,
    spread,
    trade_offs,
)


def matrices(least=0, most=9, columns=(2, 5)):
    """Few distinct values, so that ties and duplicates abound; and some of any size."""
    few = st.integers(0, 4).map(float)
    any_ = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1e308, -1e308, sys.float_info.max, 5e-324])
    return st.integers(*columns).flatmap(
        lambda m: st.one_of(
            st.lists(st.lists(values, min_size=m, max_size=m), min_size=least, max_size=most).map(
                lambda rows: np.array(rows, dtype=float).reshape(-1, m)
            )
            for values in (few, any_)
        )
    )


def dominates(a, b):
    return (a <= b).all() and (a < b).any()


def fronts(F):
    """Rank by peeling, row by row."""
    rank, left, level = {}, set(range(len(F))), 0
    while left:
        front = {i for i in left if not any(dominates(F[j], F[i]) for j in left)}
        rank.update(dict.fromkeys(front, level))
        left, level = left - front, level + 1
    return [rank[i] for i in range(len(F))]


def volume(F, reference):
    """Inclusion and exclusion over all subsets of the boxes."""
    boxes = [row for row in F if (row < reference).all()]
    total = 0.0
    for size in range(1, len(boxes) + 1):
        for subset in itertools.combinations(boxes, size):
            total += (-1) ** (size + 1) * math.prod(reference - np.max(subset, axis=0))
    return total / math.prod(reference)


@given(matrices())
def test_non_dominated_is_what_no_row_dominates(F):
    expected = [not any(dominates(other, row) for other in F) for row in F]
    assert non_dominated(F).tolist() == expected


@given(matrices())
def test_ranks_are_fronts_peeled_off(F):
    assert ranks(F).tolist() == fronts(F)


@given(matrices(least=1, most=6).filter(lambda F: np.abs(F).max() < 1e6 and np.abs(F[F != 0]).min(initial=1) > 1e-6))
def test_hypervolume_is_the_union_of_boxes(F):
    F = np.abs(F)
    reference = reference_point(F)
    assert hypervolume(F, reference) == pytest.approx(volume(F, reference), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("m", [2, 3, 4, 5])
def test_hypervolume_is_the_share_of_random_points(m):
    rng = np.random.default_rng(m)
    F, reference = rng.random((12, m)) * 10, np.full(m, 8.0)
    points = rng.random((20_000, m)) * 8
    share = (F[None] <= points[:, None]).all(axis=2).any(axis=1).mean()
    assert hypervolume(F, reference) == pytest.approx(share, abs=0.015)


@given(matrices(least=1), st.randoms())
def test_hypervolume_ignores_order_copies_and_what_is_dominated(F, random):
    F = np.abs(F)
    reference = reference_point(F)
    rows = [*range(len(F)), *random.choices(range(len(F)), k=3)]
    random.shuffle(rows)
    value = hypervolume(F, reference)
    assert 0 <= value <= 1 + 1e-12
    assert hypervolume(F[rows], reference) == pytest.approx(value, rel=1e-9)
    assert hypervolume(F[non_dominated(F)], reference) == pytest.approx(value, rel=1e-9)
    assert hypervolume(np.vstack([F, F[:1] / 2]), reference) >= value - 1e-12


def test_hypervolume_of_nothing_and_of_what_lies_outside():
    assert hypervolume(np.empty((0, 2)), np.ones(2)) == 0
    assert hypervolume(np.array([[1.0, 0.0], [2.0, -1.0]]), np.ones(2)) == 0
    assert hypervolume(np.zeros((1, 3)), np.full(3, 2.0)) == 1


@given(matrices(least=1) | matrices(least=1, columns=(7, 12)))
def test_the_reference_point_is_worse_than_everything_and_finite(F):
    reference = reference_point(F)
    assert np.isfinite(reference).all()
    huge = np.abs(F).max(axis=0) > 1e300
    assert (reference[~huge] > F[:, ~huge].max(axis=0)).all()
    assert np.isfinite(hypervolume(F, reference))


def test_the_reference_point_has_a_margin_of_one_percent():
    assert reference_point(np.array([[1.0, -5.0, 0.0], [2.0, -10.0, 0.0]])) == pytest.approx([2.02, -4.95, 1e-12])


SHAPES = {
    "linear": lambda Z: Z / Z.sum(axis=1, keepdims=True),
    "convex": lambda Z: 1 - 0.999 * Z / np.linalg.norm(Z, axis=1, keepdims=True),
    "concave": lambda Z: Z / np.linalg.norm(Z, axis=1, keepdims=True),
}


def many_objectives(shape, n, m):
    """A front of n points, on scales that differ by a million."""
    rng = np.random.default_rng(m)
    F = SHAPES[shape](np.abs(rng.normal(size=(n, m)))) * np.geomspace(1e-3, 1e3, m)
    return F, reference_point(F)


def exactly(F, reference):
    import moocore

    return moocore.hypervolume(F / reference, ref=np.ones(len(reference)))


def test_the_hypervolume_says_how_it_is_computed():
    def method(n, m):
        return hypervolume_method(*many_objectives("concave", n, m))

    assert [method(99, m) for m in (2, EXACT, EXACT + 1, 12)] == ["exact", "exact", *[APPROXIMATION] * 2]
    assert [method(n, 12) for n in (1, FEW, FEW + 3)] == ["exact", "exact", APPROXIMATION]
    F, reference = many_objectives("concave", FEW, 12)
    doubled = np.vstack([F, F, F + 1e-3, 2 * reference[None]])
    assert hypervolume_method(doubled, reference) == "exact"  # copies and what lies outside count for nothing
    assert hypervolume(doubled, reference) == hypervolume(F, reference)


@pytest.mark.parametrize("m", range(2, EXACT + 1))
def test_up_to_six_objectives_the_hypervolume_is_exact(m):
    F, reference = many_objectives("concave", 40, m)
    assert hypervolume(F, reference) == pytest.approx(exactly(F, reference), rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("m", "n", "error"), [(7, 60, 0.005), (8, 50, 0.01), (12, 24, 0.1)])
def test_beyond_six_objectives_the_hypervolume_is_close(shape, m, n, error):
    F, reference = many_objectives(shape, n, m)
    found = hypervolume(F, reference)
    assert found / exactly(F, reference) == pytest.approx(1, abs=error)
    assert hypervolume(F, reference) == found
    assert hypervolume(np.vstack([F, F[::-1]]), reference) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("m", [7, 12])
def test_the_approximation_stays_where_the_truth_must_be(m):
    F = np.random.default_rng(m).random((60, m))
    reference = np.full(m, 1.01)
    assert hypervolume_method(F, reference) == APPROXIMATION
    boxes = ((reference - F) / reference).prod(axis=1)
    assert boxes.max() <= hypervolume(F, reference) <= ((reference - F.min(axis=0)) / reference).prod() * (1 + 1e-12)
    almost_one = F[[0] * 60] * (1 + 1e-7 * F)  # sixty boxes that are nearly the same
    assert hypervolume(almost_one, reference) == pytest.approx(boxes[0], rel=1e-4)


def trade_offs_twin(F):
    """As it is described, point by point."""
    m, points = F.shape[1], {tuple(row) for row in F.tolist()}
    found = []
    for row in F.tolist():
        others = sorted((math.dist(row, other), other) for other in points - {tuple(row)})
        if not others:
            found.append(math.inf)
            continue
        reach = max(NEAR, others[min(2 * m, len(others)) - 1][0])
        prices = []
        for distance, other in others:
            sacrifice = sum(max(0, b - a) for a, b in zip(row, other, strict=True))
            gain = sum(max(0, a - b) for a, b in zip(row, other, strict=True))
            if distance <= reach:
                prices.append(sacrifice / gain if gain else math.inf)
        found.append(min(prices))
    return found


grids = st.integers(2, 12).flatmap(
    lambda m: st.lists(st.lists(st.integers(0, 16), min_size=m, max_size=m), min_size=1, max_size=40).map(
        lambda rows: np.array(rows) / 16  # sums and distances of these are exact enough to be compared
    )
)


@given(grids, st.randoms())
def test_trade_offs_are_what_they_say(F, random):
    mu, towards = trade_offs(F)
    assert mu == pytest.approx(trade_offs_twin(F), rel=1e-9)
    for i, j in enumerate(towards):
        step = F[j] - F[i]
        if np.isfinite(mu[i]):
            assert mu[i] == pytest.approx(np.maximum(step, 0).sum() / np.maximum(-step, 0).sum(), rel=1e-9)
    order = random.sample(range(len(F)), len(F))
    assert trade_offs(F[order])[0] == pytest.approx(mu[order], rel=1e-9)
    assert trade_offs(np.vstack([F, F]))[0][: len(F)] == pytest.approx(mu, rel=1e-9)


def test_the_knee_of_a_bent_front():
    F = np.array([(0, 1), (0.05, 0.6), (0.1, 0.1), (0.5, 0.06), (1, 0)])
    mu, towards = trade_offs(F)
    assert mu.argmax() == 2
    assert towards[2] == 0
    assert mu[2] == pytest.approx(0.9 / 0.1)


def test_rows_without_another_have_no_trade_off():
    assert trade_offs(np.zeros((1, 3)))[0].tolist() == [math.inf]
    mu, towards = trade_offs(np.array([[0.5, 0.0], [0.5, -0.0]]))
    assert mu.tolist() == [math.inf] * 2
    assert len(towards) == 2


@given(grids, st.data())
def test_the_achievement_is_what_it_says(F, data):
    m = F.shape[1]
    aspiration = np.array(data.draw(st.lists(st.floats(-2, 2), min_size=m, max_size=m)))
    weights = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=m, max_size=m)))
    found = achievement(F, aspiration, weights)
    for score, row in zip(found, F, strict=True):
        above = [w * (f - a) for w, f, a in zip(weights, row, aspiration, strict=True)]
        assert score == pytest.approx(max(above) + AUGMENTATION * sum(above), abs=1e-12)
    best = F[found <= found.min()]
    assert any(not any(dominates(other, row) for other in F) for row in best)


def spread_twin(F, n, among):
    """As it is described: better fronts first, then the farthest from all that is there; ties to the lower index."""
    if not len(F):
        return []
    everything = np.vstack([F, among])
    low, high = everything.min(axis=0), everything.max(axis=0)
    span = np.where(high > low, high - low, 1)
    points, there = (F - low) / span, [(row - low) / span for row in among]
    rank, chosen = fronts(F), []
    while len(chosen) < min(n, len(F)):
        left = [i for i in range(len(F)) if i not in chosen]
        best = [i for i in left if rank[i] == min(rank[j] for j in left)]
        far = {i: min((np.linalg.norm(points[i] - p) for p in there), default=math.inf) for i in best}
        pick = next(i for i in best if far[i] == max(far.values()))
        chosen.append(pick)
        there.append(points[pick])
    return chosen


@given(
    st.integers(2, 4).flatmap(lambda m: st.tuples(matrices(columns=(m, m)), matrices(most=3, columns=(m, m)))),
    st.integers(0, 10),
)
def test_spread_is_what_it_says(matrices_, n):
    F, among = (np.clip(np.round(M), -100, 100) for M in matrices_)
    chosen = spread(F, n, among)
    assert chosen.tolist() == spread_twin(F, n, among)
    assert chosen.tolist() == spread(F, n, among).tolist()
    assert len(set(chosen.tolist())) == len(chosen) == min(n, len(F))
    rank = np.array(fronts(F))
    assert (np.diff(rank[chosen]) >= 0).all()


@given(matrices(least=1), matrices(least=1, most=4))
def test_normalised_numbers_are_finite(F, like):
    like = like[:, :2]
    F = np.vstack([F[:, :2], like])
    if np.abs(F).max() < 1e300:
        within = normalised(like, like)
        assert ((within >= 0) & (within <= 1)).all()
    assert np.isfinite(normalised(like, like)).all()


def test_the_largest_numbers_do_not_overflow():
    F = np.array([[1e308, -1e308], [-1e308, 1e308], [0.0, 0.0]])
    assert normalised(F, F).tolist() == [[1, 0], [0, 1], [0.5, 0.5]]
    assert spread(F, 3).tolist() == [0, 1, 2]
    assert ranks(np.full((3, 2), 1e308)).tolist() == [0, 0, 0]
    assert normalised(np.full((2, 2), 7.0), np.full((2, 2), 7.0)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(bad):
    F = np.array([[1.0, 2.0], [bad, 1.0]])
    for function in (
        non_dominated,
        ranks,
        reference_point,
        lambda F: spread(F, 1),
        lambda F: hypervolume(F, np.ones(2)),
        trade_offs,
        lambda F: achievement(F, np.zeros(2), np.ones(2)),
    ):
        with pytest.raises(ValueError, match="objectives must be finite; 1 rows are not"):
            function(F)


@pytest.mark.parametrize("n_objectives", [2, 3, 4])
@pytest.mark.parametrize("n_there", [0, 1, 6])
def test_most_added_is_the_greedy_choice_that_tries_everything(n_objectives, n_there):
    for seed in range(8):
        draw = np.random.default_rng([seed, n_objectives, n_there])
        F, there = draw.random((12, n_objectives)), draw.random((n_there, n_objectives))
        like = there if n_there else F
        points, kept = normalised(F, like), normalised(there, like)
        corner = np.full(n_objectives, 1.1)
        expected = list[int]()
        for _ in range(5):
            volumes = [hypervolume(np.vstack([kept, p]) + 100, corner + 100) for p in points]
            best = int(np.argmax(np.round(volumes, 13)))
            if volumes[best] <= (hypervolume(kept + 100, corner + 100) if len(kept) else 0) * (1 + 1e-12):
                break
            expected.append(best)
            kept = np.vstack([kept, points[best]])
        assert most_added(F, 5, there).tolist() == expected


@given(matrices(least=1), matrices(least=0, columns=(2, 2)))
def test_most_added_takes_any_numbers(F, there):
    there = there[:, : F.shape[1]] if there.shape[1] >= F.shape[1] else F[:0]
    chosen = most_added(F, 3, there).tolist()
    assert len(set(chosen)) == len(chosen) <= min(3, len(F))
