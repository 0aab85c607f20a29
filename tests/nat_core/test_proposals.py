from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from nat_core.archive import Archive, Evaluation
from nat_core.encoding import Variable, as_architectures, random_encodings
from nat_core.proposals import Visited, best, fill, gather, order, propose, sample, start, visit

NOTHING = np.empty((0, 2))


@dataclass(frozen=True)
class PairSpace:
    """Two variables of ten choices; rows above 7 in the first one mean what 7 means. 80 networks."""

    variables = (Variable("a", tuple(range(10))), Variable("b", tuple(range(10))))
    sampled: int = 10  # samples stay below

    def canonicalize(self, X):
        return np.minimum(X, [7, 9])

    def sample(self, n, rng):
        return self.canonicalize(np.minimum(random_encodings(self.variables, n, rng), self.sampled - 1))


@dataclass(frozen=True)
class PairProblem:
    """Small `a` or small `b`: with a + b = 9 non-dominated if nothing better is feasible."""

    space: PairSpace = PairSpace()
    names: tuple[str, ...] = ("a", "b")

    def F(self, X):
        assert len(X)
        return X.astype(float)

    def violation(self, X, _F):
        return np.maximum(9.0 - X.sum(axis=1), 0)


def archive_of(X, problem=None):
    problem = problem or PairProblem()
    F = problem.F(X)
    rows = zip(as_architectures(X), F.tolist(), problem.violation(X, F).tolist(), strict=True)
    return Archive(problem.names, tuple(Evaluation(a, tuple(f), 0, 0, v) for a, f, v in rows))


EMPTY = Archive(("a", "b"))
ALL = np.array([(a, b) for a in range(8) for b in range(10)])
RNG = np.random.default_rng


def test_best_is_what_ranks_and_violations_say_in_full():
    X = RNG(0).permutation(ALL)
    chosen = best(PairProblem(), X, 80)
    assert sorted(as_architectures(chosen)) == as_architectures(ALL)
    total = chosen.sum(axis=1)
    feasible = total >= 9
    assert (feasible == np.sort(feasible)[::-1]).all()
    assert (np.diff(total[feasible]) >= 0).all()  # the fronts of this problem are its diagonals
    assert (np.diff(total[~feasible]) <= 0).all()  # the least violation first


@pytest.mark.parametrize("n", [0, 1, 5, 30])
def test_fewer_rows_are_as_good_as_the_first_of_more(n):
    X = RNG(0).permutation(ALL)
    assert sorted(best(PairProblem(), X, n).sum(axis=1)) == sorted(best(PairProblem(), X, 80)[:n].sum(axis=1))


def test_rows_along_a_front_are_spread():
    chosen = best(PairProblem(), np.array([(a, 9 - a) for a in range(8)]), 3)
    assert set(as_architectures(chosen[:2])) == {(0, 9), (7, 2)}
    assert 2 <= chosen[2, 0] <= 5


def test_what_is_there_already_pushes_away_and_dominates():
    F = np.array([(1.0, 1), (4, 4), (0, 9), (9, 0)])
    visited = Visited(F.astype(int), F, np.zeros(4))
    assert order(visited, 4, among=NOTHING)[-1] == 1
    assert order(visited, 4, among=np.array([(0.0, 8)])).tolist()[:2] == [3, 0]
    assert order(visited, 1, among=np.array([(9.0, 0), (0, 9)])).tolist() == [0]


def test_gather_keeps_every_row_once_in_order():
    problem = PairProblem()
    X = np.array([(3, 3), (1, 2), (3, 3), (0, 0)])
    both = gather([visit(problem, X[:2]), visit(problem, X[2:])])
    assert both.X.tolist() == [[3, 3], [1, 2], [0, 0]]
    assert (both.F == both.X).all()
    assert both.violation.tolist() == [3, 6, 9]


def test_start_takes_all_of_a_small_archive_and_tops_it_up():
    X = start(PairProblem(), archive_of(ALL[:5]), 20, RNG(0))
    assert X[:5].tolist() == ALL[:5].tolist()
    assert len(set(as_architectures(X))) == 20


def test_start_takes_the_best_of_a_large_archive():
    X = start(PairProblem(), archive_of(ALL), 8, RNG(0))
    assert set(X.sum(axis=1)) == {9}


def test_start_leaves_out_what_could_not_be_measured():
    failed = tuple(Evaluation(a, None, 0, 0, failure="too large") for a in as_architectures(ALL[:40]))
    X = start(PairProblem(), Archive(("a", "b"), failed).extend(archive_of(ALL[40:])), 40, RNG(0))
    assert X.tolist() == ALL[40:].tolist()


def test_start_gives_all_of_a_tiny_space_without_a_word(caplog):
    assert len(start(PairProblem(), EMPTY, 100, RNG(0))) == 80
    assert not caplog.text


def test_propose_orders_what_it_fills_in():
    problem = PairProblem()
    X = propose(problem, visit(problem, ALL[:3]), archive_of(ALL[:2]), 78, RNG(0))
    assert set(as_architectures(X)) == set(as_architectures(ALL[2:]))
    feasible = X.sum(axis=1) >= 9
    assert (feasible == np.sort(feasible)[::-1]).all()


def test_propose_prefers_what_the_archive_does_not_dominate():
    problem = PairProblem()
    archive = archive_of(np.array([(a, 9 - a) for a in range(1, 8)]))
    X = propose(problem, visit(problem, ALL), archive, 2, RNG(0))
    assert X[0].tolist() == [0, 9]


def test_an_infeasible_archive_dominates_nothing():
    problem = PairProblem()
    X = propose(problem, visit(problem, ALL), archive_of(np.array([(0, 0)])), 8, RNG(0))
    assert set(X.sum(axis=1)) == {9}


def test_fill_keeps_the_order_and_drops_the_known_and_the_double(caplog):
    X = np.array([(9, 1), (8, 1), (0, 0), (2, 2), (5, 5)])
    filled = fill(PairSpace(), X, archive_of(np.array([(0, 0)])), 3, RNG(0))
    assert filled.tolist() == [[7, 1], [2, 2], [5, 5]]
    assert not caplog.text


def test_fill_reaches_rows_that_the_space_does_not_sample():
    filled = fill(PairSpace(sampled=2), ALL[:0], EMPTY, 80, RNG(0))
    assert sorted(as_architectures(filled)) == as_architectures(ALL)


def test_fill_says_when_a_space_is_exhausted(caplog):
    assert fill(PairSpace(), ALL[:0], archive_of(ALL[3:]), 10, RNG(0)).shape == (3, 2)
    assert "only 3 of 10" in caplog.text


def test_sample_is_new_and_distinct():
    X = sample(PairSpace(), archive_of(ALL[:60]), 15, RNG(0))
    assert len(set(as_architectures(X)) - set(as_architectures(ALL[:60]))) == 15
