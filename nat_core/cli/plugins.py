"""`nat plugins`: what is installed, from where, and what failed to load; `nat plugins show`: the options of one."""

from __future__ import annotations

import json

import click

from nat_core import options
from nat_core.plugins import HOOKS, Offer, load


@click.group(name="plugins", invoke_without_command=True, short_help="What is installed, from where.")
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


@command.command(name="show")
@click.argument("kind", metavar="KIND")
@click.argument("name", metavar="NAME")
def show(kind: str, name: str) -> None:
    """Show the options of one plugin: their types, defaults and meaning. KIND may be singular: surrogate."""
    offer = load().find(_plural(kind), name)
    assert offer.factory is not None  # noqa: S101 - find() returns working offers alone
    click.echo(f"{offer.kind} {offer.name}, of {offer.where}")
    click.echo((offer.factory.__doc__ or "").strip())
    click.echo(options.describe(offer.name, offer.factory))


def _plural(kind: str) -> str:
    kind = kind.replace("-", "_")
    return next((k for k in HOOKS if kind in {k, k.rstrip("s"), k.removeprefix("search_").rstrip("s")}), kind)


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
