"""A process that measures for a run: `python -m nat_executors.worker`, which a pool starts.

It is told in lines of JSON what the run is, then what to do, and answers in lines of JSON. Whatever anybody else prints
goes where errors go. When the one who started it ends, however that happens, so does it: its stdin closes, which a
thread waits for, and Linux kills it, which also ends a process that is stopped or lets no thread run.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

_WHEN_PARENT_DIES = 1  # PR_SET_PDEATHSIG, of Linux's prctl


def pipes() -> tuple[BinaryIO, BinaryIO]:
    """Where tasks come from and answers go, for us alone: plugins may read and print."""
    tasks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    return tasks, answers


def main(tasks: BinaryIO, answers: BinaryIO) -> None:
    """Do tasks until there are no more."""
    lines = heard(tasks)

    def say(kind: str, **about: Any) -> None:
        answers.write(json.dumps({"kind": kind, **about}, allow_nan=False).encode() + b"\n")
        answers.flush()

    from nat_core.errors import NatError

    try:
        work(lines, say, noticed())
    except NatError as error:
        say("refused", reason=str(error), exit_code=error.exit_code)


def work(lines: Iterator[Mapping[str, Any]], say: Callable[..., None], log: Notes) -> None:
    """Take up a run, then do its tasks."""
    from nat_core import working

    place = working.take_up(next(lines))
    log.forget()  # the run itself has said so
    say("ready")
    for line in lines:
        answer = place.do(working.task(line["task"]), lambda name: say("asking", name=name))
        say("answer", number=line["number"], answer=working.plain_answer(answer), notes=log.forget())


class Notes(logging.Handler):
    """Warnings of nat, kept until somebody can pass them on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self._kept.append((record.levelno, record.getMessage()))

    def forget(self) -> list[tuple[int, str]]:
        """All that were kept, once."""
        kept, self._kept = self._kept, []
        return kept


def noticed() -> Notes:
    """What nat warns of from now on."""
    notes, log = Notes(), logging.getLogger("nat_core")
    log.addHandler(notes)
    log.propagate = False
    return notes


def heard(stream: BinaryIO) -> Iterator[Mapping[str, Any]]:
    """The lines that come, as they come. When the stream ends this process does, whatever it is doing."""
    lines = SimpleQueue[bytes]()

    def listen() -> None:
        for line in stream:
            lines.put(line)
        if os.getpgrp() == os.getpid():  # as a pool starts it
            os.killpg(0, signal.SIGKILL)  # with all that it has started
        os._exit(0)

    Thread(target=listen, daemon=True).start()
    while True:
        found: Mapping[str, Any] = json.loads(lines.get())
        yield found


def end_with(parent: int) -> None:
    """Have the system kill this process when the one that started it is gone, which it may be already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_WHEN_PARENT_DIES, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def process(tasks: BinaryIO, answers: BinaryIO) -> int:
    """Be a worker; the exit code."""
    try:
        main(tasks, answers)
    except SystemExit as end:  # of a plugin
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever it is, its last line is what the run says of it
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    both = pipes()  # held until the end: one that closes before the process has ended looks like a worker that hangs
    ended = process(*both)
    sys.stderr.flush()
    os._exit(ended)
