"""What a search hopes of rows: beside doing it by hand, and where a plugin that says it is unsure goes wrong."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import pytest
from toyrun import Space

from nat_core import search
from nat_core.archive import Archive, Evaluation
from nat_core.hopes import Hopes, at_best, guarded
from nat_core.pareto import most_added
from nat_core.problem import Problem
from nat_core.proposals import Visited, visit
from nat_core.search import choose


@dataclass(frozen=True)
class Line:
    """Predicts 4 − x, equally unsure of every row; rows with the same first variable are as good as one."""

    rows: np.ndarray | None = None
    wide: tuple[float, ...] = ()

    def __call__(self, X):
        return 4.0 - X[:, 0]

    def at_best(self, *given):
        *X, deviations = given
        wide = np.ones(len(X[0])) if X else np.array(self.wide)
        return self(X[0] if X else self.rows) - deviations * wide

    def believe(self, X):
        return Line(X, (1.0,) * len(X))

    def knowing(self, row):
        alike = self.rows[:, 0] == self.rows[row, 0]
        return replace(self, wide=tuple(np.where(alike, 0.0, self.wide)))


def predicted(function):
    costs = {"cost": lambda X: X[:, 0] + 0.5 * X[:, 1]}
    problem = Problem(Space(), ("error", "cost"), {"error": None}, costs)
    return problem.predict({"error": guarded("error", function, np.array([9.0]))})


ENDS = Archive(
    ("error", "cost"),
    (Evaluation((0, 0, 0, 0), (4.0, 0.0), 0, 0), Evaluation((4, 0, 0, 0), (0.0, 4.0), 0, 0)),
)
POOL = np.array([(2, 0, 0, 0), (2, 0, 0, 1), (2, 0, 1, 0), (1, 0, 0, 0), (3, 0, 0, 0)])


def test_a_batch_asks_about_different_things():
    """Three of the rows are one and the same in what is unsure: one of them is enough."""
    hoped = choose(predicted(Line()), POOL, ENDS, 3, optimism=1.0)
    assert sorted(hoped.X[:, 0].tolist()) == [1, 2, 3]
    assert hoped.F[:, 0].tolist() == (4.0 - hoped.X[:, 0]).tolist()  # what is recorded is what was expected


def test_by_hand():
    """Every step: the one that adds most at its best, which then enters the front at its best."""
    hopes = Hopes.of(predicted(Line()), _visited(), 1.0)
    front, left, taken = ENDS.F, list(range(5)), []
    belief = Line().believe(POOL)
    for _ in range(3):
        F = np.column_stack([belief.at_best(1.0), POOL[:, 0] + 0.5 * POOL[:, 1]])
        gains = [_volume(np.vstack([front, F[i]])) - _volume(front) for i in left]
        best = left[int(np.argmax(gains))]
        taken.append(best)
        left.remove(best)
        front, belief = np.vstack([front, F[best]]), belief.knowing(best)
    assert hopes.most_added(3, ENDS.F).tolist() == taken


def _visited():
    return visit(predicted(Line()), POOL)


def _volume(F):
    """Up to 4.4 in both, by counting small squares."""
    grid = (np.arange(220) + 0.5) / 50
    x, y = np.meshgrid(grid, grid)
    return sum(((F[:, :1, None] <= x) & (F[:, 1:, None] <= y)).any(axis=0).ravel()) / 2500


@pytest.mark.parametrize("seed", range(8))
def test_where_all_is_sure_rows_are_chosen_as_ever(seed):
    """The reference point is the measured front's, also where a hoped-for row lies beyond its ends."""

    @dataclass(frozen=True)
    class Sure(Line):
        values: tuple[float, ...] = ()

        def __call__(self, X):
            return np.array(self.values)[: len(X)]

        def at_best(self, *_):
            return np.array(self.values)

        def believe(self, _):
            return self

        def knowing(self, _):
            return self

    F = np.random.default_rng(seed).normal(1.0, 1.0, (40, 2))
    front = np.array([(0.2, 1.5), (0.8, 0.9), (1.5, 0.2)])
    X = np.zeros((40, 4), dtype=int)
    hopes = Hopes(Visited(X, F, np.zeros(40)), {0: Sure(values=tuple(F[:, 0]))}, 1.0)
    assert hopes.most_added(5, front).tolist() == most_added(F, 5, front).tolist()


def test_without_optimism_nothing_is_asked_but_predictions():
    class Asked(Line):
        def believe(self, *_):
            raise AssertionError("nobody wants to know")

        at_best = believe

    plain = choose(predicted(Asked()), POOL, ENDS, 3, optimism=0.0)
    assert plain.X.tolist() == choose(predicted(lambda X: 4.0 - X[:, 0]), POOL, ENDS, 3, optimism=1.0).X.tolist()
    functions = {"error": Asked(), "cost": lambda X: X[:, 0]}
    assert at_best(functions, 0.0) == functions


def test_the_optimizer_is_shown_the_best_that_may_be():
    shown = at_best({"error": Line(), "cost": Line()(POOL).tolist}, 2.0)
    assert shown["error"](POOL).tolist() == (2.0 - POOL[:, 0]).tolist()


@pytest.mark.parametrize("fault", ["nan", "raises", "shape"])
def test_hopes_that_are_no_numbers_are_predictions(fault, caplog):
    class Broken(Line):
        def at_best(self, X, _):
            if fault == "raises":
                raise RuntimeError("out of hope")
            return np.full(len(X) + (fault == "shape"), np.nan)

    function = guarded("error", Broken(), np.array([9.0]))
    with caplog.at_level(logging.WARNING):
        assert at_best({"error": function}, 1.0)["error"](POOL).tolist() == (4.0 - POOL[:, 0]).tolist()
    assert not caplog.records


def test_a_belief_that_cannot_be_had_is_said_and_predictions_stand_in(caplog):
    class Broken(Line):
        def believe(self, _):
            raise RuntimeError("out of faith")

    with caplog.at_level(logging.WARNING):
        chosen = choose(predicted(Broken()), POOL, ENDS, 3, optimism=1.0)
    assert chosen.X.tolist() == choose(predicted(lambda X: 4.0 - X[:, 0]), POOL, ENDS, 3).X.tolist()
    assert "how far predictions of error are unsure is not known: RuntimeError: out of faith" in caplog.text


@pytest.mark.parametrize("fault", ["at_best", "knowing", "shape"])
def test_a_belief_that_breaks_is_said_and_predictions_stand_in(fault, caplog):
    class Broken(Line):
        def at_best(self, *given):
            if len(given) == 1 and fault == "at_best":
                raise RuntimeError("out of faith")
            return super().at_best(*given)[: 2 if len(given) == 1 and fault == "shape" else None]

        def believe(self, X):
            return Broken(X, (1.0,) * len(X))

        def knowing(self, row):
            if fault == "knowing":
                raise RuntimeError("out of faith")
            return super().knowing(row)

    with caplog.at_level(logging.WARNING):
        chosen = choose(predicted(Broken()), POOL, ENDS, 3, optimism=1.0)
    assert len(chosen) == 3
    if fault != "knowing":
        assert chosen.X.tolist() == choose(predicted(lambda X: 4.0 - X[:, 0]), POOL, ENDS, 3).X.tolist()
    assert "how far predictions of error are unsure is not known" in caplog.text


def test_a_batch_of_a_huge_pool_is_chosen_from_its_beginning(monkeypatch):
    monkeypatch.setattr(search, "_TOGETHER", 2)
    assert choose(predicted(Line()), POOL, ENDS, 1, optimism=1.0).X[0].tolist() in POOL[:2].tolist()


def test_a_belief_that_is_no_number_is_as_predicted():
    class Broken(Line):
        def believe(self, X):
            return replace(super().believe(X), wide=(np.inf,) * len(X))

    chosen = choose(predicted(Broken()), POOL, ENDS, 2, optimism=1.0)
    assert np.isfinite(chosen.F).all()
    assert len(chosen) == 2
