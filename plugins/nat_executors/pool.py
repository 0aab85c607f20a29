"""Workers on this machine: each is given one architecture at a time, and may die or hang over it.

Each worker has pipes of its own, so whoever dies takes nobody's lock along. What a worker has said is read before its
time is looked at: a run that was itself stopped for an hour gives nobody up.
"""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nat_core.contracts import Answer, Crew, Task
from nat_core.errors import ConfigError, NatError, ResourceError
from nat_core.working import answer_of
from nat_executors.member import Member, cores, ended

log = logging.getLogger("nat_core")

_STARTS = 5  # in a row that may come to nothing: then no worker can live here
_PATIENCE = 1.0  # seconds between looks at workers that say nothing


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


@dataclass
class Work:
    """Tasks that are being done."""

    tasks: Sequence[Task]
    waiting: deque[int] = field(init=False)  # numbers of tasks
    attempts: Counter[int] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        self.waiting = deque(range(len(self.tasks)))

    def next(self) -> tuple[int, Task]:
        """One that waits."""
        number = self.waiting.popleft()
        self.attempts[number] += 1
        return number, self.tasks[number]

    def again(self, number: int, fate: str, more: int) -> None:
        """Have one wait again, whose worker was lost."""
        times = "once" if more == 1 else f"{more} times"
        what = f"architecture {self.tasks[number].architecture}: its worker {fate}"
        log.warning("%s; it is tried again, %s more at most", what, times)
        self.waiting.appendleft(number)


class Members:
    """The workers of a run."""

    def __init__(self, recipe: Mapping[str, Any], pool: Pool) -> None:
        self._recipe, self._pool = recipe, pool
        self._members: list[Member] = []
        self._most = pool.width
        self._stillborn = 0  # in a row

    def do(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        """The number of every task with what came of it, as soon as it did."""
        self.dismiss(busy=True)  # with what nobody waits for any longer
        work, left = Work(tasks), len(tasks)
        while left:
            while len(self._members) < min(self._most, left):
                self._members.append(Member(self._recipe, self._pool.width, self._pool.limit))
            for member in self._members:
                if member.ready and member.number is None and work.waiting:
                    member.give(*work.next())
            for member in self._heard():
                number = member.number
                answer = self._listen(member) or self._lost(member, work)
                if number is not None and answer is not None:
                    left -= 1
                    yield number, replace(answer, attempts=work.attempts[number])

    def dismiss(self, *, busy: bool = False) -> None:
        """End all workers, or those that are busy."""
        for member in [m for m in self._members if not busy or m.number is not None]:
            member.end()
            self._members.remove(member)

    def _heard(self) -> list[Member]:
        """The workers, once one of them has said something, ended, or had all its time."""
        soonest = min(member.deadline for member in self._members) - time.monotonic()
        with selectors.DefaultSelector() as selector:
            for member in self._members:
                selector.register(member.pipe, selectors.EVENT_READ)
            selector.select(min(max(soonest, 0.0), _PATIENCE))  # some end without a sound
        return list(self._members)

    def _listen(self, member: Member) -> Answer | None:
        """Take in what a worker says: the answer to its task, if that is in it."""
        found: Answer | None = None
        for said in member.said():
            match said["kind"]:
                case "ready":
                    member.rest()
                    self._stillborn = 0
                case "asking":
                    member.asked = said["name"]
                case "answer" if said["number"] == member.number:
                    member.rest()
                    found = answer_of(said["answer"])
                    for level, text in said["notes"]:
                        log.log(level, "%s", text)
                case "refused":
                    raise RefusalError(said["reason"], said["exit_code"])
        return found

    def _lost(self, member: Member, work: Work) -> Answer | None:
        """Part with a worker that has died or had all its time; the answer to its task, if that has no more tries."""
        if not (fate := self._fate(member)):
            return None
        self._members.remove(member)
        if (number := member.number) is None:
            self._require_life(member, fate)
        elif (more := self._pool.retries + 1 - work.attempts[number]) > 0:
            work.again(number, fate, more)
        else:
            tries = f", {work.attempts[number]} times" if work.attempts[number] > 1 else ""
            return Answer({}, math.inf, {member.asked: f"its worker {fate}{tries}"})
        return None

    def _fate(self, member: Member) -> str:
        """How a worker came to its end, which it has met by then; empty if it lives and has time."""
        if member.gone():
            words = member.end()
            return ended(member.process.returncode) + (f" ({words})" if words else "")
        if time.monotonic() > member.deadline:
            member.end()
            if not member.ready:
                return "took too long to begin"
            return f"took longer than the {self._pool.limit:g} s of processes.limit, and was killed"
        return ""

    def _require_life(self, member: Member, fate: str) -> None:
        """Do with fewer workers where one after another ends before it has begun; `ResourceError` where none lives."""
        self._stillborn += not member.ready
        if self._stillborn < _STARTS:
            return
        self._stillborn, self._most = 0, sum(m.ready for m in self._members)
        if not self._most:
            raise ResourceError(f"no worker of the executor processes can begin: each {fate}")
        log.warning("no further worker can begin (each %s): %d at a time from now on", fate, self._most)


class RefusalError(NatError):
    """A worker's own error, as the run's."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code
