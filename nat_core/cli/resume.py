"""`nat resume`: go on with a run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="resume")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--accept", multiple=True, type=click.Choice(["data", "plugins"]), help="Go on although these changed.")
@click.option("--tracker", "trackers", multiple=True, help="In place of the run's own; none: no tracker.")
@click.option("--executor", help="In place of the run's own; none: in the run's own process.")
@click.option("--strict-plugins", is_flag=True, help="Stop where a plugin fails to measure, to fit or to listen.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout at the end, nothing else there.")
def command(
    run: Path,
    accept: tuple[str, ...],
    trackers: tuple[str, ...],
    executor: str | None,
    strict_plugins: bool,
    as_json: bool,
) -> None:
    """Go on with the run in the folder RUN, as if it had never stopped.

    Refuses, and says why, if its data, plugins or config changed since it began.
    """
    from nat_core.cli import driver

    driver.resume(run, frozenset(accept), trackers, executor, strict=strict_plugins, as_json=as_json)
