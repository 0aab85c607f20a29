"""A signal that a library turns into an error, or drops, still ends the run, and nothing false is recorded."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from toyrun import Surrogate, Toy, sealed, truth

from nat_core.bench.contest import contest
from nat_core.bench.file import BenchFile
from nat_core.stopping import Stopped, noted, stop_if_asked, stoppable


def turned_into_an_error():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except BaseException:  # noqa: BLE001 - as a library written in C does it
        raise TypeError("cannot compare structured arrays") from None


def dropped():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except BaseException:  # noqa: BLE001 - as a callback does it, or a destructor
        return


class Interrupted(Surrogate):
    """The signal comes while it learns, the n-th time."""

    def __init__(self, signalled, at):
        self.signalled, self.left = signalled, at

    def fit(self, X, y):
        self.left -= 1
        if not self.left:
            self.signalled()
        return super().fit(X, y)


@pytest.mark.parametrize("signalled", [turned_into_an_error, dropped])
@pytest.mark.parametrize("at", [1, 2, 3, 5, 9])
def test_a_signal_that_an_estimator_swallows_is_no_failure_of_an_architecture(tmp_path, signalled, at):
    left = iter(range(at))
    toy = Toy(fault=lambda _: signalled() if next(left, -1) == at - 1 else None)
    _stopped_and_gone_on(toy, Toy(), tmp_path)


@pytest.mark.parametrize("signalled", [turned_into_an_error, dropped])
@pytest.mark.parametrize("at", [1, 2])
def test_a_signal_that_a_surrogate_swallows_changes_no_proposal(tmp_path, signalled, at):
    _stopped_and_gone_on(Toy(surrogate=Interrupted(signalled, at)), Toy(), tmp_path)


def _stopped_and_gone_on(toy, sound, folder):
    (folder / "stopped").mkdir()
    (folder / "undisturbed").mkdir()
    with pytest.raises(Stopped) as stop, stoppable(), noted(lambda: "Go on."):
        toy.run(folder / "stopped")
    assert stop.value.exit_code == 143
    assert stop.value.note == "Go on."
    kept, whole = truth(folder / "stopped"), sound.run(folder / "undisturbed")
    assert kept == truth(folder / "undisturbed")[: len(kept)]
    assert np.array_equal(sound.run(folder / "stopped").F, whole.F)
    assert sealed(truth(folder / "stopped")) == sealed(truth(folder / "undisturbed"))


def test_a_search_of_a_bench_that_swallows_a_signal_has_not_failed(monkeypatch):
    cells = [SimpleNamespace(key="one"), SimpleNamespace(key="two")]

    def play(_cell):
        turned_into_an_error()

    monkeypatch.setattr("nat_core.bench.contest.play", play)
    with pytest.raises(Stopped), stoppable():
        list(contest(cells, BenchFile(None), 1))


def test_whatever_ends_a_command_after_a_signal_it_was_the_signal():
    with pytest.raises(Stopped) as stop, stoppable(), noted(lambda: "How to go on."):
        turned_into_an_error()
    assert str(stop.value) == "Stopped by SIGTERM. How to go on."
    with pytest.raises(Stopped, match="Stopped by SIGTERM"), stoppable():
        dropped()


def test_without_a_signal_nothing_is_changed():
    before = signal.getsignal(signal.SIGTERM)
    stop_if_asked()
    with pytest.raises(ZeroDivisionError), stoppable(), noted(lambda: "no"):
        _ = 1 / 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_of_an_earlier_command_is_forgotten():
    with pytest.raises(Stopped), stoppable():
        os.kill(os.getpid(), signal.SIGINT)
    with stoppable():
        stop_if_asked()
