"""A line for each epoch of a training, for the commands that train by epochs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class EpochDisplay:
    """A line for each epoch on stderr; on a terminal, a bar for its steps below."""

    def __init__(self, epochs: int) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar

        self.console = Console(stderr=True)
        self.total = epochs
        self.bar = Bar(console=self.console, disable=not self.console.is_terminal, transient=True)
        self.task = self.bar.add_task("", total=None)

    def progress(self, _what: str, done: int, total: int) -> None:
        """Take the news of a learner."""
        self.bar.update(self.task, completed=done, total=total)

    def line(self, text: str) -> None:
        """Print what may hold names of files, which are no markup."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def epoch(self, number: int, loss: float | None, seconds: float, phase: str = "", errors: str = "") -> None:
        """Say what an epoch, from 0, came to."""
        learnt = "" if loss is None else f"loss {loss:.4f}"
        facts = ", ".join(filter(None, (learnt, errors, f"{seconds:.1f} s")))
        self.line(f"epoch {number + 1}/{self.total}{f' ({phase})' if phase else ''}: {facts}")


@contextmanager
def shown(epochs: int, *lines: str) -> Iterator[EpochDisplay]:
    """A display that begins with some lines."""
    display = EpochDisplay(epochs)
    for line in lines:
        display.line(line)
    with display.bar:
        yield display
