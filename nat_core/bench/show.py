"""A bench as tables on a terminal, and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table as Shown

from nat_core.bench.standings import TARGETS, Standing, Table
from nat_core.durable import publish
from nat_core.encoding import Values
from nat_core.errors import ConfigError
from nat_core.report.words import per_cent

FORMATS = (".svg", ".png", ".pdf")


def tables(table: Table) -> Iterator[tuple[str, Shown]]:
    """The standings of a problem under their title; and, where measurements were made to fail, what was kept."""
    bench, best = table.task.bench, table.best
    targets = (f"{per_cent(t, 0)} at" for t in TARGETS)
    shown = _empty(*(f"after {n:,}" for n in bench.evaluations), *targets, "seconds", "seeds")
    for s in table.standings:
        shares = (_spread(s.share(n)) for n in bench.evaluations)
        reached = (_count(np.median(s.reached(target))) for target in TARGETS)
        shown.add_row(s.name, *shares, *reached, f"{np.median(s.seconds):.3g}", str(len(s.seeds)))
    yield f"{table.task.name}: share of the best known hypervolume, {best.hypervolume:.6g} ({best.source})", shown
    failing = [(s, kept) for s in table.standings if s.fail and (kept := table.kept(s)) is not None]
    if failing:
        shown = _empty(*(f"after {n:,}" for n in bench.evaluations))
        for s, kept in failing:
            shown.add_row(s.name, *(_spread(kept[:, n - 1]) for n in bench.evaluations))
        yield f"{table.task.name}: kept of the clean search's hypervolume, after as many successful evaluations", shown


def require_format(file: Path) -> None:
    """Raise `ConfigError` for a picture that could not be written at the end."""
    if file.suffix.lower() not in FORMATS:
        raise ConfigError(f"cannot draw {file}: the name has to end in one of {', '.join(FORMATS)}")
    if not file.parent.is_dir():
        raise ConfigError(f"cannot draw {file}: there is no folder {file.parent}")


def draw(contests: Sequence[Table], file: Path) -> None:
    """The share over evaluations, a picture a problem: the median as a line, all seeds within the band."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(6.4 * len(contests), 4.8), layout="constrained")
    axes = figure.subplots(1, len(contests), squeeze=False)[0]
    for axis, table in zip(axes, contests, strict=True):
        for i, s in enumerate(table.standings):
            _line(axis, s, i)
        top = max((float(np.median(s.curves, axis=0)[-1]) for s in table.standings), default=1.0)
        axis.set_ylim(_bottom(table.standings), max(1.0, top) + 0.005)
        axis.set_xlim(1, max(table.task.bench.evaluations))
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        axis.set_xlabel("architectures measured")
        axis.set_ylabel("share of the best known hypervolume")
        axis.set_title(table.task.name)
        axis.grid(alpha=0.25)
        axis.legend(frameon=False, fontsize="small", loc="lower right")

    def save(draft: Path) -> None:
        with mpl.rc_context({"svg.hashsalt": "nat"}):
            kind = file.suffix.lower()[1:]
            figure.savefig(draft, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)

    publish(file, save)


def _line(axis: object, standing: Standing, i: int) -> None:
    evaluations = np.arange(1, standing.curves.shape[1] + 1)
    style = "--" if standing.contestant.baseline else ":" if standing.fail else "-"
    colour = f"C{i % 10}"
    median = np.median(standing.curves, axis=0)
    axis.plot(evaluations, median, style, color=colour, label=standing.name)  # type: ignore[attr-defined]
    if len(standing.seeds) > 1:
        low, high = standing.curves.min(axis=0), standing.curves.max(axis=0)
        axis.fill_between(evaluations, low, high, color=colour, alpha=0.12, linewidth=0)  # type: ignore[attr-defined]


def _bottom(standings: Sequence[Standing]) -> float:
    """The picture begins where most contestants are after a tenth of their evaluations: the rise before says little."""
    early = [float(np.median(s.curves, axis=0)[s.curves.shape[1] // 10]) for s in standings]
    return math.floor(20 * min(early)) / 20 if early else 0.0


def _empty(*headings: str) -> Shown:
    shown = Shown(box=None, padding=(0, 2, 0, 0))
    shown.add_column("", no_wrap=True)
    for heading in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    return shown


def _spread(values: Values) -> str:
    """The median, and the least and the most where there are several."""
    median = f"{np.median(values):.3f}"
    return median if len(values) < 2 else f"{median} ({values.min():.3f}…{values.max():.3f})"


def _count(evaluations: float) -> str:
    return f"{math.ceil(evaluations):,}" if math.isfinite(evaluations) else "–"
