"""How long one run takes, on a machine that others use too.

With one thread on a processor, the process's own clock counts what the run took and leaves out what others took while
it waited for the processor: on a busy machine its median stays within a few percent where that of the wall clock
doubles. Elsewhere the wall clock counts, and runs in which the system took the processor away are left out.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from nat_core.contracts import Stopwatch


def processor_clock(run: Callable[[], object]) -> Stopwatch:
    """Seconds of processor time of this process; for runs that use one thread."""

    def timed(n: int) -> list[float]:
        seconds = []
        for _ in range(n):
            start = time.process_time_ns()
            run()
            seconds.append((time.process_time_ns() - start) * 1e-9)
        return seconds

    return timed


def wall_clock(run: Callable[[], object]) -> Stopwatch:
    """Seconds of those runs that nobody interrupted; of all where each was."""

    def timed(n: int) -> list[float]:
        seconds, undisturbed = [], []
        for _ in range(n):
            before, start = _taken_away(), time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
            if _taken_away() == before:
                undisturbed.append(seconds[-1])
        return undisturbed or seconds

    return timed


def _taken_away() -> int:
    """How often the system has taken the processor away from this process; 0 where it does not say."""
    with contextlib.suppress(ImportError):  # there is none on Windows
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    return 0
