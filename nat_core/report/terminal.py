"""The live display of a run, and the front as a table. Both go to any rich console."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from nat_core.contracts import SearchSpace
from nat_core.encoding import Architecture
from nat_core.forecast import Forecast
from nat_core.report.summary import Summary, ordered

PHASES = {
    "adapt": "adapting the supernet",
    "measure": "measuring subnets",
    "search": "searching",
    "test": "testing the front",
}
_ROWS = 12  # of the front while a run is live


def front_table(
    summary: Summary, space: SearchSpace, tested: Mapping[Architecture, Mapping[str, float]], limit: int | None = None
) -> Table:
    """The front, a row an architecture; a column of test results where there are any."""
    rows = ordered(summary.front)
    shown = (
        rows
        if limit is None or len(rows) <= limit
        else [rows[round(i * (len(rows) - 1) / (limit - 1))] for i in range(limit)]
    )
    title = f"Pareto front: {len(rows)} architectures" + ("" if len(shown) == len(rows) else f", {len(shown)} shown")
    table = Table(box=None, title=title, title_justify="left", title_style="bold", padding=(0, 2, 0, 0))
    table.add_column("architecture", no_wrap=True)
    names = [n for n in summary.front.names if any(n in tested.get(e.architecture, {}) for e in rows)]
    for heading in (*summary.front.names, *(f"{n} (test)" for n in names)):
        table.add_column(heading, justify="right", no_wrap=True)
    for e in shown:
        test = tested.get(e.architecture, {})
        cells = [number(n, v) for n, v in zip(summary.front.names, e.objectives or (), strict=True)]
        table.add_row(
            str(space.describe(e.architecture)["architecture"]),
            *cells,
            *(number(n, test[n]) for n in names if n in test),
        )
    return table


def number(name: str, value: float) -> str:
    """An objective as a person reads it: an error in per cent, a large count in millions."""
    if name.endswith("_error"):
        return f"{100 * value:.2f} %"
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
    ranked = f" · rank correlation {taus}" if summary.iteration else ""
    return (
        f"iteration {summary.iteration} · {summary.architectures} architectures · front {len(summary.front)}"
        f" · hypervolume {summary.hypervolume:.4f}{ranked}"
    )


class Display:
    """What a run shows while it goes on: live on a terminal, a plain line for each iteration elsewhere."""

    def __init__(self, console: Console, space: SearchSpace, expected: Forecast, iterations: int) -> None:
        self._console, self._space = console, space
        self._expected, self._iterations = expected, iterations
        self._start, self._skipped = time.monotonic(), 0.0
        self._iteration = 0
        self._summary: Summary | None = None
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

    def _render(self) -> Group:
        if self._summary is None:
            return Group(self._bars)
        return Group(
            front_table(self._summary, self._space, {}, _ROWS), Text(facts(self._summary), style="cyan"), self._bars
        )
