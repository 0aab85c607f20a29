"""`nat latency`: a latency table of your own device, and how far it can be trusted."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from nat_core import plugins
from nat_core.cli.groups import Group
from nat_core.config import part_name
from nat_core.contracts import BuildableOperators, Engine, Progress, SearchSpace
from nat_core.durable import publish_text
from nat_core.errors import ConfigError
from nat_core.latency.building import Build, build, plan, require_new
from nat_core.latency.measuring import Effort
from nat_core.latency.tables import LatencyTable, choose, devices, text_of
from nat_core.latency.verifying import Verified, noted, verify
from nat_core.options import options
from nat_core.parts import factory, make, require_parts, settings_of_parts
from nat_core.report.words import per_cent
from nat_core.stopping import noted as noted_stop

_FILE = click.Path(dir_okay=False, path_type=Path)
_SETTINGS = click.option(
    "-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Such as mbv3.widths=1.0; repeatable."
)
_SPACE = click.option("--space", default="mbv3", show_default=True, help="Search space.")
_SEED = click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the networks drawn.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout at the end.")


@click.group(name="latency", cls=Group)
def command() -> None:
    """Measure what the operators of a search space take on your device, as a table for the cost latency."""


@command.command(name="build", short_help="Time every operator of a space on a device.")
@_SPACE
@click.option("--device", default="cpu", show_default=True, help="What computes: cpu, cuda.")
@click.option("--engine", default="torch", show_default=True, help="What runs networks: torch, openvino, onnxruntime.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Of a processor.")
@click.option("--batch", default=1, show_default=True, type=click.IntRange(1), help="Images at a time.")
@click.option("--out", required=True, type=_FILE, help="File of the table; the same command goes on after a stop.")
@click.option("--name", help="Of the device in the table.  [default: the device and the engine]")
@click.option(
    "--networks-per-operator",
    "occurrences",
    default=16,
    show_default=True,
    type=click.IntRange(1),
    help="In how many whole networks each operator is measured: fewer is faster and less exact.",
)
@_SEED
@_SETTINGS
@_JSON
def build_command(
    space: str,
    device: str,
    engine: str,
    threads: int,
    batch: int,
    out: Path,
    name: str | None,
    occurrences: int,
    seed: int,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Time every operator of a space, alone and inside whole networks, and write a table of milliseconds.

    What is measured is kept beside the file as it comes. Use the table with -s latency.table=FILE, after nat latency
    verify has said how far it can be trusted.
    """
    name = name or f"{device}-{engine}"
    require_new(out, name)
    words = {"device": device, "threads": threads}
    built, timer, given = _parts(space, engine, words, settings, only_words=words)
    identity = {
        "space": space,
        "options": {part: dict(sorted(values.items())) for part, values in sorted(given.items())},
        "engine": dict(timer.about),
        "batch": batch,
        "occurrences": occurrences,
        "seed": seed,
    }
    planned = plan(built, occurrences, seed)
    work = Build(planned, timer, out, name, identity, Effort(), batch, seed)
    said = f"What is measured stands in {work.journal}; the same command goes on."
    with noted_stop(lambda: said), _shown() as (console, progress):
        parts = f"{len(planned.operators):,} operators, and {len(planned.rows):,} networks made of them"
        console.print(f"{parts}, with {_engine_in_words(timer)}", highlight=False, soft_wrap=True)
        table = build(work, progress)
    if as_json:
        click.echo(json.dumps({"table": str(out), "name": name, "operators": len(table.times), **table.about}))
    else:
        error = per_cent(float(str(table.about["expected_error"])), 1)
        click.echo(
            f"{len(table.times):,} operators in {out}, as {name}. A network that was left out is predicted to "
            f"{error}.\nCheck it on new ones: {shlex.join(_check(out, name, space, settings))}"
        )


@command.command(name="verify", short_help="Compare a table with whole networks.")
@click.argument("table", type=_FILE)
@_SPACE
@click.option("--device", "name", help="Which of the table's devices.  [default: the only one]")
@click.option("--engine", help="What runs networks.  [default: as the table was built]")
@click.option("--threads", type=click.IntRange(1), help="Of a processor.  [default: as the table was built]")
@click.option("--networks", default=20, show_default=True, type=click.IntRange(3), help="Random ones to measure.")
@click.option("--keep/--no-keep", default=True, show_default=True, help="Write what is found into the table.")
@_SEED
@_SETTINGS
@_JSON
def verify_command(
    table: Path,
    space: str,
    name: str | None,
    engine: str | None,
    threads: int | None,
    networks: int,
    keep: bool,
    seed: int,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure whole random networks, and compare them with what the table says they take.

    Prints the mean absolute error, the rank correlation (Kendall), and the line that corrects sums to whole networks;
    they are kept in the table, and the cost latency uses the line where it helps.
    """
    found = devices(table)
    chosen = choose(found, name, table)
    device = next(key for key, value in found.items() if value is chosen)
    about = chosen.about if "reference" in chosen.about else {}  # a published table is of some other device
    words = {"device": "cpu", "threads": 1} | {k: about[k] for k in ("device", "precision", "threads") if k in about}
    said = {} if threads is None else {"threads": threads}
    used = engine or str(about.get("engine", "torch"))
    built, timer, _ = _parts(space, used, words | said, settings, only_words=said)
    if not isinstance(built, BuildableOperators):
        raise ConfigError(f"the space {space} cannot make its operators, so they cannot be measured")
    with noted_stop(lambda: "Nothing was written."), _shown() as (console, progress):
        console.print(f"{networks} networks, with {_engine_in_words(timer)}", highlight=False, soft_wrap=True)
        verified = verify(chosen, built, timer, networks, seed, Effort(), progress)
    kept = keep and bool(about)
    if kept:
        _keep(table, device, chosen, verified)
    if as_json:
        rows = zip(verified.names, verified.sums.tolist(), verified.measured.tolist(), strict=True)
        listed = [{"architecture": n, "table_ms": s, "measured_ms": m} for n, s, m in rows]
        document = {key: _plain(value) for key, value in verified.outline().items()}
        click.echo(json.dumps({"table": str(table), "name": device, **document, "rows": listed}, allow_nan=False))
    else:
        click.echo(_in_words(verified, own=bool(about), kept=kept))


def _keep(file: Path, device: str, table: LatencyTable, verified: Verified) -> None:
    """Write what was found into the file, where its other devices stay."""
    publish_text(file, text_of({**devices(file), device: noted(table, verified)}))


def _in_words(found: Verified, *, own: bool, kept: bool) -> str:
    """What was found. Of a published table nobody knows how fast its device was."""
    scale, offset = found.correction
    slower = "slower" if found.pace > 1 else "faster"
    pace = f"the device is {per_cent(abs(found.pace - 1), 1)} {slower} than when it was built"
    spanned = f"{found.measured.min():.3g} … {found.measured.max():.3g} ms"
    corrected = per_cent(found.corrected_error, 1)
    verdict = "not used, for that is not surely better."
    if found.helps:
        verdict = "the cost latency uses that." if kept else "not used, for it was not written into the table."
    lines = [
        f"Sums are off by {per_cent(found.error, 1)} on average over {len(found.names)} networks ({spanned}).",
        f"Rank correlation with what was measured (Kendall): {found.kendall:.2f}.",
        f"The same network, prepared anew, differs by {per_cent(found.scatter, 1)}: each was prepared several times.",
        *([f"Today {pace}: without taking that out they are off by {per_cent(found.error_today, 1)}."] if own else []),
        f"Corrected to {scale:.3f} · sum {offset:+.3f} ms they would be off by {corrected}: {verdict}",
    ]
    return "\n".join(lines)


def _parts(
    space: str, engine: str, words: Mapping[str, Any], settings: tuple[str, ...], *, only_words: Collection[str]
) -> tuple[SearchSpace, Engine, dict[str, dict[str, Any]]]:
    """The space and the engine, with their options: what a setting says comes before a word, unless only words may."""
    registry = plugins.registry()
    given = settings_of_parts(settings, "mbv3.widths=1.0")
    offers = registry.find("search_spaces", space), registry.find("engines", engine)
    require_parts(given, offers)
    mine = given.get(part_name(offers[1].name), {})
    for word in sorted(mine.keys() & set(only_words)):
        raise ConfigError(f"-s {offers[1].name}.{word} and --{word} say the same: give --{word} alone")
    known = {word: value for word, value in words.items() if word in options(factory(offers[1]))}
    timer: Engine = make({part_name(offers[1].name): {**known, **mine}}, offers[1], {})
    return make(given, offers[0], {}), timer, given


def _engine_in_words(engine: Engine) -> str:
    about = dict(engine.about)
    return (
        f"{about.pop('engine', 'an engine')} {about.pop('engine_version', '')} on {about.pop('processor', '')} ("
        + ", ".join(f"{key} {value}" for key, value in about.items())
        + ")"
    )


def _check(out: Path, name: str, space: str, settings: tuple[str, ...]) -> Iterator[str]:
    """The words of the command that verifies a table."""
    yield from ("nat", "latency", "verify", str(out))
    if len(devices(out)) > 1:
        yield from ("--device", name)
    yield from ("--space", space)
    for text in settings:
        yield from ("-s", text)


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def _shown() -> Iterator[tuple[Any, Progress]]:
    """A bar with the time left on a terminal; else a line now and then. No thread: it would disturb what is timed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bar = Bar(*columns, console=console, auto_refresh=False, disable=not console.is_terminal, transient=True)
    tasks: dict[str, Any] = {}
    said = [0.0]

    def progress(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total)
        bar.refresh()
        if not console.is_terminal and (done == total or done / total - said[0] >= 0.1 or done / total < said[0]):
            said[0] = done / total
            console.print(f"{what} {done:,}/{total:,}{_left(bar, tasks[what])}", highlight=False)

    with bar:
        yield console, progress


def _left(bar: Any, task: Any) -> str:
    left = bar.tasks[task].time_remaining
    return "" if not left else f", about {math.ceil(left / 60)} min left"
