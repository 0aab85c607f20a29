"""`nat cost`: what architectures cost, thousands a second."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nat_core import config as configs
from nat_core import options, plugins
from nat_core.encoding import as_encodings
from nat_core.errors import ConfigError, NatError, unknown
from nat_core.plugins import Offer


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
    registry, given = plugins.registry(), _options(settings)
    offers = [registry.find("search_spaces", space), *(registry.find("cost_models", c) for c in costs)]
    _require_parts(given, offers)
    built = _make(offers[0], given)
    architectures = [_parse(built, where, text) for where, text in rows]
    X = as_encodings(architectures, len(built.variables))
    columns = {o.name: _make(o, given, built)(X).tolist() for o in offers[1:]}
    names = [str(built.describe(a)["architecture"]) for a in architectures]
    return [
        {"architecture": name, **{cost: _whole(values[i]) for cost, values in columns.items()}}
        for i, name in enumerate(names)
    ]


def _options(settings: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    given: dict[str, dict[str, Any]] = {}
    for text in settings:
        layer = configs.setting(text)
        if set(layer) != {"options"}:
            raise ConfigError(f"cannot use the setting {text!r} here: write part.option=value, such as mbv3.classes=10")
        for part, values in layer["options"].items():
            given.setdefault(part, {}).update(values)
    return given


def _require_parts(given: dict[str, dict[str, Any]], offers: list[Offer]) -> None:
    names = {o.name for o in offers}
    for part in given:
        if part not in names:
            raise ConfigError(f"options are set for {part!r}: {unknown('part', part, names)}")


def _make(offer: Offer, given: dict[str, dict[str, Any]], *arguments: object) -> Any:
    assert offer.factory is not None  # noqa: S101 - the registry finds working offers alone
    return offer.factory(*arguments, **options.checked(offer.name, offer.factory, given.get(offer.name, {})))


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
