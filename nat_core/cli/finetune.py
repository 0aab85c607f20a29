"""`nat finetune`: one network of a run, trained alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from nat_core.cli.epochs import shown
from nat_core.cli.saved import chosen, saved_front
from nat_core.cli.words import errors_in_words, within_memory
from nat_core.config import part_name
from nat_core.finetuned import ABOUT, RESULT
from nat_core.finetuning import Epoch, FinetuneConfig, Finetuning, build, finetune, with_words
from nat_core.parts import settings_of_parts
from nat_core.stopping import noted


@click.command(name="finetune")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("architecture", required=False, metavar="[ARCH]")
@click.option("--method", default="finetune", show_default=True, help="A fine-tuner.")
@click.option("--evaluator", default="errors", show_default=True, help="What measures the network.")
@click.option("--device", help="cpu | cuda | auto: that all of it computes on.  [default: auto]")
@click.option("--engine", help="What runs the network to measure it: torch | openvino | onnxruntime | plain.")
@click.option("--test", is_flag=True, help="Measure the result on the test split as well: do it once, at the end.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder; one that holds this goes on.  [default: in RUN/finetuned, by architecture]",
)
@click.option("-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Set an option; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout at the end, nothing else there.")
def command(
    run: Path,
    architecture: str | None,
    method: str,
    evaluator: str,
    device: str | None,
    engine: str | None,
    test: bool,
    out: Path | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train one network of the run in the folder RUN alone, from the weights that the run left it.

    ARCH is an architecture as nat front and nat pick show it; without it, the one at the knee of the front. The better
    of before and after, by the validation images, is written as safetensors, beside a description in JSON. The run is
    only read. The same command goes on after an interruption, and gives the same weights.

    Options are those of the fine-tuner, such as -s finetune.epochs=40 or -s finetune.distillation=0.5, of the
    evaluator, and of the run's own parts.
    """
    saved = saved_front(run)
    config = FinetuneConfig(method, evaluator, settings_of_parts(settings, "finetune.epochs=40"))
    config = with_words(saved.config, config, {"device": device, "engine": engine})
    less = (
        f"set fewer images at a time, as -s {part_name(evaluator)}.batch_size=16, or another --device, and a new --out"
    )
    with within_memory("train and measure this network", less):
        training = build(saved.config, run, chosen(saved, architecture), config, out)
        epochs = _epochs(training, test=test)
    document = json.loads((training.folder / ABOUT).read_text(encoding="utf-8"))
    if as_json:
        rows = [{"loss": e.loss, "seconds": e.seconds} for e in epochs]
        click.echo(json.dumps({"folder": str(training.folder), **document, "epochs": rows}, allow_nan=False))
    else:
        _print(training, document)


def _epochs(training: Finetuning, *, test: bool) -> list[Epoch]:
    """Train to the end, shown on stderr."""
    epochs, head = list[Epoch](), (_about(training), str(training.folder))
    note = f"are in {training.folder}; the same command goes on."
    with noted(lambda: f"{len(epochs)} epochs {note}"), shown(training.tuner.epochs, *head) as show:
        for epoch in finetune(training, show.progress, test=test):
            epochs.append(epoch)
            show.epoch(epoch.number, epoch.loss, epoch.seconds)
    return epochs


def _about(training: Finetuning) -> str:
    """What is trained, how, and on what, in a line."""
    about = f"{training.name} of {training.run.folder} by {training.config.method} at {training.side} pixels"
    return f"{about} ({len(training.data.train):,} training images)"


def _print(training: Finetuning, document: dict[str, Any]) -> None:
    errors = document["errors"]
    n = len(training.data.val)
    click.echo(f"before: {errors_in_words(errors['before'])} of {n:,} validation images")
    click.echo(f"after:  {errors_in_words(errors['after'])}")
    if document["kept"] == "before":
        click.echo("Training did not help: the network is kept as it was.")
    if document["test"]:
        click.echo(f"test:   {errors_in_words(document['test'])} of {len(training.data.test):,} images")
    click.echo(f"The network is in {training.folder / RESULT}")
