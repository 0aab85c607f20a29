"""`nat bench`: searches beside each other on problems whose best front is known."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from nat_core import config as configs
from nat_core.bench.contest import Outcome, cells, check, contest
from nat_core.bench.file import BenchFile
from nat_core.bench.play import Trace, complete
from nat_core.bench.problems import Cell, contestants, load_all
from nat_core.bench.show import draw, require_format, tables
from nat_core.bench.standings import Table, curve, document, tabulate
from nat_core.stopping import noted

SOME_FAILED = 5
_WIDEST = 1000


@click.command(name="bench")
@click.argument(
    "problems", nargs=-1, required=True, metavar="PROBLEM...", type=click.Path(dir_okay=False, path_type=Path)
)
@click.option("--optimizer", "optimizers", multiple=True, help="Repeatable.  [default: the problem file's]")
@click.option("--surrogate", "surrogates", multiple=True, help="Repeatable; none.  [default: the problem file's]")
@click.option("--baseline", "baselines", multiple=True, help="A whole search to compare with; repeatable.")
@click.option(
    "--evaluations", multiple=True, type=click.IntRange(1), help="Compare after so many.  [default: the problem file's]"
)
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(1), help="Searches of every contestant.")
@click.option(
    "--fail",
    default=0.0,
    type=click.FloatRange(0, 0.5, max_open=True),
    help="Search again with this share of measurements failing.",
)
@click.option("--preset", help=f"{' | '.join(configs.PRESETS)}.  [default: the problem file's, or quick]")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes, of a thread each.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep finished searches; a second call goes on with them.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw hypervolume over evaluations: .svg, .png or .pdf.")
@click.option("-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Set an option; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
def command(
    problems: tuple[Path, ...],
    optimizers: tuple[str, ...],
    surrogates: tuple[str, ...],
    baselines: tuple[str, ...],
    evaluations: tuple[int, ...],
    seeds: int,
    fail: float,
    preset: str | None,
    workers: int,
    out: Path | None,
    plot: Path | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> int:
    """Compare searches: every optimizer with every surrogate, and baselines, on every PROBLEM.

    A problem is a run file with a table [bench]. A contestant may have options of its own: --optimizer
    optuna,sampler=tpe. With no contestant named, it is the search as nat run makes it.
    """
    if plot is not None:
        require_format(plot)
    tasks = load_all(problems, settings, evaluations, preset)
    entrants = contestants(tasks[0], optimizers, surrogates, baselines)
    wanted = cells(tasks, entrants, seeds, fail)
    file = BenchFile(out)
    check(wanted)
    if known := sum(file.find(cell) is not None for cell in wanted):
        click.echo(f"{known} of {len(wanted)} searches are taken from {out}; to make them again, remove it.", err=True)
    traces, failures = _contest(wanted, file, workers, out)
    standings = _tables(wanted, traces)
    if plot is not None:
        draw(standings, plot)
    _print(standings, failures, as_json=as_json)
    return SOME_FAILED if failures else 0


def _contest(
    wanted: Sequence[Cell], file: BenchFile, workers: int, out: Path | None
) -> tuple[dict[Cell, Trace], list[tuple[Cell, str]]]:
    """Every search, with a line on stderr for each that has ended."""
    traces, failures = dict[Cell, Trace](), list[tuple[Cell, str]]()

    def note() -> str:
        return f"{len(traces)} of {len(wanted)} searches are in {out}; the same command goes on." if out else ""

    with noted(note), _shown(len(wanted)) as show:
        for cell, outcome in contest(wanted, file, workers):
            if isinstance(outcome, str):
                failures.append((cell, outcome))
            else:
                traces[cell] = outcome
            show(cell, outcome)
    return {cell: traces[cell] for cell in wanted if cell in traces}, failures


@contextmanager
def _shown(total: int) -> Iterator[Callable[[Cell, Outcome], None]]:
    """Says what each search came to; on a terminal, a bar with the time left stands below."""
    console = Console(stderr=True)
    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        whole = bar.add_task("", total=total)
        counted = itertools.count(1)

        def show(cell: Cell, outcome: Outcome) -> None:
            bar.advance(whole)
            console.print(f"{next(counted)}/{total} {_line(cell, outcome)}", highlight=False, soft_wrap=True)

        yield show


def _line(cell: Cell, outcome: Outcome) -> str:

    if isinstance(outcome, str):
        return f"{cell}: failed"
    volume = curve(cell.task.bench, outcome, len(outcome))[-1]
    return f"{cell}: hypervolume {volume:.4f} after {len(outcome):,}, {outcome.seconds:.3g} s of search"


def _tables(wanted: Sequence[Cell], traces: dict[Cell, Trace]) -> list[Table]:
    """The standings of every problem."""
    first = {cell.task: cell for cell in reversed(wanted)}
    tasks = dict.fromkeys(cell.task for cell in wanted)
    listed = {task: complete(first[task]) if task.bench.best is None else None for task in tasks}
    return [tabulate(task, traces, listed[task]) for task in tasks]


def _print(standings: Sequence[Table], failures: Sequence[tuple[Cell, str]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(document(standings, failures), allow_nan=False))
        return
    console = Console()
    for title, table in (shown for standing in standings for shown in tables(standing)):
        needed = Measurement.get(console, console.options.update(width=_WIDEST), table).maximum
        console.width = max(console.width, needed)  # a number that is cut off says nothing
        console.print(title, style="bold", highlight=False, soft_wrap=True)
        console.print(table, "", crop=False, highlight=False)
