"""`nat compare`: several runs beside each other, as a table and as one page that a browser shows."""

from __future__ import annotations

from pathlib import Path

import click

from nat_core.errors import ConfigError


@click.command(name="compare")
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="HTML file.  [default: none, the table alone]")
@click.option("--json", "as_json", is_flag=True, help="What stands in the page as one JSON document.")
def command(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Compare the runs in several folders: fronts, and hypervolumes with one reference point. Reads only.

    The runs need two objectives in common; a hypervolume needs all of them.
    """
    import json

    from rich.console import Console

    from nat_core.cli.stories import saved_story
    from nat_core.cli.words import publishing
    from nat_core.report.compare import compare_table
    from nat_core.report.contents import compare_contents
    from nat_core.report.page import render, write

    if len(runs) < 2:
        raise ConfigError(f"there is one run to compare, {runs[0]}: give two or more, or show it with nat report")
    contents = compare_contents([saved_story(run) for run in runs])
    if out is not None:
        with publishing(out):
            write(out, render(contents))
    if as_json:
        click.echo(json.dumps(contents, allow_nan=False))
        return
    Console().print(compare_table(contents), highlight=False)
    if out is not None:
        click.echo(str(out))
