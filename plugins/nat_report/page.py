"""What a page is made of while a run goes on: its config and its journal, as `nat report` reads them later."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

from nat_core import config as configs
from nat_core import journal
from nat_core.archive import Archive
from nat_core.report.contents import run_contents
from nat_core.report.page import PAGE, render, write
from nat_core.report.story import Story
from nat_core.run import Run

QUICK, SHARE = 1.0, 0.1  # seconds, and of the time between two pages


def newest(archive: Archive) -> int:
    """The newest iteration that measured something, −1 for none."""
    return max((e.iteration for e in archive), default=-1)


@dataclass
class Pace:
    """What the pages of a process cost. A run is not to wait for them: a slow one is left to a later iteration."""

    cost: float = 0.0  # seconds that the last page took
    ended: float = -math.inf  # when

    def allows(self) -> bool:
        """Whether the last page was quick, or took less than a tenth of the time since then."""
        return self.cost < QUICK or self.cost < SHARE * (time.monotonic() - self.ended)

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note how long the page inside takes; the first one also imports libraries, and says nothing."""
        start, first = time.monotonic(), self.ended == -math.inf
        yield
        self.ended = time.monotonic()
        self.cost = 0.0 if first else self.ended - start


PACE = Pace()


def write_page(run: Run) -> None:
    """Put `report.html` in place. It is what `nat report` writes of the same folder, byte by byte."""
    config, tables = configs.reload(run.folder / "run.toml")
    records = journal.read(run.folder / "journal.jsonl")
    story = Story(run.folder.resolve().name, config, tables, run.space, records)
    write(run.folder / PAGE, render(run_contents(story)))
