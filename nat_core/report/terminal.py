"""The live display of a run, and the front as a table. Both go to any rich console."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from nat_core.archive import Evaluation
from nat_core.contracts import SearchSpace
from nat_core.encoding import Architecture
from nat_core.forecast import Forecast
from nat_core.pareto import spread
from nat_core.report.summary import Summary, ordered, side
from nat_core.report.words import per_cent

PHASES = {
    "adapt": "adapting the supernet",
    "measure": "measuring subnets",
    "search": "searching",
    "test": "testing the front",
}
ROWS = 40  # of a front on a terminal
_LIVE_ROWS = 12  # of the front while a run is live
_PADDING = (0, 2, 0, 0)


@dataclass(frozen=True)
class FrontTable:
    """The front, a row an architecture; a column of test results where there are any. Fits whatever it is printed on.

    Of many rows `limit` are shown, spread over the front; columns that do not fit are named below, the last first.
    """

    summary: Summary
    space: SearchSpace
    tested: Mapping[Architecture, Mapping[str, float]]
    limit: int | None = None
    folder: Path | None = None  # of the run, to say how to see the rest

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, and a line about what it leaves out."""
        columns, n = self._columns, len(self.summary.front)
        least = [heading for heading, _ in columns].index(self.summary.front.names[0]) + 1
        fitting = _fitting(columns, options.max_width, least)
        table = Table(
            box=None,
            title=f"Pareto front: {n} architecture{'s' * (n != 1)}",
            title_justify="left",
            title_style="bold",
            padding=_PADDING,
        )
        for i, (heading, _) in enumerate(columns[:fitting]):
            table.add_column(heading, justify="right" if i else "left", no_wrap=True)
        for cells in zip(*(cells for _, cells in columns[:fitting]), strict=True):
            table.add_row(*cells)
        yield table
        command = "" if self.folder is None else f"nat front {self.folder}"
        if left := n - len(self._rows):
            yield Text(f"… and {left} more{command and f': {command} --all / --json'}", style="dim")
        if hidden := ", ".join(heading for heading, _ in columns[fitting:]):
            wider = command and f" (a wider terminal, or {command} --json)"
            yield Text(f"no room for: {hidden}{wider}", style="dim")

    @cached_property
    def _rows(self) -> list[Evaluation]:
        """As many as the limit says: the best in the first objective, and what is far from each other."""
        rows = ordered(self.summary.front)
        if self.limit is None or len(rows) <= self.limit:
            return rows
        F = np.array([e.objectives for e in rows], dtype=np.float64)
        return [rows[i] for i in np.sort(spread(F, self.limit))]

    @cached_property
    def _columns(self) -> list[tuple[str, list[str]]]:
        """Headings and cells: architectures, the sides of their inputs, objectives, tests."""
        rows, names = self._rows, self.summary.front.names
        tests = [self.tested.get(e.architecture, {}) for e in rows]
        columns = [("architecture", [str(self.space.describe(e.architecture)["architecture"]) for e in rows])]
        sides = [side(self.space, e.architecture) for e in rows]
        if any(pixels is not None for pixels in sides):
            columns.append(("side", ["" if pixels is None else f"{pixels} px" for pixels in sides]))
        for i, name in enumerate(names):
            columns.append((name, [number(name, e.objectives[i]) for e in rows if e.objectives]))
        return columns + [
            (f"{name} (test)", [number(name, test[name]) if name in test else "" for test in tests])
            for name in names
            if any(name in test for test in tests)
        ]


def front_table(
    summary: Summary,
    space: SearchSpace,
    tested: Mapping[Architecture, Mapping[str, float]],
    folder: Path,
    limit: int | None = ROWS,
) -> FrontTable:
    """The front of a run folder, at most `limit` rows of it."""
    return FrontTable(summary, space, tested, limit, folder)


def _fitting(columns: Sequence[tuple[str, Sequence[str]]], width: int, least: int) -> int:
    """How many columns stand beside each other in a width, `least` at least."""
    widths = [max(cell_len(text) for text in (heading, *cells)) + _PADDING[1] for heading, cells in columns]
    return max(least, sum(end <= width for end in itertools.accumulate(widths)))


def number(name: str, value: float) -> str:
    """An objective as a person reads it: an error in per cent, a large count in millions."""
    if name.endswith("_error"):
        return per_cent(value)
    value += 0.0  # no −0
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    if abs(value) >= 1e5:
        return f"{value / 1e6:,.3f} M"
    return f"{value:,.4g}"


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    minutes, seconds = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def facts(summary: Summary) -> str:
    """One iteration in a line."""
    taus = ", ".join(f"{n} {'–' if t is None else f'{t:.2f}'}" for n, t in summary.rank_correlation.items())
    ranked = f" · rank correlation {taus}" if summary.iteration and taus else ""
    return (
        f"iteration {summary.iteration} · {summary.architectures} architectures · front {len(summary.front)}"
        f" · hypervolume {_about(summary)}{ranked}"
    )


def origins(summary: Summary) -> list[Text]:
    """How the surrogates of an iteration came about, in a line; none where they do not say."""
    said = "; ".join(f"of {name}: {note}" for name, note in summary.surrogates.items())
    return [Text(f"surrogate {said}", style="dim")] if said else []


def _about(summary: Summary) -> str:
    exact = summary.hypervolume_method == "exact"
    return f"{summary.hypervolume:.4f}" if exact else f"≈ {summary.hypervolume:.3g} ({summary.hypervolume_method})"


class Display:
    """What a run shows while it goes on: live on a terminal, a plain line for each iteration elsewhere."""

    def __init__(self, console: Console, space: SearchSpace, expected: Forecast, iterations: int) -> None:
        self._console, self._space = console, space
        self._expected, self._iterations = expected, iterations
        self._start, self._skipped = time.monotonic(), 0.0
        self._iteration = 0
        self._begun = (-1, "")  # the phase that the last news was of
        self._summary: Summary | None = None
        self._front: FrontTable | None = None
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._whole = self._bars.add_task("run", total=max(expected.total, 1e-9), note="")
        self._phase = self._bars.add_task("", total=1, note="")
        self._live = (
            Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            if self._summary:
                self._console.print(facts(self._summary), highlight=False)

    def progress(self, phase: str, done: int, total: int) -> None:
        """Take the news of an estimator."""
        expected = self._expected.done(self._iteration, phase, done / total if total else 0.0)
        if self._begun != (self._iteration, phase):
            self._begun = self._iteration, phase
            if phase == "adapt":  # what a checkpoint held says nothing about the pace
                self._skipped += expected - self._expected.done(self._iteration, phase, 0.0)
        self._bars.update(self._whole, completed=expected, note=f"{duration(self.left(expected))} left")
        step = f"{done}/{total}" if phase != "search" else ""
        label = f"  iteration {min(self._iteration, self._iterations)}/{self._iterations}: {PHASES.get(phase, phase)}"
        self._bars.update(self._phase, description=label, completed=done, total=total or None, note=step)

    def left(self, expected: float) -> float:
        """Seconds to go: what is expected, at the pace so far."""
        spent, worked = time.monotonic() - self._start, expected - self._skipped
        pace = spent / worked if worked > 0.05 * self._expected.total else 1.0
        return (self._expected.total - expected) * pace

    def show(self, summary: Summary) -> None:
        """Take an iteration's result."""
        self._summary, self._iteration = summary, summary.iteration + 1
        self._front = FrontTable(summary, self._space, {}, _LIVE_ROWS)
        expected = self._expected.done(self._iteration, "search", 0.0)
        if time.monotonic() - self._start < 0.02 * expected:
            self._skipped, self._start = (
                expected,
                time.monotonic(),
            )  # read from the journal: says nothing about the pace
        if not self._live:
            left = (
                f" · {duration(self.left(expected))} left"
                if self._iteration <= self._iterations and self._expected.total
                else ""
            )
            self._console.print(facts(summary) + left, highlight=False, soft_wrap=True)
            for line in origins(summary):
                self._console.print(line, soft_wrap=True)

    def _render(self) -> Group:
        if self._summary is None or self._front is None:
            return Group(self._bars)
        return Group(self._front, Text(facts(self._summary), style="cyan"), *origins(self._summary), self._bars)
