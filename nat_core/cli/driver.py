"""What `nat run`, `nat resume` and `nat front` have in common: drive a search and show it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from rich.console import Console

from nat_core import config as configs
from nat_core.archive import Archive
from nat_core.cli.saved import saved_config, saved_front
from nat_core.config import RunConfig
from nat_core.contracts import AdaptiveEstimator, Dataset
from nat_core.feasibility import preflight
from nat_core.forecast import Forecast, forecast
from nat_core.machine import cores
from nat_core.parts import shorthands
from nat_core.report.preflight import preflight_document, preflight_lines, preflight_table
from nat_core.report.summary import Summary, document, summarise
from nat_core.report.terminal import ROWS, Display, duration, front_table, origins
from nat_core.run import (
    Parts,
    Run,
    build,
    find_parts,
    finish,
    is_run,
    iterate,
    new_folder,
    opened,
    require_free,
    require_pictures,
)
from nat_core.run import trackers as trackers_of
from nat_core.stopping import noted


def start(config: RunConfig, out: Path | None, *, strict: bool, as_json: bool) -> None:
    """Run a config in a new folder, or go on in one that holds it."""
    parts = find_parts(config)
    _drive(parts, out or new_folder(config), frozenset(), strict=strict, as_json=as_json)


def resume(
    folder: Path,
    accept: frozenset[str],
    trackers: tuple[str, ...],
    executor: str | None,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    """Go on with the run in a folder, with other trackers or another executor where some are named."""
    config = saved_config(folder)[0]
    named = {"trackers": trackers, "executor": executor}
    config = config.followed_otherwise(**{name: value for name, value in named.items() if value})
    parts = find_parts(config)
    require_pictures(config, folder)
    _drive(parts, folder, accept, strict=strict, as_json=as_json)


def shorthands_of(config: RunConfig, words: Mapping[str, str | None]) -> list[str]:
    """Words such as `--device cuda` as settings of the estimators of a run."""
    return shorthands(words, find_parts(config).estimators.values())


def rehearse(config: RunConfig, out: Path | None, *, as_json: bool) -> None:
    """Print what would run, with which plugins, and how long it would take. Writes nothing.

    Raises `ConfigError` for a folder that the run could not be in.
    """
    parts = find_parts(config)
    if out is not None:
        require_free(out)
    run = build(parts, Path())
    expected = _expected(run)
    if as_json:
        facts = {
            "config": config.model_dump(mode="json"),
            "plugins": parts.versions(),
            "seconds": round(expected.total, 1),
            "images": {} if run.data is None else {n: len(getattr(run.data, n)) for n in ("train", "val", "test")},
            "preflight": preflight_document(preflight(run.problem)),
        }
        click.echo(json.dumps(facts))
        return
    click.echo(f"# {_what(run)}")
    click.echo(f"# expected time: {duration(expected.total)}\n#" if expected.total else "# nothing is trained\n#")
    for line in preflight_lines(preflight(run.problem)):
        click.echo(f"# {line}".rstrip())
    click.echo(f"\n{configs.dump(config, plugins=parts.versions())}")


def show_front(folder: Path, *, whole: bool, as_json: bool) -> None:
    """The front of a run folder, from its journal alone."""
    saved = saved_front(folder)
    if as_json:
        click.echo(json.dumps(document(str(folder), saved.summary, saved.space, saved.tested)))
    else:
        table = front_table(saved.summary, saved.space, saved.tested, folder, None if whole else ROWS)
        Console().print(table, *origins(saved.summary), sep="\n")


def _drive(parts: Parts, folder: Path, accept: frozenset[str], *, strict: bool, as_json: bool) -> None:
    with noted(lambda: f"Nothing recorded is lost. Go on with: nat resume {folder}" if is_run(folder) else ""):
        run = build(parts, folder, trackers_of(parts), strict=strict)
        summary, tested = _search(run, accept)
    if as_json:
        click.echo(json.dumps(document(str(folder), summary, run.space, tested)))
        return
    console = Console()
    console.print(front_table(summary, run.space, tested, folder), *origins(summary), sep="\n")
    console.print(f"\nThe run is in {folder}", highlight=False, markup=False, soft_wrap=True)


def _search(run: Run, accept: frozenset[str]) -> tuple[Summary, dict[tuple[int, ...], dict[str, float]]]:
    """The search from beginning to end, shown on stderr."""
    console = Console(stderr=True)
    shown: list[Display] = []

    def progress(phase: str, done: int, total: int) -> None:
        if shown:
            shown[0].progress(phase, done, total)

    with opened(run, progress, accept) as ledger:
        expected = _expected(run) if ledger.journal.first("finished") is None else Forecast((), ())
        takes = f"; about {duration(expected.total)}" if expected.total else ""
        console.print(f"{_what(run)}{takes}\n{run.folder}", highlight=False, markup=False, soft_wrap=True)
        if run.problem.constraints and ledger.journal.first("proposed") is None:
            console.print(preflight_table(preflight(run.problem)), highlight=False)
        with Display(console, run.space, expected, run.plan.iterations) as display:
            shown.append(display)
            seen = list[Archive]()
            archives = _noting(iterate(run, ledger), seen)
            for summary in summarise(archives, run.problem.estimators, ledger.notes):
                display.show(summary)
            return summary, finish(run, ledger, seen[-1])


def _noting(archives: Iterator[Archive], seen: list[Archive]) -> Iterator[Archive]:
    """Pass archives on, keeping the last."""
    for archive in archives:
        seen[:] = [archive]
        yield archive


def _what(run: Run) -> str:
    """What runs, on what, in a line."""
    c, data = run.config, run.data
    images = "" if data is None else f" ({_images(data)}, {len(data.classes)} classes)"
    named = [n if c.measured_by(n) in {n, c.space} else f"{n} by {c.measured_by(n)}" for n in c.objectives]
    objectives = " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
    surrogate = "without a surrogate" if run.surrogate is None else f"with {c.surrogate}"
    where = "" if run.executor is None else f", {run.executor.width} at a time by {c.executor}"
    return f"{run.subject}{images}: {objectives} by {c.optimizer} {surrogate}, preset {c.preset}{where}"


def _images(data: Dataset) -> str:
    """How many are learnt from, and how many the search measures on."""
    return f"{len(data.train):,} training and {len(data.val):,} validation images"


def _expected(run: Run) -> Forecast:
    """A forecast from a rehearsal of every estimator that can."""
    trials = [
        e.rehearse(run.plan.iterations) for e in run.problem.estimators.values() if isinstance(e, AdaptiveEstimator)
    ]
    return forecast(run.plan, trials, 1 if run.executor is None else min(run.executor.width, cores()))
