"""Ctrl-C and SIGTERM end a command in order. Whatever is recorded is durable; the rest is done again on resume.

A signal raises `Stopped` wherever the program happens to be, so that it ends at once. That may be inside a library
which turns any exception into one of its own, or drops it: NumPy says of two structured arrays that it "cannot compare"
them. So the signal is remembered as well: nothing is made durable after it, and whatever then ends the command, it was
the signal.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from types import FrameType

log = logging.getLogger("nat_core")

_received: list[int] = []  # the signal that asked this process to end


class Stopped(BaseException):
    """A signal asked the process to end. Not an `Exception`: no handler for errors may take it for one."""

    def __init__(self, signum: int, note: str = "") -> None:
        self.exit_code = 128 + signum
        # Ctrl-C is what somebody just did; any other signal is news to whoever reads this.
        by = "" if signum == signal.SIGINT else f" by {signal.Signals(signum).name}"
        super().__init__(f"Stopped{by}. {note}".strip())
        self.note = note


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into `Stopped`; a second one ends the process at once."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {s: signal.getsignal(s) for s in signals}

    def stop(signum: int, _frame: FrameType | None) -> None:
        _received.append(signum)
        for s in signals:
            signal.signal(s, signal.SIG_DFL)
        raise Stopped(signum)

    for s in signals:
        signal.signal(s, stop)
    try:
        with noted(lambda: ""):
            yield
            stop_if_asked()
    finally:
        _received.clear()
        for s, handler in before.items():
            signal.signal(s, handler)


def stop_if_asked() -> None:
    """Raise `Stopped` if a signal came and a library swallowed it. Called before anything is made durable."""
    if _received:
        raise Stopped(_received[0])


@contextlib.contextmanager
def noted(note: Callable[[], str]) -> Iterator[None]:
    """Whatever ends the block once a signal came is that signal's doing, with a word on how to go on."""
    try:
        yield
    except BaseException as error:
        if not _received or (isinstance(error, Stopped) and error.note):
            raise
        if not isinstance(error, Stopped):
            log.debug("a signal came; then: %r", error)
        raise Stopped(_received[0], note()) from None
