"""The time that a run says is left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from toyrun import Space

from nat_core.archive import Archive, Evaluation
from nat_core.contracts import Rehearsal
from nat_core.forecast import Forecast, forecast
from nat_core.report import terminal
from nat_core.report.summary import Summary
from nat_core.search import Plan


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    return clock


def display():
    """Of a run of 200 seconds of training and 20 of measuring, as was expected."""
    return terminal.Display(Console(file=io.StringIO()), Space(), Forecast((100.0, 100.0), (10.0, 10.0)), 1)


@pytest.mark.parametrize("first", [0, 50, 90])
@pytest.mark.parametrize("pace", [0.5, 1.0, 3.0])
def test_a_training_that_goes_on_in_the_middle_says_nothing_of_the_pace_before(clock, first, pace):
    shown = display()
    for done in range(first, 101):
        shown.progress("adapt", done, 100)
        clock.now += pace
    clock.now -= pace
    for done in range(5):
        shown.progress("measure", done, 10)
        clock.now += pace
    clock.now -= pace
    assert shown.left(104.0) == pytest.approx(116 * pace)


def test_how_a_surrogate_came_about_is_one_dim_line_if_it_says():
    said = Summary(1, 5, None, {}, Archive(("a", "b")), {"a": "gp of rbf 0.91, gp 0.93", "b": "rbf, the only member"})
    (line,) = terminal.origins(said)
    assert line.plain == "surrogate of a: gp of rbf 0.91, gp 0.93; of b: rbf, the only member"
    assert line.style == "dim"
    assert terminal.origins(Summary(1, 5, None, {}, Archive(("a", "b")))) == []


def test_a_live_display_shows_it_under_the_facts():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    front = Archive(("a", "b"), (Evaluation((0, 0, 0, 0), (1.0, 2.0), 0, 0),))
    with terminal.Display(console, Space(), Forecast((), ()), 1) as shown:
        shown.show(Summary(1, 1, None, {}, front, {"a": "gp of rbf 0.91, gp 0.93"}))
        console.print(shown._render())
    assert "surrogate of a: gp of rbf 0.91, gp 0.93" in out.getvalue()


def test_measuring_is_expected_to_be_shared_by_those_who_measure():
    plan = Plan(iterations=1, initial=5, batch=2, pool=4, remeasure="none")
    trials = [Rehearsal((10.0, 20.0), 3.0)]
    assert forecast(plan, trials) == Forecast((10.0, 20.0), (15.0, 6.0))
    assert forecast(plan, trials, 2) == Forecast((10.0, 20.0), (9.0, 3.0))
