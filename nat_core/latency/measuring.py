"""Timing many networks so that the machine's moods fall on all of them alike.

A block of them is prepared at once, and measured in rounds: in each round every one that is not settled runs for a few
milliseconds, in a new order, and a reference network before and behind each. What the reference takes more or less
than it did at first is taken out (drift: frequency, temperature, and above all neighbours, who make this process up to
twice as slow, from one tenth of a second to the next, on any clock). A network is settled once the interval of the
median over its rounds is tight.
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
    rounds: int = 8  # at least
    most_rounds: int = 16  # a fit over many networks evens out what is left
    interval: float = 0.02  # half of the median's interval, as a share of the median
    block: int = 16  # networks prepared at once: they are in memory together


_SLOWEST = 0.2  # the share of a burst's runs that does not count: what is rare and slow is somebody else's doing
PLACES = 4  # in memory, of the references


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
    pace: float  # how slow the machine was meanwhile, which is taken out of both


@dataclass(frozen=True)
class Reference:
    """Networks that are measured again and again, and what they took at first.

    They are of several sizes, for what slows a small one down need not do so to a large one. Each preparation lies
    elsewhere in memory and is a percent or two faster or slower for good; all take turns.
    """

    turns: Iterator[tuple[Stopwatch, float]]  # without end: each with its own ms at first
    ms: tuple[float, ...]  # of each network
    effort: Effort  # as for what it stands beside: in shorter bursts, cold caches would weigh more

    def pace(self) -> float:
        """How slow the machine is now: 1 is as at first."""
        watch, ms = next(self.turns)
        return burst(watch, self.effort) / ms


def reference(
    engine: Engine, candidates: Sequence[Candidate], effort: Effort, ms: Sequence[float] | None = None
) -> Reference:
    """The reference with its own times: what is given, or what it takes now, in twice as many rounds as others."""
    of_place = np.arange(max(PLACES, len(candidates))) % len(candidates)
    watches = [engine.prepare(*candidates[i].make()) for i in of_place.tolist()]
    for watch in watches:
        warm_up(watch, effort)
    bursts = [[burst(watch, effort) for watch in watches] for _ in range(2 * effort.most_rounds)]
    now = np.log(np.median(bursts, axis=0))
    if ms is None:
        ms = [float(np.exp(now[of_place == i].mean())) for i in range(len(candidates))]
    slower = (now - np.log(ms)[of_place]).mean()
    return Reference(itertools.cycle(zip(watches, np.exp(now - slower).tolist(), strict=True)), tuple(ms), effort)


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
    paces: dict[str, list[float]] = {name: [] for name in watches}
    for i in range(effort.most_rounds):
        waiting = [n for n, values in rounds.items() if i < effort.rounds or not _settled(values, effort)]
        if not waiting:
            break
        before = beside.pace() if beside else 1.0
        for k in rng.permutation(len(waiting)):
            ms = burst(watches[waiting[k]], effort)
            behind = beside.pace() if beside else 1.0
            paces[waiting[k]].append(math.sqrt(before * behind))
            rounds[waiting[k]].append(ms / paces[waiting[k]][-1])
            before = behind
    return {
        n: Timing(float(np.median(values)), _half_interval(values), len(values), float(np.median(paces[n])))
        for n, values in rounds.items()
    }


def warm_up(watch: Stopwatch, effort: Effort) -> None:
    """Run until caches, buffers and lazily made kernels are as they will be."""
    start = time.perf_counter()
    watch(2)
    while time.perf_counter() - start < effort.burst:
        watch(2)


def burst(watch: Stopwatch, effort: Effort) -> float:
    """Milliseconds of one run: the mean over a few, of which the first, that bring back the caches, do not count.

    Nor do the slowest fifth. The mean of the others differs less from burst to burst than the median or the least.
    """
    once = max(min(watch(2)), 1e-7)
    runs = min(max(3, math.ceil(effort.burst / once)), 200)
    seconds = np.sort(watch(runs))
    return 1e3 * float(seconds[: math.ceil(len(seconds) * (1 - _SLOWEST))].mean())


def _settled(values: Sequence[float], effort: Effort) -> bool:
    return _half_interval(values) <= effort.interval * float(np.median(values))


def _half_interval(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a median: 1.57 IQR / √n (McGill, Tukey and Larsen, 1978)."""
    low, high = np.percentile(values, (25, 75))
    return float(1.57 * (high - low) / math.sqrt(len(values)))
