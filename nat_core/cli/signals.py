"""Ctrl-C and SIGTERM end a command in order. Whatever is recorded is durable; the rest is done again on resume."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Stopped(BaseException):
    """A signal asked the process to end. Not an `Exception`: no handler for errors may take it for one."""

    def __init__(self, signum: int, note: str = "") -> None:
        self.exit_code = 128 + signum
        super().__init__(f"stopped by {signal.Signals(signum).name}. {note}".strip())
        self.signum = signum

    def noting(self, note: str) -> Stopped:
        """The same, with a word on how to go on."""
        return Stopped(self.signum, note)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into `Stopped`; a second one ends the process at once."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {s: signal.getsignal(s) for s in signals}

    def stop(signum: int, _frame: FrameType | None) -> None:
        for s in signals:
            signal.signal(s, signal.SIG_DFL)
        raise Stopped(signum)

    for s in signals:
        signal.signal(s, stop)
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
