"""`nat pretrain`: a supernet before any search."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from nat_core import config as configs
from nat_core.cli.epochs import shown
from nat_core.parts import data_and_settings
from nat_core.pretraining import Epoch, PretrainConfig, Pretraining, build, pretrain
from nat_core.report.words import per_cent
from nat_core.stopping import noted


@click.command(name="pretrain")
@click.option("--space", default="mbv3", show_default=True, help="Search space, with a supernet.")
@click.option("--data", default="digits", show_default=True, help="Data set by name, or a folder of images.")
@click.option("--method", default="sandwich", show_default=True, help="A pretrainer: sandwich, progressive.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of every random stream.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder; one that holds this goes on.")
@click.option("-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Set an option; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout at the end, nothing else there.")
def command(space: str, data: str, method: str, seed: int, out: Path, settings: tuple[str, ...], as_json: bool) -> None:
    """Train a supernet on your data, from random weights or from a checkpoint, for searches to begin from.

    The same command goes on after an interruption, and gives the same weights. The result is OUT/supernet.safetensors:
    nat run -s mbv3.weights=OUT/supernet.safetensors. From a checkpoint: -s mbv3.weights=FILE.
    """
    training = build(resolve(space, data, method, seed, settings), out)
    epochs = list[Epoch]()
    head, note = (_about(training), str(training.folder)), f"epochs are in {out}; the same command goes on."
    with noted(lambda: f"{len(epochs)} {note}"), shown(training.pretrainer.epochs, *head) as show:
        for epoch in pretrain(training, show.progress):
            epochs.append(epoch)
            show.epoch(epoch.number, epoch.loss, epoch.seconds, epoch.phase, _errors(epoch))
    if as_json:
        rows = [{"phase": e.phase, "errors": dict(e.errors), "loss": e.loss, "seconds": e.seconds} for e in epochs]
        click.echo(json.dumps({"weights": str(training.result), "epochs": rows}, allow_nan=False))
    else:
        words = shlex.join(_search(training, data, settings))
        click.echo(f"The supernet is in {training.result}\nSearch with it: {words}")


def resolve(space: str, data: str, method: str, seed: int, settings: tuple[str, ...]) -> PretrainConfig:
    """The words of the command line as a config."""
    name, options = data_and_settings(data, settings, "sandwich.epochs=9")
    return PretrainConfig(space, name, method, seed, options)


def _about(training: Pretraining) -> str:
    """What is trained, how, and on what, in a line."""
    data, config = training.data, training.config
    about = f"{config.space} on {config.data} ({len(data.train):,} training images, {len(data.classes)} classes)"
    return f"{about} by {config.method}"


def _errors(epoch: Epoch) -> str:
    return ", ".join(f"{name} {per_cent(value)} wrong" for name, value in epoch.errors.items())


def _search(training: Pretraining, data: str, settings: tuple[str, ...]) -> Iterator[str]:
    """The words of the command of a search that begins from the result, on the same data in the same space."""
    config, weights = training.config, str(training.result)
    space = configs.part_name(config.space)
    yield from ("nat", "run", "--space", config.space, "--data", data)
    for text in settings:
        ((part, options),) = configs.setting(text)["options"].items()
        if part in {space, configs.part_name(config.data)} and (part != space or "weights" not in options):
            yield from ("-s", text)
    yield from ("-s", f"{space}.weights={json.dumps(weights) if ',' in weights else weights}")  # not a list of two
