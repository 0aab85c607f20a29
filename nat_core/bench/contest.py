"""A whole bench: every cell once, in this process or in several, each kept as soon as it is finished."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager

from nat_core.bench.file import BenchFile
from nat_core.bench.play import Trace, built, play
from nat_core.bench.problems import Cell, Contestant, Task, baseline, require_parts
from nat_core.errors import NatError
from nat_core.stopping import stop_if_asked

log = logging.getLogger("nat_core")

Outcome = Trace | str  # or the reason why there is none


def cells(tasks: Sequence[Task], contestants: Sequence[Contestant], seeds: int, fail: float) -> tuple[Cell, ...]:
    """Every search of a bench. The first seed of every contestant comes before the second of any."""
    shares = (0.0, fail) if fail else (0.0,)
    return tuple(
        Cell(task, contestant, seed, max(task.bench.evaluations), share)
        for task in tasks
        for seed in range(seeds)
        for contestant in contestants
        for share in shares
    )


def check(wanted: Sequence[Cell]) -> None:
    """Build every contestant once. Raises `ConfigError` for what could not run, before anything does."""
    tasks = {cell.task.name: cell.task for cell in wanted}
    contestants = {cell.contestant.name: cell.contestant for cell in wanted}
    require_parts(tasks.values(), tuple(contestants.values()))
    for cell in {(c.task.name, c.contestant.name, c.fail): c for c in wanted}.values():
        run = built(cell)
        if cell.contestant.baseline:
            offer, options = baseline(cell.task, cell.contestant)
            assert offer.factory is not None  # noqa: S101 - the registry finds working offers alone
            offer.factory(run.space, **options)


def contest(wanted: Sequence[Cell], file: BenchFile, workers: int) -> Iterator[tuple[Cell, Outcome]]:
    """Each cell with its trace, or with the reason why it failed: those in the file first, then as they finish."""
    missing = list[Cell]()
    for cell in wanted:
        if (known := file.find(cell)) is None:
            missing.append(cell)
        else:
            yield cell, known
    for cell, outcome in _played(missing, workers):
        stop_if_asked()
        if isinstance(outcome, Trace):
            file.add(cell, outcome)
        else:
            log.warning("%s: %s", cell, outcome)
        yield cell, outcome


def _played(missing: Sequence[Cell], workers: int) -> Iterator[tuple[Cell, Outcome]]:
    if workers <= 1 or len(missing) <= 1:
        for cell in missing:
            yield cell, _outcome(cell)
        return
    with _workers(min(workers, len(missing))) as pool:
        running: Mapping[Future[Outcome], Cell] = {pool.submit(_outcome, cell): cell for cell in missing}
        for future in as_completed(running):
            try:
                outcome = future.result()
            except Exception as error:  # noqa: BLE001 - a worker that was killed, for want of memory say
                outcome = f"its process ended: {type(error).__name__}: {error}"
            yield running[future], outcome


def _outcome(cell: Cell) -> Outcome:
    """A trace, or the reason why there is none. One search that fails does not end the bench."""
    try:
        return play(cell)
    except NatError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the other contestants go on
        log.debug("%s", traceback.format_exc())
        return f"{type(error).__name__}: {error}"


@contextmanager
def _workers(n: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes with one thread of linear algebra each; they end when this does, however it ends."""
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ.update(dict.fromkeys(before, "1"))  # read when a process starts, so before it does
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(n, multiprocessing.get_context("spawn"), _ignore_interrupts)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _ignore_interrupts() -> None:
    """Ctrl-C goes to every process of a terminal: the parent alone acts on it, and ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
