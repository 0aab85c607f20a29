"""`nat report`: a run as one page that a browser shows."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="HTML file.  [default: report.html in RUN]")
@click.option("--json", "as_json", is_flag=True, help="What stands in the page as one JSON document; writes no page.")
def command(run: Path, out: Path | None, as_json: bool) -> None:
    """Write the run in the folder RUN, as far as it has come, as a page: its front, how it came about, its failures.

    The page is one file that needs no network and no server. A run writes it by itself after each iteration.
    """
    import json

    from nat_core.cli.stories import saved_story
    from nat_core.cli.words import publishing
    from nat_core.report.contents import run_contents
    from nat_core.report.page import PAGE, render, write

    contents = run_contents(saved_story(run))
    if as_json:
        click.echo(json.dumps(contents, allow_nan=False))
        return
    file = run / PAGE if out is None else out
    with publishing(file):
        write(file, render(contents))
    click.echo(str(file))
