"""One worker, as the run sees it: a process with pipes of its own, and what is known of it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any

from nat_core.contracts import Task
from nat_core.working import plain_task

_BEGINNING = 600.0  # seconds at least that a worker has to load what the run measures on
_NOTHING = "processes"  # what a worker fails at that has not been asked for an objective yet
_WORDS = 300  # characters of what a worker said last


class Member:
    """A worker that shares the cores with others, and has so many seconds for an architecture."""

    def __init__(self, recipe: Mapping[str, Any], sharing: int, limit: float) -> None:
        self._limit, self._rest = limit, b""
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        threads = str(max(cores() // sharing, 1))
        path = os.pathsep.join(sys.path)
        self.process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
            [sys.executable, "-P", "-m", "nat_executors.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env={"OMP_NUM_THREADS": threads, **os.environ, "PYTHONPATH": path},
            process_group=0,  # Ctrl-C is for the run, which ends its workers itself
        )
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        self.pipe = self.process.stdout.fileno()
        os.set_blocking(self.pipe, False)
        self.ready = self._closed = False
        self.number: int | None = None  # of the task that it has
        self.asked = _NOTHING  # the objective that it measures now
        self.deadline = time.monotonic() + max(self._limit, _BEGINNING)
        self._send(recipe)

    def give(self, number: int, task: Task) -> None:
        """Have it do a task."""
        self.number, self.deadline, self.asked = number, time.monotonic() + self._limit, _NOTHING
        self._send({"number": number, "task": plain_task(task)})

    def rest(self) -> None:
        """Have it wait for a task, for as long as it may take."""
        self.ready, self.number, self.deadline = True, None, math.inf

    def _send(self, line: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):  # it is dead, as will be seen
            self.process.stdin.write(json.dumps(line).encode() + b"\n")
            self.process.stdin.flush()

    def said(self) -> Iterator[Mapping[str, Any]]:
        """The whole lines that have come since."""
        with contextlib.suppress(BlockingIOError):
            while found := os.read(self.pipe, 65536):
                self._rest += found
            self._closed = True
        *lines, self._rest = self._rest.split(b"\n")
        yield from map(json.loads, lines)

    def gone(self) -> bool:
        """Whether it has ended, as far as has been seen."""
        return self._closed or self.process.poll() is not None

    def end(self) -> str:
        """Kill it, with all that it has started; the last that it printed."""
        if self.process.returncode is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None  # noqa: S101 - it is a pipe
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        with self._words as words:
            words.seek(max(words.seek(0, os.SEEK_END) - _WORDS, 0))
            lines = words.read().decode(errors="replace").split("\n")
        return " ".join(next(filter(str.strip, reversed(lines)), "").split())


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ended(code: int) -> str:
    """How a process ended, by its exit code."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
