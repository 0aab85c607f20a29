"""`nat pick`: one architecture from the front of a run, and why."""

from __future__ import annotations

from pathlib import Path

import click

from nat_core.errors import ConfigError
from nat_core.measures import quantity
from nat_core.problem import Constraint


@click.command(name="pick")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--knee", is_flag=True, help="Where moving on costs most for what it gains; the default.")
@click.option("--best", metavar="OBJECTIVE", help="The least of one objective, such as top1_error, within the bounds.")
@click.option(
    "--prefer", multiple=True, metavar="OBJECTIVE=VALUE", help="Nearest to a value, such as 'macs=200e6'; repeatable."
)
@click.option(
    "--max",
    "at_most",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of an objective or any cost, 'macs=300e6'; repeatable.",
)
@click.option("--min", "at_least", multiple=True, metavar="NAME=VALUE", help="The same from below; repeatable.")
@click.option("-n", "count", type=click.IntRange(min=1), default=1, show_default=True, help="So many different ones.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
def command(
    run: Path,
    knee: bool,
    best: str | None,
    prefer: tuple[str, ...],
    at_most: tuple[str, ...],
    at_least: tuple[str, ...],
    count: int,
    as_json: bool,
) -> None:
    """Choose an architecture from the front of the run in the folder RUN, and say why. Reads only.

    Write values as 300e6 or 300M, 0.05 or 5%, 25ms. Bounds leave out; from what is left, knee, best or preference
    choose.
    The most accurate network below a limit is --best top1_error --max macs=300M.
    """
    ways = [way for way, given in (("--knee", knee), ("--best", best), ("--prefer", prefer)) if given]
    if len(ways) > 1:
        raise ConfigError(
            f"{' and '.join(ways)} are {len(ways)} ways to choose: give one of them; --max and --min go with each"
        )
    bounds = [*(_bound("--max", text, "<=") for text in at_most), *(_bound("--min", text, ">=") for text in at_least)]
    wishes = [quantity("--prefer", text) for text in prefer]
    if len({name for name, _ in wishes}) < len(wishes):
        raise ConfigError(f"--prefer is given twice for one objective: {', '.join(prefer)}")
    _pick(run, bounds, dict(wishes), best or "", count, as_json=as_json)


def _pick(
    folder: Path, bounds: list[Constraint], wishes: dict[str, float], best: str, count: int, *, as_json: bool
) -> None:
    import json

    from rich.console import Console

    from nat_core.choosing import choose
    from nat_core.cli.saved import cost_models, saved_front
    from nat_core.errors import unknown
    from nat_core.measures import column
    from nat_core.report.choice import choice_document, choice_table

    saved = saved_front(folder)
    front = saved.summary.front
    best = column(best) if best else best
    for name in (*wishes, *([best] if best else ())):
        if name not in front.names:
            raise ConfigError(unknown("objective of this run", name, front.names, "Bounds may be on any cost."))
    costs = cost_models(saved, [b.name for b in bounds if b.name not in front.names])
    choice = choose(front, bounds, wishes, count, costs, best)
    if as_json:
        click.echo(json.dumps(choice_document(str(folder), front, choice, saved.space, saved.tested)))
    else:
        Console().print(choice_table(front, choice, saved.space, saved.tested), highlight=False)


def _bound(option: str, text: str, relation: str) -> Constraint:
    name, value = quantity(option, text)
    return Constraint(name, relation, value)
