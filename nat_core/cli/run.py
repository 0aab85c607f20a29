"""`nat run`: start a run, or go on with the one in the folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nat_core import config as configs


@click.command(name="run")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--space", help="Search space.  [default: mbv3]")
@click.option(
    "--data",
    help="Data set by name, or a folder of images.  [default: digits, where something is measured on pictures]",
)
@click.option(
    "--estimator", help="What measures top1_error.  [default: the space's namesake where there is one, else top1_error]"
)
@click.option("--surrogate", help="What stands in for a costly objective; none: nothing does.  [default: rbf]")
@click.option("--optimizer", help="What proposes architectures.  [default: nsga3]")
@click.option(
    "--objective", "objectives", multiple=True, help="Lower is better; give two or more.  [default: top1_error, macs]"
)
@click.option("--device", help="What measures computes on: cpu | cuda | auto.  [default: auto]")
@click.option("--engine", help="What measures runs: torch | openvino | onnxruntime | plain.  [default: torch]")
@click.option("--constraint", "constraints", multiple=True, help="Such as 'macs<=20e6' or 'macs<=20M'; repeatable.")
@click.option("--preset", help=f"{' | '.join(configs.PRESETS)}.  [default: quick]")
@click.option("--seed", type=int, help="Of every random stream.  [default: 0]")
@click.option(
    "--tracker", "trackers", multiple=True, help="Follow the run in: tensorboard | mlflow; repeatable.  [default: none]"
)
@click.option("--executor", help="Where networks are measured: processes; none: in the run's own.  [default: none]")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder; one that holds this run is gone on with.")
@click.option("-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Set an option; repeatable.")
@click.option("--strict-plugins", is_flag=True, help="Stop where a plugin fails to measure, to fit or to listen.")
@click.option("--dry-run", is_flag=True, help="Print the resolved run, its plugins and its expected time; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout at the end, nothing else there.")
def command(
    file: Path | None,
    device: str | None,
    engine: str | None,
    preset: str | None,
    out: Path | None,
    settings: tuple[str, ...],
    strict_plugins: bool,
    dry_run: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Search for a Pareto front of networks on your data.

    With no word at all it runs the whole method on scikit-learn's digits, in a few minutes. FILE is a run file in TOML;
    words on the command line win over it. Part names are those of `nat plugins`, options those of `nat plugins show`.
    --device and --engine are short for -s top1_error.device and -s top1_error.engine, or those of another estimator.
    """
    from nat_core.cli import driver

    given = {name: value for name, value in words.items() if value not in (None, ())}
    config = configs.resolve(preset, file, given, settings)
    if device is not None or engine is not None:
        short = driver.shorthands_of(config, {"device": device, "engine": engine})
        config = configs.resolve(preset, file, given, (*short, *settings))
    if dry_run:
        driver.rehearse(config, out, as_json=as_json)
    else:
        driver.start(config, out, strict=strict_plugins, as_json=as_json)
