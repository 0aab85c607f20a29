"""`nat front`: the Pareto front of a run, finished or not."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="front")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--all", "whole", is_flag=True, help="Every architecture, however many they are.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
def command(run: Path, whole: bool, as_json: bool) -> None:
    """Show the Pareto front of the run in the folder RUN, as far as it has come. Reads only."""
    from nat_core.cli import driver

    driver.show_front(run, whole=whole, as_json=as_json)
