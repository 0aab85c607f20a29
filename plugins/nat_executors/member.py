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
from nat_core.machine import cores
from nat_core.working import plain_task

_BEGINNING = 600.0  # seconds at least that a worker has to load what the run measures on
_DYING = 5.0  # seconds that a killed process may take to go: one that waits for a device takes its time
_WORDS = 300  # characters of what a worker said last


class Member:
    """A worker that shares the cores with others, and has so many seconds for an architecture.

    Raises `OSError` where the system starts no further process.
    """

    def __init__(self, recipe: Mapping[str, Any], sharing: int, limit: float) -> None:
        self._limit, self._rest = limit, b""
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        threads = str(max(cores() // sharing, 1))
        path = os.pathsep.join(sys.path)
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                [sys.executable, "-P", "-m", "nat_executors.worker", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                env={"OMP_NUM_THREADS": threads, **os.environ, "PYTHONPATH": path},
                process_group=0,  # Ctrl-C is for the run, which ends its workers itself
            )
        except OSError:
            self._words.close()
            raise
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        self.pipe = self.process.stdout.fileno()
        os.set_blocking(self.pipe, False)
        self.ready = self._closed = False
        self.proven = False  # whether it has ever measured
        self.number: int | None = None  # of the task that it has
        self.asked: str | None = None  # the objective of its task that it measures now
        self.deadline = time.monotonic() + max(self._limit, _BEGINNING)
        self._send(recipe)

    def give(self, number: int, task: Task) -> None:
        """Have it do a task."""
        self.number, self.deadline, self.asked = number, time.monotonic() + self._limit, None
        self._send({"number": number, "task": plain_task(task)})

    def rest(self) -> None:
        """Have it wait for a task, for as long as it may take; what was printed until now is of no more use."""
        self.ready, self.number, self.deadline = True, None, math.inf
        self._words.seek(0)
        self._words.truncate()

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
        """Whether it has ended. Until `end`, its number stays its own."""
        return self._closed or _dead(self.process)

    def end(self) -> str:
        """Kill it, with all that it has started; the last that it printed."""
        if self._words.closed:
            return ""
        if self.process.returncode is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_DYING)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None  # noqa: S101 - it is a pipe
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        with self._words as words:
            words.seek(max(words.seek(0, os.SEEK_END) - _WORDS, 0))
            lines = words.read().decode(errors="replace").split("\n")
        return " ".join(next(filter(str.strip, reversed(lines)), "").split())


def _dead(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has ended, without taking note of it where the system lets one look alone."""
    if process.returncode is None and hasattr(os, "waitid"):
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return process.poll() is not None


def ended(code: int | None) -> str:
    """How a process ended, by its exit code; none where it was killed and has not gone yet."""
    code = -signal.SIGKILL if code is None else code
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
