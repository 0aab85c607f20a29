"""A whole search in milliseconds: real ledger, journal, weights and loop around a space of 192 networks.

Its estimator adapts in a way that depends on all it adapted to before, and its values depend on what it learnt: a
search that forgets, repeats or reorders anything ends elsewhere.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import Measurement, Rehearsal
from nat_core.durable import Disk, append
from nat_core.encoding import Variable, as_architectures, random_encodings
from nat_core.journal import Journal, read
from nat_core.ledger import Ledger
from nat_core.problem import Problem
from nat_core.proposals import propose, visit
from nat_core.search import Plan, search
from nat_core.weights import WeightStore

VARIABLES = tuple(Variable(f"v{i}", tuple(range(4))) for i in range(4))
PLAN = Plan(iterations=2, initial=5, batch=4, pool=8, remeasure="all")
KILLED = 137


@dataclass(frozen=True)
class Space:
    variables: tuple[Variable, ...] = VARIABLES

    def canonicalize(self, X):
        """Where the second variable is 0, the third makes no difference."""
        X = X.copy()
        X[X[:, 1] == 0, 2] = 0
        return X

    def sample(self, n, rng):
        return self.canonicalize(random_encodings(self.variables, n, rng))

    def describe(self, architecture):
        return {"architecture": "".join(map(str, architecture))}

    def parse(self, text_or_dict):
        return tuple(int(c) for c in text_or_dict)


class Estimator:
    """Squared distance to a moving centre, which is what it learns."""

    def __init__(self, disk: Disk, fault: Callable[[tuple[int, ...]], object] = lambda _: None):
        self.centre = np.zeros(len(VARIABLES))
        self.disk = disk
        self.fault = fault
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, X):
        (architecture,) = as_architectures(X)
        self.asked.append(architecture)
        X[:] = 0  # what an estimator does to its argument concerns nobody else
        if (answer := self.fault(architecture)) is not None:
            return answer
        return [Measurement(float(((np.array(architecture) - self.centre) ** 2).sum()))]

    def adapt(self, X, iteration, iterations, progress):
        progress("adapt", 0, 1)
        self.centre = np.sin(self.centre + X.mean(axis=0)) + X[-1] / 3 + iteration / iterations
        return [float(self.centre.sum())]

    def save(self, file: Path):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            append(descriptor, self.centre.tobytes(), self.disk)
        finally:
            os.close(descriptor)

    def load(self, file: Path):
        self.centre = np.frombuffer(file.read_bytes())

    def rehearse(self, iterations):
        return Rehearsal((0.0,) * (iterations + 1), 0.0)


class Stepping(Estimator):
    """The same in several steps, each of which may be the last for now."""

    STEPS = 4

    def adapt_resumably(self, X, iteration, iterations, progress, checkpoint):
        kept = checkpoint.load()
        start = 0 if kept is None else kept[0]
        self.centre = self.centre if kept is None else np.frombuffer(kept[1:])
        for step in range(start, self.STEPS):
            losses = self.adapt(X + step, iteration, iterations, progress)
            if step + 1 < self.STEPS:
                checkpoint.offer(lambda: bytes([step + 1]) + self.centre.tobytes(), step + 1, self.STEPS)  # noqa: B023
        return losses


class Surrogate:
    """Means weighted by distance."""

    def fit(self, X, y):
        return lambda rows: (weights := 1 / (1 + np.abs(rows[:, None] - X).sum(axis=2) ** 3)) @ y / weights.sum(axis=1)


class Optimizer:
    def propose(self, problem, archive, n, rng):
        drawn = np.unique(problem.space.sample(5 * n, rng), axis=0)
        return propose(problem, visit(problem, drawn), archive, n, rng)


class Quiet(Disk):
    """No waiting for the disk: a process that dies leaves what it wrote."""

    def fsync(self, descriptor):
        pass


@dataclass
class Toy:
    """What a run is made of; `fault(architecture)` is what the estimator answers or raises instead of a value."""

    plan: Plan = PLAN
    seed: int = 1
    fault: Callable[[tuple[int, ...]], object] = lambda _: None
    estimator: type[Estimator] = Estimator
    surrogate: object = field(default_factory=Surrogate)
    optimizer: object = field(default_factory=Optimizer)
    constraints: tuple = ()
    asked: list[tuple[int, ...]] = field(default_factory=list)  # of the estimator, over all runs
    events: list[str] = field(default_factory=list)

    def archives(self, folder: Path, disk: Disk | None = None, *, strict: bool = False) -> Iterator[Archive]:
        disk = disk or Quiet()
        estimator = self.estimator(disk, self.fault)
        estimator.asked = self.asked
        costs = {"size": lambda X: X.sum(axis=1).astype(float)}
        problem = Problem(Space(), ("distance", "size"), {"distance": estimator}, costs, self.constraints)
        with Journal(folder / "journal.jsonl", disk) as journal:
            weights = WeightStore(folder / "weights", {"distance": estimator}, journal, disk)
            noting = lambda what, _done, _total: self.events.append(what)  # noqa: E731
            ledger = Ledger(problem, journal, weights, noting, strict=strict)
            yield from search(problem, self.surrogate, self.optimizer, self.plan, self.seed, ledger)

    def run(self, folder: Path, disk: Disk | None = None, *, strict: bool = False) -> Archive:
        """To the end; what was done before is taken from the folder."""
        *_, archive = self.archives(folder, disk, strict=strict)
        return archive

    def but(self, **plan) -> Toy:
        return replace(self, plan=replace(self.plan, **plan), asked=[], events=[])


def truth(folder: Path) -> list[dict]:
    """The records of a run, without how long things took."""
    return [
        {k: v for k, v in record.items() if k not in {"seconds", "saving"}} for record in read(folder / "journal.jsonl")
    ]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


class Counting(Quiet):
    """What an undisturbed run asks of the disk, call by call."""

    def __init__(self):
        self.calls: list[str] = []

    def write(self, descriptor, data):
        self.calls.append("write")
        return super().write(descriptor, data)

    def fsync(self, descriptor):
        self.calls.append("fsync")
        super().fsync(descriptor)

    def replace(self, source, target):
        self.calls.append("replace")
        super().replace(source, target)

    def truncate(self, descriptor, size):
        self.calls.append("truncate")
        super().truncate(descriptor, size)

    def unlink(self, file):
        self.calls.append("unlink")
        super().unlink(file)


class Faulty(Counting):
    """Meets its end at the n-th call, with `share` percent of it done."""

    def __init__(self, at: int, share: int):
        super().__init__()
        self.at, self.share = at, share

    def end(self):
        raise NotImplementedError

    @property
    def due(self):
        return len(self.calls) + 1 == self.at

    def write(self, descriptor, data):
        if not self.due:
            return super().write(descriptor, data)
        self.calls.append("write")
        os.write(descriptor, data[: len(data) * self.share // 100])
        return self.end()

    def _step(self, call, *arguments):
        if not self.due:
            return call(*arguments)
        if self.share == 100:
            call(*arguments)
        else:
            self.calls.append("cut")
        return self.end()

    def fsync(self, descriptor):
        return self._step(super().fsync, descriptor)

    def replace(self, source, target):
        return self._step(super().replace, source, target)

    def truncate(self, descriptor, size):
        return self._step(super().truncate, descriptor, size)

    def unlink(self, file):
        return self._step(super().unlink, file)


class Dying(Faulty):
    """The process is killed."""

    def end(self):
        os._exit(KILLED)


class Failing(Faulty):
    """The operating system refuses: once, or from then on. Removing still works, as it does on a full disk."""

    def __init__(self, at, share, number, *, for_ever):
        super().__init__(at, share)
        self.number, self.for_ever, self.failed = number, for_ever, False

    @property
    def due(self):
        return super().due or (self.for_ever and self.failed)

    def end(self):
        self.failed = True
        raise OSError(self.number, os.strerror(self.number))

    def unlink(self, file):
        Counting.unlink(self, file)


def forked(work: Callable[[], object]) -> int:
    """The exit code of a child that does the work; 0 if it came to its end, 1 with a traceback if it failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads of a math library do not take part
        pid = os.fork()
    if not pid:
        gc.disable()  # a collection would copy every page of the parent
        code = 1
        with contextlib.suppress(BaseException):
            work()
            code = 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def sealed(records: list[dict]) -> str:
    """A run's truth as a text to compare by."""
    return json.dumps(records)
