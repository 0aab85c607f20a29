"""Timing on a machine whose pace changes."""

import time

import numpy as np
import pytest

from nat_core.latency.clocks import processor_clock, wall_clock
from nat_core.latency.measuring import Candidate, Effort, Reference, burst, measure, reference

EFFORT = Effort(burst=1e-4, rounds=5, most_rounds=15, interval=0.02)


class Machine:
    """An engine whose networks are numbers of seconds, on a machine that becomes slower with every burst."""

    def __init__(self, slowing=1.0, noise=0.0):
        self.pace, self.slowing, self.noise, self.log = 1.0, slowing, noise, []
        self.rng = np.random.default_rng(0)

    def prepare(self, network, shape):
        assert shape == (1, 3, 8, 8)

        def watch(n):
            self.pace *= self.slowing
            self.log.append(network)
            return [network * self.pace * (1 + self.noise * self.rng.standard_normal()) for _ in range(n)]

        return watch


def candidates(*seconds):
    return [Candidate(f"{s:g}", lambda s=s: (s, (1, 3, 8, 8))) for s in seconds]


def test_a_machine_that_slows_down_is_taken_out():
    machine = Machine(slowing=1.002)
    beside = reference(machine, candidates(0.002, 0.005), EFFORT, ms=[2.0, 5.0])
    found = measure(machine, candidates(0.001, 0.003, 0.01), EFFORT, np.random.default_rng(0), beside)
    assert machine.pace > 1.1
    assert {name: round(t.ms, 1) for name, t in found.items()} == {"0.001": 1.0, "0.003": 3.0, "0.01": 10.0}
    assert beside.pace() == pytest.approx(machine.pace, rel=0.01)


def test_without_a_reference_it_is_not():
    found = measure(Machine(slowing=1.002), candidates(0.001), EFFORT, np.random.default_rng(0))
    assert found["0.001"].ms > 1.01


def test_what_is_tight_is_done_and_what_is_not_goes_on():
    calm = measure(Machine(), candidates(0.001), EFFORT, np.random.default_rng(0))
    assert calm["0.001"].rounds == EFFORT.rounds
    assert calm["0.001"].spread == 0
    wild = measure(Machine(noise=0.3), candidates(0.001), EFFORT, np.random.default_rng(0))
    assert wild["0.001"].rounds == EFFORT.most_rounds
    assert wild["0.001"].spread > 0


def test_networks_take_turns_in_changing_order():
    machine = Machine()
    measure(machine, candidates(0.001, 0.002, 0.003), EFFORT, np.random.default_rng(0))
    bursts = [s for s, before in zip(machine.log[1:], machine.log, strict=False) if s != before]
    rounds = [tuple(bursts[i : i + 3]) for i in range(3, 15, 3)]
    assert len(set(rounds)) > 1


def test_the_clocks():
    def busy():
        end = time.process_time() + 0.002
        while time.process_time() < end:
            pass

    assert min(processor_clock(busy)(3)) == pytest.approx(0.002, rel=0.2)
    assert len(processor_clock(busy)(3)) == 3
    assert max(processor_clock(lambda: time.sleep(0.01))(2)) < 0.005
    assert min(wall_clock(lambda: time.sleep(0.01))(2)) >= 0.01


def test_runs_that_were_interrupted_do_not_count(monkeypatch):
    from nat_core.latency import clocks

    counts = iter([0, 1, 1, 1, 1, 2])
    monkeypatch.setattr(clocks, "_taken_away", lambda: next(counts))
    assert len(wall_clock(lambda: None)(3)) == 1
    monkeypatch.setattr(clocks, "_taken_away", lambda: next(iter([object()])))
    assert len(wall_clock(lambda: None)(3)) == 3


def test_a_reference_finds_its_own_times():
    found = reference(Machine(noise=0.01), candidates(0.004, 0.001), EFFORT)
    assert isinstance(found, Reference)
    assert found.ms == pytest.approx((4, 1), rel=0.02)
    assert [found.pace() for _ in range(8)] == pytest.approx([1.0] * 8, rel=0.05)


def test_a_reference_knows_how_much_slower_the_machine_is():
    """What it took at first is given; today all of it takes half as long again."""
    found = reference(Machine(), candidates(0.006, 0.0015), EFFORT, ms=[4.0, 1.0])
    assert found.ms == (4.0, 1.0)
    assert [found.pace() for _ in range(8)] == pytest.approx([1.5] * 8)


def test_a_reference_that_happens_to_lie_badly_is_one_of_several():
    """Four preparations, of which one is half as fast: none of their bursts says that the machine has changed."""

    class Uneven(Machine):
        prepared = 0

        def prepare(self, network, shape):
            self.prepared += 1
            return super().prepare(network * (2 if self.prepared == 1 else 1), shape)

    found = reference(Uneven(), candidates(0.004), EFFORT)
    assert found.ms == pytest.approx((4 * 2**0.25,))
    assert [found.pace() for _ in range(8)] == pytest.approx([1.0] * 8)


def test_a_run_that_was_held_up_does_not_count():
    seconds = iter([0.01, 0.01, *[0.002] * 9, 0.05])
    assert burst(lambda n: [next(seconds) for _ in range(n)], Effort(burst=0.1)) == pytest.approx(2)
