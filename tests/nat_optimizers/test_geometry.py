from __future__ import annotations

import numpy as np
import pytest

from nat_core.pareto import ranks
from nat_optimizers.geometry import extremes, geometry, scores


def sphere(p, n_objectives, n=400):
    """Points of the unit sphere of a p-norm in the positive orthant."""
    F = np.random.default_rng(0).random((n, n_objectives)) + 1e-3
    return F / (F**p).sum(axis=1, keepdims=True) ** (1 / p)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("n_objectives", [2, 3, 5])
def test_the_curvature_of_a_front_is_found(p, n_objectives):
    assert geometry(sphere(p, n_objectives)) == pytest.approx(p, rel=0.2)


def test_a_single_point_and_a_single_objective_are_flat():
    assert geometry(np.array([[0.0, 0.0]])) == 1.0
    assert geometry(np.array([[0.3], [0.7]])) == 1.0


def test_extremes_are_the_rows_closest_to_the_axes():
    F = np.vstack([sphere(2.0, 3), np.eye(3)[::-1]])
    assert extremes(F).tolist() == [402, 401, 400]
    assert sorted(extremes(np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.5]])).tolist()) in ([0, 0, 1], [0, 1, 1])


def test_corners_are_kept_then_what_is_lonely_then_worse_fronts_by_closeness():
    first = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [1, 1.05, 1], [1, 1, 0]], dtype=float)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    worse = np.array([[0.8, 0.8, 0.8], [0.7, 0.7, 0.7], [0.6, 0.9, 0.9]])
    F = np.vstack([first, worse])
    rank = ranks(F)
    assert rank[:6].tolist() == [0] * 6
    score = scores(F, rank)
    assert np.isinf(score[:3]).all()
    assert min(score[3], score[4]) < score[5] < np.inf  # of two that are nearly one, one is worth least
    assert score[7] > score[6]
    assert score[7] > score[8]


@pytest.mark.parametrize("F", [np.zeros((6, 3)), np.ones((1, 4)), np.eye(3), np.array([[1.0, 0.0], [1.0, 0.0]])])
def test_degenerate_fronts_have_scores(F):
    with np.errstate(all="raise"):
        score = scores(F, ranks(F))
    assert score.shape == (len(F),)
    assert not np.isnan(score).any()
