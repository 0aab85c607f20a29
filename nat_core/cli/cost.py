"""`nat cost`: what architectures cost, thousands a second."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nat_core import plugins
from nat_core.encoding import as_encodings
from nat_core.errors import ConfigError, NatError
from nat_core.parts import make, require_parts, settings_of_parts


@click.command(name="cost")
@click.argument("architectures", nargs=-1, metavar="ARCH...")
@click.option("--space", default="mbv3", show_default=True, help="Search space.")
@click.option("--cost", "costs", multiple=True, help="Cost model; repeatable.  [default: macs, params]")
@click.option(
    "--file", "file", type=click.Path(dir_okay=False, path_type=Path), help="Architectures as JSON, one a line."
)
@click.option("-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Such as mbv3.classes=10.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
def command(
    architectures: tuple[str, ...],
    space: str,
    costs: tuple[str, ...],
    file: Path | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what the architectures ARCH cost: in the space's short text form, or as a JSON dictionary."""
    rows = [*_words(architectures), *(_lines(file) if file else ())]
    if not rows:
        raise ConfigError("no architecture is given: name one, such as 08011001440551052208877, or a --file of them")
    table = price(space, costs or ("macs", "params"), rows, settings)
    if as_json:
        click.echo(json.dumps({"space": space, "rows": table}))
    else:
        _print(table)


def price(
    space: str, costs: tuple[str, ...], rows: list[tuple[str, Any]], settings: tuple[str, ...]
) -> list[dict[str, Any]]:
    """A row per architecture: its short text form and its costs. `rows` are (where it stands, what stands there)."""
    registry, given = plugins.registry(), settings_of_parts(settings, "mbv3.classes=10")
    offers = [registry.find("search_spaces", space), *(registry.find("cost_models", c) for c in costs)]
    require_parts(given, offers)
    built = make(given, offers[0], {})
    architectures = [_parse(built, where, text) for where, text in rows]
    X = as_encodings(architectures, len(built.variables))
    columns = {o.name: make(given, o, {}, built)(X).tolist() for o in offers[1:]}
    names = [str(built.describe(a)["architecture"]) for a in architectures]
    return [
        {"architecture": name, **{cost: _whole(values[i]) for cost, values in columns.items()}}
        for i, name in enumerate(names)
    ]


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


def _print(table: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None)
    for name in table[0]:
        shown.add_column(name, justify="left" if name == "architecture" else "right", no_wrap=True)
    for row in table:
        shown.add_row(*(_shown(v) for v in row.values()))
    Console().print(shown)
