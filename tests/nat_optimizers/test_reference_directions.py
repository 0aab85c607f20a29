from __future__ import annotations

import numpy as np
import pytest

from nat_optimizers.directions import das_dennis, reference_directions


@pytest.mark.parametrize(("n_objectives", "partitions"), [(1, 1), (2, 1), (2, 99), (3, 12), (5, 4), (12, 2)])
def test_das_dennis_is_what_pymoo_makes(n_objectives, partitions):
    from pymoo.util.ref_dirs import get_reference_directions

    theirs = get_reference_directions("das-dennis", n_objectives, n_partitions=partitions)
    ours = das_dennis(n_objectives, partitions)
    assert np.allclose(np.unique(ours, axis=0), np.unique(theirs, axis=0))


@pytest.mark.parametrize("at_most", [2, 10, 60, 100, 212])
@pytest.mark.parametrize("n_objectives", range(1, 13))
def test_directions_are_distinct_points_of_the_simplex_and_hold_its_corners(n_objectives, at_most):
    D = reference_directions(n_objectives, at_most)
    assert D.shape[1] == n_objectives
    assert 1 <= len(D) <= max(at_most, n_objectives)
    assert np.allclose(D.sum(axis=1), 1)
    assert (D >= 0).all()
    assert len(np.unique(D.round(9), axis=0)) == len(D)
    assert (D.max(axis=0) == 1).all()


@pytest.mark.parametrize(("n_objectives", "n"), [(1, 1), (2, 100), (3, 91), (4, 84), (5, 100), (8, 80), (12, 90)])
def test_as_many_directions_as_fit_a_population_of_100(n_objectives, n):
    assert len(reference_directions(n_objectives, 100)) == n


@pytest.mark.parametrize("n_objectives", [5, 8, 12])
def test_many_objectives_have_directions_inside_the_simplex(n_objectives):
    assert (reference_directions(n_objectives, 100) > 0).all(axis=1).any()
