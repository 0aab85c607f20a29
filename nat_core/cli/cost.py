"""`nat cost`: what architectures cost, thousands a second."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from nat_core import config as configs
from nat_core import options, plugins
from nat_core.config import part_name
from nat_core.contracts import SearchSpace, SupernetSpace
from nat_core.encoding import as_architectures, as_encodings, corners
from nat_core.errors import ConfigError, NatError
from nat_core.measures import Measure, measure
from nat_core.parts import Given, factory, make, require_parts, settings_of_parts
from nat_core.plugins import Offer

_SPACE = "mbv3"


@click.command(name="cost")
@click.argument("architectures", nargs=-1, metavar="ARCH...")
@click.option("--space", help=f"Search space.  [default: {_SPACE}]")
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), help="Take the space as the run in this folder has it."
)
@click.option("--cost", "costs", multiple=True, help="Cost model; repeatable.  [default: macs, params]")
@click.option(
    "--file", "file", type=click.Path(dir_okay=False, path_type=Path), help="Architectures as JSON, one a line."
)
@click.option("-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Such as mbv3.classes=10.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
def command(
    architectures: tuple[str, ...],
    space: str | None,
    folder: Path | None,
    costs: tuple[str, ...],
    file: Path | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what the architectures ARCH cost: in the space's short text form, or as a JSON dictionary.

    The short form counts input sides from the smallest of the space, and a space without a run has other sides and
    more classes than one on your data: with a network of a front, name its run.
    """
    rows = [*_words(architectures), *(_lines(file) if file else ())]
    if not rows:
        raise ConfigError("no architecture is given: name one, such as 08011001440551052208877, or a --file of them")
    given = settings_of_parts(settings, "mbv3.classes=10")
    priced_by = [_measure(name) for name in costs or ("macs", "params")]
    offers = [m.offer for m in priced_by]
    priced = _named(space or _SPACE, given, offers) if folder is None else _of_run(folder, space, given, offers)
    table = price(priced, priced_by, rows)
    if as_json:
        run = {} if folder is None else {"run": str(folder)}
        click.echo(json.dumps({**run, "space": priced.offer.name, "rows": table}))
    else:
        _print(table, _assumed(priced, folder))


@dataclass(frozen=True)
class Priced:
    """The space that architectures are of, and what cost models are told beside it."""

    offer: Offer
    space: SearchSpace
    given: Given
    context: Mapping[str, Any]


def _named(name: str, given: Given, costs: list[Offer]) -> Priced:
    """A space with its own defaults, but for what is given."""
    offer = plugins.registry().find("search_spaces", name)
    require_parts(given, [offer, *costs])
    return Priced(offer, make(given, offer, {}), given, {})


def _of_run(folder: Path, space: str | None, given: Given, costs: list[Offer]) -> Priced:
    """The space of a run folder, and the options of its costs, but for what is given."""
    from nat_core.cli.saved import saved_config
    from nat_core.run import build_space

    config, tables = saved_config(folder)
    if space is not None:
        raise ConfigError(f"--run takes the space of {folder}, which is {config.space}: leave --space {space} out")
    if (part := part_name(config.space)) in given:
        raise ConfigError(
            f"--run takes {part} as {folder} has it: leave out -s {part}.{next(iter(given[part]))}, or --run; "
            "options of cost models may be set"
        )
    merged = configs.merged_layers(config.options, given)
    asked = {*given, *(part_name(cost.name) for cost in costs)}
    require_parts({part: values for part, values in merged.items() if part in asked}, costs)
    offer = plugins.registry().find("search_spaces", config.space)
    context = {"seed": config.seed, **tables.get("context", {})}
    return Priced(offer, build_space(config, offer, tables), merged, context)


def _measure(name: str) -> Measure:
    """A cost model, or an estimator that needs no data."""
    found = measure(name, "cost_models", "estimators")
    if found.offer.kind == "estimators" and options.takes_data(found.offer.factory):
        raise ConfigError(f"{name} is measured on data: `nat run` and `nat evaluate` do that")
    return found


def price(priced: Priced, costs: list[Measure], rows: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """A row per architecture: its short text form and its costs. `rows` are (where it stands, what stands there)."""
    space = priced.space
    architectures = [_parse(space, where, text) for where, text in rows]
    X = as_encodings(architectures, len(space.variables))
    columns = {m.column: _values(m.offer.kind, make(priced.given, m.offer, priced.context, space)(X)) for m in costs}
    names = [str(space.describe(a)["architecture"]) for a in architectures]
    return [
        {"architecture": name, **{cost: _whole(values[i]) for cost, values in columns.items()}}
        for i, name in enumerate(names)
    ]


def _values(kind: str, found: Any) -> list[float]:
    """What a cost model gives, or an estimator's measurements. Raises `ConfigError` for one that failed."""
    if kind == "cost_models":
        values: list[float] = found.tolist()
        return values
    for failed in (m for m in found if not np.isfinite(m.value)):
        raise ConfigError(f"an architecture could not be measured: {failed.reason}")
    return [float(m.value) for m in found]


def _assumed(priced: Priced, folder: Path | None) -> str:
    """What the numbers depend on and no name says, in a line: classes and input sides, where the space has them."""
    facts, mine = [], priced.given.get(part_name(priced.offer.name), {})
    if (option := options.options(factory(priced.offer)).get("classes")) is not None:
        classes = mine.get("classes", priced.context.get("classes", option.default))
        facts.append(f"{classes:,} classes" if isinstance(classes, int) else f"{classes} classes")
    if isinstance(priced.space, SupernetSpace):
        ends = as_architectures(priced.space.canonicalize(corners(priced.space.variables)))
        sides = dict.fromkeys(priced.space.input_shape(a)[-1] for a in ends)
        facts.append(f"inputs of {' … '.join(map(str, sides))} px")
    if not facts:
        return ""
    if folder is not None:
        return f"{priced.offer.name} as {folder} has it: {', '.join(facts)}"
    return f"assumed: {', '.join(facts)} (--run RUN: as in that run)"


def _words(architectures: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for word in architectures:
        yield "", _json(word, "") if word.lstrip().startswith(("{", "[")) else word


def _lines(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            where = f"{file}, line {number}: "
            yield where, _json(line, where)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{where}this is not JSON: {error}; write a string in quotes, or an object with ks, e, d, r, w"
        ) from None


def _parse(space: Any, where: str, text: object) -> tuple[int, ...]:
    try:
        architecture: tuple[int, ...] = space.parse(text)
    except NatError as error:
        raise ConfigError(f"{where}{error}") from None
    return architecture


def _whole(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}" if isinstance(value, float) else str(value)


def _print(table: list[dict[str, Any]], assumed: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None)
    for name in table[0]:
        shown.add_column(name, justify="left" if name == "architecture" else "right", no_wrap=True)
    for row in table:
        shown.add_row(*(_shown(v) for v in row.values()))
    console = Console()
    console.print(shown)
    if assumed:
        console.print(Text(assumed, style="dim"))
