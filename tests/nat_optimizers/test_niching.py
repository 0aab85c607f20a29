"""NSGA-III against pymoo's, and against the paper's algorithms written step by step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nat_core.pareto import ranks
from nat_optimizers.directions import reference_directions
from nat_optimizers.niching import Hyperplane, ReferenceDirections, associate, extreme_points, intercepts, niching


def drifting(n_objectives, generations=8, n=80, seed=0):
    """Objectives of generations that come closer to a sphere, as those of a search do."""
    rng = np.random.default_rng(seed)
    for far in np.geomspace(1.0, 0.01, generations):
        F = np.abs(rng.normal(size=(n, n_objectives))) + 1e-3
        yield 0.3 + F / np.linalg.norm(F, axis=1, keepdims=True) * (1 + far * rng.random((n, 1)))


@pytest.mark.parametrize("n_objectives", [2, 3, 5, 12])
def test_ideal_and_nadir_are_those_of_pymoo(n_objectives):
    from pymoo.algorithms.moo.nsga3 import HyperplaneNormalization

    ours, theirs = Hyperplane(n_objectives), HyperplaneNormalization(n_objectives)
    for F in drifting(n_objectives):
        front = ranks(F) == 0
        ours.update(F, front)
        theirs.update(F, np.flatnonzero(front))
        np.testing.assert_allclose(ours.ideal, theirs.ideal_point, rtol=1e-12)
        np.testing.assert_allclose(ours.nadir, theirs.nadir_point, rtol=1e-9)
        np.testing.assert_allclose(ours.extremes, theirs.extreme_points, rtol=1e-12)


@pytest.mark.parametrize("n_objectives", [2, 3, 5])
def test_the_same_fronts_and_as_many_rows_of_each_niche_live_on_as_in_pymoo(n_objectives):
    from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem

    directions = reference_directions(n_objectives, 40)
    ours, theirs = ReferenceDirections(directions, niches_compete=True), ReferenceDirectionSurvival(directions)
    problem, rng = Problem(n_var=1, n_obj=n_objectives), np.random.default_rng(0)
    for F in drifting(n_objectives):
        population = Population.new("X", np.arange(len(F))[:, None], "F", F)
        alive = theirs.do(problem, population, n_survive=40, random_state=rng)
        survivors, rank = ours(F, 40, rng), ranks(F)
        kept = alive.get("X")[:, 0].astype(int)
        assert Counter(rank[survivors.rows]) == Counter(rank[kept])
        whole = np.flatnonzero(rank < rank[kept].max())
        assert set(whole) <= set(survivors.rows) & set(kept)
        # Which of several niches with as few rows is served is chance; how many niches have how many rows is not.
        niches = Counter(survivors.niche.tolist()), Counter(alive.get("niche").tolist())
        assert Counter(niches[0].values()) == Counter(niches[1].values())


def one_by_one(niche, distance, count, n, rng):
    """Algorithm 4 of the paper, as it is written there."""
    count, left, taken = count.copy(), list(range(len(niche))), []
    while len(taken) < n:
        open_niches = sorted({int(niche[i]) for i in left})
        fewest = min(count[j] for j in open_niches)
        j = rng.choice([j for j in open_niches if count[j] == fewest])
        members = [i for i in left if niche[i] == j]
        row = min(members, key=lambda i: distance[i]) if count[j] == 0 else rng.choice(members)
        taken.append(int(row))
        left.remove(row)
        count[j] += 1
    return taken


@pytest.mark.parametrize("n", [1, 3, 5, 8, 11])
def test_niching_takes_each_row_as_often_as_the_algorithm_step_by_step(n):
    rng = np.random.default_rng(0)
    niche = np.array([0, 0, 0, 1, 1, 3, 3, 3, 3, 4, 5])
    distance = np.array([0.3, 0.1, 0.2, 0.5, 0.4, 0.1, 0.2, 0.3, 0.4, 0.9, 0.0])
    count = np.array([0, 0, 7, 1, 2, 1])
    times = 3000
    ours, twins = np.zeros(len(niche)), np.zeros(len(niche))
    for _ in range(times):
        rows = niching(niche, distance, count, n, rng)
        assert len(set(rows.tolist())) == n
        ours[rows] += 1
        twins[one_by_one(niche, distance, count, n, rng)] += 1
    np.testing.assert_allclose(ours / times, twins / times, atol=0.05)  # four deviations of the difference


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 7, 12])
def test_the_niche_is_the_closest_of_all_lines(n_objectives):
    directions = reference_directions(n_objectives, 60)
    F = np.random.default_rng(0).random((50, n_objectives))
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    lines = (F @ unit.T)[:, :, None] * unit
    distances = np.linalg.norm(F[:, None] - lines, axis=2)
    niche, distance = associate(F, directions)
    assert (niche == distances.argmin(axis=1)).all()
    np.testing.assert_allclose(distance, distances.min(axis=1), atol=1e-12)


def test_extreme_points_lie_along_the_axes_and_their_plane_cuts_these():
    F = np.vstack([np.random.default_rng(0).random((20, 3)) + 0.5, 2.0 * np.eye(3)[::-1]])
    extremes = extreme_points(F, np.zeros(3))
    assert extremes.tolist() == (2.0 * np.eye(3)).tolist()
    assert intercepts(extremes).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "extremes",
    [np.zeros((2, 2)), np.ones((3, 3)), np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 2.0], [0.0, 1.0]])],
)
def test_a_plane_that_makes_no_sense_has_no_intercepts(extremes):
    assert intercepts(extremes) is None


@pytest.mark.parametrize("F", [np.zeros((6, 3)), np.ones((6, 4)) * [0, 1, 2, 3], np.arange(6.0)[:, None]])
def test_degenerate_objectives_are_normalised_without_a_warning(F):
    survivors = ReferenceDirections(reference_directions(F.shape[1], 4), niches_compete=True)(
        F, 4, np.random.default_rng(0)
    )
    assert len(set(survivors.rows.tolist())) == 4
    assert all(np.isfinite(key).all() for key in survivors.keys)
    if F.shape[1] == 1:
        assert sorted(survivors.rows) == [0, 1, 2, 3]


@pytest.mark.parametrize("most", [np.inf, 25])
@pytest.mark.parametrize("n_objectives", [2, 3, 5])
def test_a_whole_search_finds_as_much_hypervolume_as_pymoos(n_objectives, most, toy):
    """The mean of five seeds, within three standard errors of the difference and a hundredth."""
    import nat_optimizers
    from nat_core.archive import Archive
    from nat_core.pareto import hypervolume

    problem = toy(n_objectives, "large", most=most)
    X = problem.space.sample(2000, np.random.default_rng(0))
    reference = problem.F(X).max(axis=0)

    def volume(optimizer, seed):
        problem.asked.clear()
        optimizer.propose(problem, Archive(problem.names), 1, np.random.default_rng(seed))
        visited = np.concatenate(problem.asked)
        feasible = problem.cost_violation(visited) <= 0
        return hypervolume(problem.F(visited[feasible]), reference)

    ours = [volume(nat_optimizers.nsga3(problem.space, 40, 30), seed) for seed in range(5)]
    theirs = [volume(PymooNsga3(problem.space, 40, 30), seed) for seed in range(5)]
    error = np.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / 5)
    assert np.mean(ours) > np.mean(theirs) * 0.99 - 3 * error


class PymooNsga3:
    """NSGA-III with the same operators by pymoo."""

    def __init__(self, space, population, generations):
        self.space, self.population, self.generations = space, population, generations

    def propose(self, problem, _archive, _n, rng):
        import warnings

        from pymoo.algorithms.moo.nsga3 import NSGA3
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination
        from pymoo.operators.crossover.ux import UX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.selection.rnd import RandomSelection

        from nat_core.encoding import sizes

        last = sizes(self.space.variables) - 1
        directions = reference_directions(len(problem.names), self.population)

        def repair(_problem, population, **_):
            X = np.clip(np.rint(population.get("X")), 0, last).astype(np.int64)
            population.set("X", self.space.canonicalize(X))
            return population

        algorithm = NSGA3(
            directions,
            pop_size=self.population,
            sampling=self.space.sample(self.population, rng),
            selection=RandomSelection(),
            crossover=UX(prob=0.9),
            mutation=PM(prob=1.0, eta=1.0),
            repair=repair,
        )
        bounds = Problem(
            n_var=len(last), n_obj=len(problem.names), n_ieq_constr=1, xl=np.full(len(last), -0.5), xu=last + 0.5
        )
        algorithm.setup(bounds, termination=NoTermination(), seed=rng)
        for _ in range(self.generations):
            asked = algorithm.ask()
            X = asked.get("X").astype(np.int64)
            F = problem.F(X)
            asked.set("F", F, "G", problem.violation(X, F)[:, None])
            with warnings.catch_warnings():
                algorithm.tell(infills=asked)
