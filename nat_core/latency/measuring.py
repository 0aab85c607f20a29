"""Timing many networks so that the machine's moods fall on all of them alike.

A block of them is prepared at once, and measured in rounds: in each round every one that is not settled runs for a few
milliseconds, in a new order, and a reference network before and behind each. What the reference takes more or less
than it did at first is taken out (drift: frequency, temperature, and above all neighbours: what runs on the other half
of a core makes this half up to twice as slow, from one second to the next, on any clock). A network is settled once the
interval of the median over its rounds is tight.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nat_core.contracts import Engine, Stopwatch

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Effort:
    """How long, and how tight."""

    burst: float = 0.012  # seconds of one network in a round, at least
    rounds: int = 4  # at least
    most_rounds: int = 6  # a fit over many networks evens out what is left
    interval: float = 0.03  # half of the median's interval, as a share of the median
    block: int = 16  # networks prepared at once: they are in memory together


_BRIEF = Effort(burst=0.004)
PLACES = 4  # in memory, of the reference


@dataclass(frozen=True)
class Candidate:
    """Something to be timed, made when it is its turn."""

    name: str
    make: Callable[[], tuple[nn.Module, tuple[int, ...]]]  # a network in eval mode, and the shape of its input


@dataclass(frozen=True)
class Timing:
    """What it took."""

    ms: float  # the median over rounds
    spread: float  # ms: half of the median's interval
    rounds: int


@dataclass(frozen=True)
class Reference:
    """A network that is measured again and again, and what it took at first.

    It is prepared several times, for each lies elsewhere in memory and is some percent faster or slower for good; they
    take turns.
    """

    turns: Iterator[tuple[Stopwatch, float]]  # without end: each with its own ms at first
    ms: float  # their mean

    def pace(self) -> float:
        """How slow the machine is now: 1 is as at first."""
        watch, ms = next(self.turns)
        return burst(watch, _BRIEF) / ms


def reference(engine: Engine, candidate: Candidate, effort: Effort, ms: float | None = None) -> Reference:
    """The reference with its own time: what is given, or what it takes now, in five times as many rounds as others."""
    watches = [engine.prepare(*candidate.make()) for _ in range(PLACES)]
    for watch in watches:
        warm_up(watch, effort)
    bursts = [[burst(watch, _BRIEF) for watch in watches] for _ in range(5 * effort.most_rounds)]
    now = np.median(bursts, axis=0)
    mean = float(np.exp(np.log(now).mean()))
    ms = mean if ms is None else ms
    return Reference(itertools.cycle(zip(watches, (now * ms / mean).tolist(), strict=True)), ms)


def measure(
    engine: Engine,
    block: Sequence[Candidate],
    effort: Effort,
    rng: np.random.Generator,
    beside: Reference | None = None,
) -> dict[str, Timing]:
    """The times of a block, by name."""
    watches = {candidate.name: engine.prepare(*candidate.make()) for candidate in block}
    for watch in watches.values():
        warm_up(watch, effort)
    rounds: dict[str, list[float]] = {name: [] for name in watches}
    for i in range(effort.most_rounds):
        waiting = [n for n, values in rounds.items() if i < effort.rounds or not _settled(values, effort)]
        if not waiting:
            break
        before = beside.pace() if beside else 1.0
        for k in rng.permutation(len(waiting)):
            ms = burst(watches[waiting[k]], effort)
            behind = beside.pace() if beside else 1.0
            rounds[waiting[k]].append(ms / math.sqrt(before * behind))
            before = behind
    return {n: Timing(float(np.median(values)), _half_interval(values), len(values)) for n, values in rounds.items()}


def warm_up(watch: Stopwatch, effort: Effort) -> None:
    """Run until caches, buffers and lazily made kernels are as they will be."""
    start = time.perf_counter()
    watch(2)
    while time.perf_counter() - start < effort.burst:
        watch(2)


def burst(watch: Stopwatch, effort: Effort) -> float:
    """Milliseconds of one run: the median over a few, the first of which bring back the caches and do not count."""
    once = max(min(watch(2)), 1e-7)
    runs = min(max(3, math.ceil(effort.burst / once)), 200)
    return 1e3 * float(np.median(watch(runs)))


def _settled(values: Sequence[float], effort: Effort) -> bool:
    return _half_interval(values) <= effort.interval * float(np.median(values))


def _half_interval(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a median: 1.57 IQR / √n (McGill, Tukey and Larsen, 1978)."""
    low, high = np.percentile(values, (25, 75))
    return float(1.57 * (high - low) / math.sqrt(len(values)))
