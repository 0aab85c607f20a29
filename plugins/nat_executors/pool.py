"""Workers on this machine: each is given one architecture at a time, and may die or hang over it.

Each worker has pipes of its own, so whoever dies takes nobody's lock along. What a worker has said is read before its
time is looked at: a run that was itself stopped for an hour gives nobody up.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nat_core.contracts import Answer, Crew, Task
from nat_core.errors import ConfigError, NatError, ResourceError
from nat_core.working import answer_of, plain_task

log = logging.getLogger("nat_core")

_BEGINNING = 600.0  # seconds at least that a worker has to load what the run measures on
_STARTS = 5  # in a row that may come to nothing: then no worker can live here
_PATIENCE = 1.0  # seconds between looks at workers that say nothing
_WORDS = 300  # characters of what a worker said last


@dataclass(frozen=True)
class Pool:
    """The executor `processes`. Raises `ConfigError` for a limit that is no time."""

    workers: int  # 0: one for every core
    limit: float  # seconds for one architecture
    retries: int

    def __post_init__(self) -> None:
        if not (self.limit > 0 and math.isfinite(self.limit)):
            raise ConfigError(f"processes.limit is {self.limit}: seconds, more than 0, such as 600")

    @property
    def width(self) -> int:
        """How many workers there are."""
        return self.workers or cores()

    @contextlib.contextmanager
    def crew(self, recipe: Mapping[str, Any]) -> Iterator[Crew]:
        """Workers that start when there is something to do."""
        members = Members(recipe, self)
        try:
            yield members
        finally:
            members.dismiss()


class Members:
    """The workers of a run."""

    def __init__(self, recipe: Mapping[str, Any], pool: Pool) -> None:
        self._recipe, self._pool = recipe, pool
        self._members: list[Member] = []
        self._stillborn = 0  # in a row

    def do(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        """The number of every task with what came of it, as soon as it did."""
        waiting, left, attempts = deque(range(len(tasks))), len(tasks), Counter[int]()
        self.dismiss(busy=True)  # with what nobody waits for any longer
        while left:
            self._hire(min(self._pool.width, left))
            for member in self._members:
                if member.ready and member.number is None and waiting:
                    next_one = waiting.popleft()
                    attempts[next_one] += 1
                    member.give(next_one, tasks[next_one])
            for member in self._heard():
                number, found = member.number, None
                for said in member.said():
                    found = self._answer(said, member, attempts) or found
                if found is not None:
                    left -= 1
                    yield found
                elif fate := self._fate(member):
                    self._members.remove(member)
                    if number is None:
                        self._require_life(member, fate)
                    elif (more := self._pool.retries + 1 - attempts[number]) > 0:
                        what = f"architecture {tasks[number].architecture}: {fate}"
                        log.warning("%s; this is tried again, %d %s more at most", what, more, _times(more))
                        waiting.appendleft(number)
                    else:
                        left -= 1
                        tries = f", {attempts[number]} times" if attempts[number] > 1 else ""
                        yield number, Answer({}, math.inf, {member.asked: f"{fate}{tries}"}, 0.0, attempts[number])

    def dismiss(self, *, busy: bool = False) -> None:
        """End all workers, or those that are busy."""
        for member in [m for m in self._members if not busy or m.number is not None]:
            member.end()
            self._members.remove(member)

    def _hire(self, n: int) -> None:
        """Have n workers."""
        while len(self._members) < n:
            self._members.append(Member(self._recipe, self._pool))

    def _heard(self) -> list[Member]:
        """The workers, once one of them has said something, ended, or had all its time."""
        soonest = min(member.deadline for member in self._members) - time.monotonic()
        with selectors.DefaultSelector() as selector:
            for member in self._members:
                selector.register(member.pipe, selectors.EVENT_READ)
            selector.select(min(max(soonest, 0.0), _PATIENCE))  # some end without a sound
        return list(self._members)

    def _answer(self, said: Mapping[str, Any], member: Member, attempts: Counter[int]) -> tuple[int, Answer] | None:
        """What a worker said: an answer, if it is one."""
        if said["kind"] == "refused":
            raise RefusalError(said["reason"], said["exit_code"])
        if said["kind"] == "ready":
            member.ready, member.deadline, self._stillborn = True, math.inf, 0
        elif said["kind"] == "asking":
            member.asked = said["name"]
        elif said["kind"] == "answer":
            for level, text in said["notes"]:
                log.log(level, "%s", text)
            number, member.number, member.deadline = said["number"], None, math.inf
            return number, answer_of(said["answer"], attempts[number])
        return None

    def _fate(self, member: Member) -> str:
        """How a worker came to its end, which it has met by then; empty if it lives and has time."""
        if member.gone():
            words = member.end()
            return f"its worker {_ended(member.process.returncode)}" + (f" ({words})" if words else "")
        if time.monotonic() > member.deadline:
            member.end()
            return f"it took longer than the {self._pool.limit:g} s of processes.limit, and its worker was killed"
        return ""

    def _require_life(self, member: Member, fate: str) -> None:
        """Raise `ResourceError` where one worker after another ends before it has begun."""
        self._stillborn += not member.ready
        if self._stillborn >= _STARTS:
            raise ResourceError(f"no worker of the executor processes can begin: {fate.removeprefix('its worker ')}")


class Member:
    """One worker, as the run sees it."""

    def __init__(self, recipe: Mapping[str, Any], pool: Pool) -> None:
        self._limit, self._rest = pool.limit, b""
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        threads = str(max(cores() // pool.width, 1))
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
        self.asked = "the worker"  # the objective that it measures now
        self.deadline = time.monotonic() + max(self._limit, _BEGINNING)
        self._send(recipe)

    def give(self, number: int, task: Task) -> None:
        """Have it do a task."""
        self.number, self.deadline = number, time.monotonic() + self._limit
        self._send({"number": number, "task": plain_task(task)})

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


class RefusalError(NatError):
    """A worker's own error, as the run's."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _times(n: int) -> str:
    return "time" if n == 1 else "times"


def _ended(code: int) -> str:
    """How a process ended, by its exit code."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
