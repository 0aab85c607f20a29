"""`nat plot`: a figure for a paper."""

from __future__ import annotations

from pathlib import Path

import click

FIGURES = ("front", "hypervolume", "predicted")


@click.command(name="plot")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="File; its ending says what it is: svg, pdf, png."
)
@click.option(
    "--figure",
    default="front",
    show_default=True,
    type=click.Choice(FIGURES),
    help="What is drawn; predicted: one RUN.",
)
@click.option("--x", help="Objective to the right.  [default: the second]")
@click.option("--y", help="Objective upwards.  [default: the first]")
@click.option(
    "--width", default=85.0, show_default=True, type=click.FloatRange(30, 600), help="Millimetres; text has 8 points."
)
def command(runs: tuple[Path, ...], out: Path, figure: str, x: str | None, y: str | None, width: float) -> None:
    """Draw the front of the run in the folder RUN, or of several runs, for a paper. Reads only."""
    from nat_core.cli.stories import saved_story
    from nat_core.cli.words import publishing
    from nat_core.report.figure import FORMATS, require_format, save
    from nat_core.report.figure import figure as draw

    require_format(out, FORMATS)
    drawn = draw(figure, [saved_story(run) for run in runs], x, y, width)
    with publishing(out):
        save(drawn, out)
    click.echo(str(out))
