"""`nat plugins`: what is installed, from where, and what failed to load; `nat plugins show`: the options of one."""

from __future__ import annotations

import json
import re

import click

from nat_core import options
from nat_core.cli.groups import Group
from nat_core.errors import PluginError, unknown
from nat_core.plugins import HOOKS, Offer, load


@click.group(name="plugins", cls=Group, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List every plugin of every kind, with its distribution and version.

    A plugin that failed to load is listed with its error; everything else works.
    """
    if ctx.invoked_subcommand is not None:
        return
    offers = load().offers
    if as_json:
        fields = ("kind", "name", "distribution", "version", "status", "error")
        click.echo(json.dumps({"plugins": [{f: getattr(o, f) for f in fields} for o in offers]}))
    else:
        _print(sorted(offers, key=lambda o: (o.kind, o.name, o.distribution)))


@command.command(name="show", short_help="The options of a plugin.")
@click.argument("kind", metavar="KIND")
@click.argument("name", metavar="[NAME]", required=False)
def show(kind: str, name: str | None) -> None:
    """Show the options of one plugin: their types, defaults and meaning; without NAME, the plugins of a kind.

    KIND may be written short, such as surrogate or cost.
    """
    registry = load()
    if name is None:
        _print([o for o in registry.offers if o.kind == _kind(kind)])
        return
    offer = registry.find(_kind(kind), name)
    assert offer.factory is not None  # noqa: S101 - find() returns working offers alone
    click.echo(f"{offer.kind} {offer.name}, of {offer.where}")
    click.echo((offer.factory.__doc__ or "").strip())
    click.echo(options.describe(offer.name, offer.factory))


def _kind(word: str) -> str:
    """The kind that a word means: `cost`, `cost-model` and `cost_models` are one. Raises `PluginError` for none."""
    plain = re.sub(r"[-_ ]", "", word).rstrip("s")
    kinds = [k for k in HOOKS if plain and plain in re.sub("_", "", k)]
    if len(kinds) != 1:
        raise PluginError(unknown("kind of plugin", word, HOOKS))
    return kinds[0]


def _print(offers: list[Offer]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for heading in ("kind", "name", "distribution", "version", "status"):
        table.add_column(heading)
    for o in offers:
        status = Text(o.status, style="" if o.status == "ok" else "bold red")
        table.add_row(o.kind, o.name, o.distribution, o.version, status)
    console = Console()
    console.print(table)
    for o in offers:
        if o.error:
            console.print(Text(f"{o.name} of {o.where}: {o.error}", style="red"))
