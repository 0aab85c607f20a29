"""Workers on this machine: each is given one architecture at a time, and may die or hang over it.

Each worker has pipes of its own, so whoever dies takes nobody's lock along. What a worker has said is read before its
time is looked at: a run that was itself stopped for an hour gives nobody up. An attempt counts from the moment at which
a worker measures: what it meets before, while it begins or loads weights, is no network's fault.
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
from nat_core.machine import cores
from nat_core.working import answer_of
from nat_executors.member import Member, ended

log = logging.getLogger("nat_core")

_USELESS = 5  # workers in a row that may be lost before they measure anything: then there is no place for more
_LONGEST = 604800.0  # seconds that a limit may be: a week
_PATIENCE = 1.0  # seconds between looks at workers that say nothing


@dataclass(frozen=True)
class Pool:
    """The executor `processes`. Raises `ConfigError` for a limit that is no time."""

    workers: int  # 0: one for every core
    limit: float  # seconds for one architecture
    retries: int

    def __post_init__(self) -> None:
        if not 0 < self.limit <= _LONGEST:
            raise ConfigError(
                f"processes.limit is {self.limit:g}: seconds, more than 0 and {_LONGEST:g} at most, such as 600"
            )

    @property
    def width(self) -> int:
        """How many workers there are."""
        return self.workers or cores()

    @contextlib.contextmanager
    def crew(self, recipe: Mapping[str, Any]) -> Iterator[Crew]:
        """Workers that start when there is something to do.

        On Linux they end with the thread that started them, too: use the crew in one thread, and keep that.
        """
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
    alone: deque[int] = field(default_factory=deque, init=False)  # of those that get all memory, once the rest is done
    attempts: Counter[int] = field(default_factory=Counter, init=False)  # to measure it, whatever came of them

    def __post_init__(self) -> None:
        self.waiting = deque(range(len(self.tasks)))

    def next(self, busy: int) -> int | None:
        """The number of one that may be begun beside so many others."""
        if self.waiting:
            return self.waiting.popleft()
        return self.alone.popleft() if self.alone and not busy else None

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
        self._useless = 0  # workers in a row that were lost before they measured anything

    def do(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        """The number of every task with what came of it, as soon as it did."""
        self.dismiss(busy=True)  # with what nobody waits for any longer
        self._most = min(self._most + 1, self._pool.width)  # what was short may be there again
        work, left = Work(tasks), len(tasks)
        while left:
            self._hire(min(self._most, left))
            self._hand_out(work)
            for member in self._heard():
                number = member.number
                answer = self._listen(member, work) or self._lost(member, work)
                if number is not None and answer is not None:
                    left -= 1
                    yield number, replace(answer, attempts=work.attempts[number])

    def dismiss(self, *, busy: bool = False) -> None:
        """End all workers, or those that are busy."""
        for member in [m for m in self._members if not busy or m.number is not None]:
            self._members.remove(member)
            member.end()

    def _hire(self, n: int) -> None:
        """Have n workers, or as many as the system lets begin."""
        while len(self._members) < n:
            try:
                self._members.append(Member(self._recipe, self._pool.width, self._pool.limit))
            except OSError as error:
                self._do_with_fewer(f"cannot be started: {error.strerror}")
                return

    def _hand_out(self, work: Work) -> None:
        """Give a task to each worker that has none."""
        for member in self._members:
            if member.ready and member.number is None and not member.gone():
                number = work.next(sum(m.number is not None for m in self._members))
                if number is not None:
                    member.give(number, work.tasks[number])

    def _heard(self) -> list[Member]:
        """The workers, once one of them has said something, ended, or had all its time."""
        soonest = min(member.deadline for member in self._members) - time.monotonic()
        with selectors.DefaultSelector() as selector:
            for member in self._members:
                selector.register(member.pipe, selectors.EVENT_READ)
            selector.select(min(max(soonest, 0.0), _PATIENCE))  # some end without a sound
        return list(self._members)

    def _listen(self, member: Member, work: Work) -> Answer | None:
        """Take in what a worker says: the answer to its task, if that is in it and final."""
        found: Answer | None = None
        for said in member.said():
            match said["kind"]:
                case "ready":
                    member.rest()
                case "asking":
                    if member.number is not None and member.asked is None:
                        work.attempts[member.number] += 1
                    if not member.proven:
                        member.proven, self._useless = True, 0
                    member.asked = said["name"]
                case "answer" if said["number"] == member.number:
                    found = self._unless_crowded(answer_of(said["answer"]), said["number"], work)
                    member.rest()
                    for level, text in said["notes"]:
                        log.log(level, "%s", text)
                case "refused":
                    raise RefusalError(said["reason"], said["exit_code"])
        return found

    def _unless_crowded(self, answer: Answer, number: int, work: Work) -> Answer | None:
        """An answer; none where memory ran out beside others, and the task is tried again with nobody beside it."""
        if not answer.exhausted or sum(m.number is not None for m in self._members) == 1:
            return answer
        work.alone.append(number)
        log.warning(
            "architecture %s ran out of memory beside others: it is tried again alone", work.tasks[number].architecture
        )
        return None

    def _lost(self, member: Member, work: Work) -> Answer | None:
        """Part with a worker that has died or had all its time; the answer to its task, if that has no more tries."""
        gone = member.gone()
        if not gone and time.monotonic() <= member.deadline:
            return None
        if gone and (answer := self._listen(member, work)):  # the last that it said, before it died
            return answer
        number, asked = member.number, member.asked
        self._members.remove(member)
        words = member.end()
        if gone:
            fate = ended(member.process.returncode) + (f" ({words})" if words else "")
        elif member.ready:
            fate = f"took longer than the {self._pool.limit:g} s of processes.limit, and was killed"
        else:
            fate = "took too long to begin"
        if number is None or asked is None:  # no network's fault
            work.waiting.extendleft([] if number is None else [number])
            self._useless += not member.ready or number is not None
            if self._useless >= _USELESS:
                self._do_with_fewer(fate)
        elif (more := self._pool.retries + 1 - work.attempts[number]) > 0:
            work.again(number, fate, more)
        else:
            tries = f", {work.attempts[number]} times" if work.attempts[number] > 1 else ""
            return Answer({}, math.inf, {asked: f"its worker {fate}{tries}"})
        return None

    def _do_with_fewer(self, fate: str) -> None:
        """Go on with those who live or yet begin, where others cannot. Raises `ResourceError` where there is nobody."""
        self._useless, self._most = 0, len(self._members)
        if not self._most:
            raise ResourceError(f"no worker of the executor processes can begin: each {fate}")
        log.warning("no further worker can begin (each %s): %d at a time for now", fate, self._most)


class RefusalError(NatError):
    """A worker's own error, as the run's."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code
