"""`nat evaluate`: a network, measured on your data."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import click

from nat_core.classification import Classification
from nat_core.cli.saved import chosen, saved_front
from nat_core.cli.words import errors_in_words, publishing, within_memory
from nat_core.durable import publish_text
from nat_core.errors import ConfigError
from nat_core.evaluating import ALL, SPLITS, Subject, Words, evaluate, of_file, of_finetuned, of_run
from nat_core.finetuned import is_finetuned
from nat_core.report.classes import ROWS, confusion_csv, report_document, report_table

_FILE = click.Path(path_type=Path)
_LESS = "choose a smaller --side, fewer images at a time with --batch, or another --device"


@click.command(name="evaluate")
@click.argument("run", required=False, type=_FILE)
@click.argument("architecture", required=False, metavar="[ARCH]")
@click.option("--net", "config", type=_FILE, help="A net.config of OFA or NAT, or a folder of nat finetune.")
@click.option("--weights", type=_FILE, help="Of a net.config: a file of PyTorch, or safetensors.")
@click.option("--data", help="Data set by name, or a folder of images.  [default: of the run, else digits]")
@click.option("--split", type=click.Choice((*SPLITS, ALL)), help="Of the data.  [default: val for a run, else test]")
@click.option("--space", help="Search space that the network of --net is of.  [default: mbv3]")
@click.option("--side", type=click.IntRange(min=1), help="Of the input, in pixels.  [default: the network's own]")
@click.option("--mean", help="Of red, green, blue in training, on the scale 0 … 1.  [default: of the data]")
@click.option("--std", help="The same for standard deviations.")
@click.option("--batch", type=click.IntRange(min=1), help="Images at a time.  [default: 64]")
@click.option("--device", help="cpu | cuda | auto: what computes.  [default: auto]")
@click.option("--engine", help="What runs the network: torch | openvino | onnxruntime | plain.  [default: torch]")
@click.option("--evaluator", default="errors", show_default=True, help="What measures.")
@click.option("--out", type=_FILE, metavar="FILE.csv", help="Write the confusion matrix to a file as well.")
@click.option("--all", "whole", is_flag=True, help=f"Show every class, not the {ROWS} worst.")
@click.option(
    "-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Such as folder.image_size=64."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
def command(
    run: Path | None,
    architecture: str | None,
    config: Path | None,
    weights: Path | None,
    data: str | None,
    split: str | None,
    space: str | None,
    side: int | None,
    mean: str | None,
    std: str | None,
    batch: int | None,
    device: str | None,
    engine: str | None,
    evaluator: str,
    out: Path | None,
    whole: bool,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure a network on your data: errors, each class, what is taken for what, and how far its confidence is true.

    ARCH is any architecture of the run in the folder RUN, in the text form of nat front; without it, the one at the
    knee. It is measured on the validation images, as the search did: --split test is for the end, once. RUN may be a
    folder of nat finetune as well.

    With --net it is a network that others trained. Give the mean and standard deviation that it was trained with, such
    as --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 for ImageNet. The classes of a network have to be those of the
    data, in the same order.
    """
    short = {"mean": _colours("--mean", mean), "std": _colours("--std", std), "device": device, "engine": engine}
    words = Words(evaluator, short | {"batch_size": None if batch is None else str(batch)}, settings)
    usual = "test" if run is None else "val"
    if run is not None and architecture is None and config is None and is_finetuned(run):
        run, config = None, run
    _require_room(out)
    split = split or usual
    with within_memory("measure this network" if side is None else f"measure at {side} pixels", _LESS):
        if run is not None:
            _refuse_beside(run, {"--net": config, "--weights": weights, "--space": space})
            saved = saved_front(run)
            subject = of_run(saved.config, run, chosen(saved, architecture), data, words)
        elif config is None:
            raise ConfigError(
                "say what to measure: the folder of a run, or --net with a file or a folder of nat finetune"
            )
        elif not config.is_dir():
            subject = of_file(config, weights, space or "mbv3", data or "digits", words)
        elif weights is not None:
            raise ConfigError(_two_of_weights(config))
        else:
            subject = of_finetuned(config, data, words)
        start = time.perf_counter()
        errors, report = evaluate(subject, split, side)
    facts = {
        "images": sum(map(len, subject.splits(split))),
        "side": side or subject.network.side,
        "params": sum(p.numel() for p in subject.network.network.parameters()),
        "seconds": round(time.perf_counter() - start, 4),
    }
    if out is not None:
        _write(out, subject, report)
    if as_json:
        _print_document(subject, split, errors | facts, report)
    else:
        _print(subject, split, errors, facts, report, None if whole else ROWS)


def _print_document(subject: Subject, split: str, numbers: dict[str, float], report: Classification | None) -> None:
    about = {"run": subject.run, "measured_by_run": subject.measured} if subject.run else {}
    about |= {"network": dict(subject.network.about), "data": subject.on, "split": split}
    more = {} if report is None else report_document(subject.data.classes, report)
    click.echo(json.dumps(about | numbers | more, allow_nan=False))


def _print(
    subject: Subject,
    split: str,
    errors: dict[str, float],
    facts: dict[str, float],
    report: Classification | None,
    limit: int | None,
) -> None:
    from rich.console import Console

    if subject.run:
        weights = "" if subject.measured else ", which the run has not measured with these weights, its newest"
        click.echo(f"{subject.network.about['architecture']} of {subject.run}{weights}")
    click.echo(
        f"{errors_in_words(errors)} of {facts['images']:,} images ({split} of {subject.on}), "
        f"at {facts['side']} pixels, {facts['params'] / 1e6:.2f} M parameters, {facts['seconds']:.1f} s"
    )
    if report is not None:
        Console().print(report_table(subject.data.classes, report, limit), highlight=False)


def _require_room(out: Path | None) -> None:
    """Raise `ConfigError` for a file that could not be written, before anything is measured."""
    if out is None:
        return
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder; give a file, such as {out / 'confusion.csv'}")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"cannot write {out}: there is no folder {out.parent}")


def _write(out: Path, subject: Subject, report: Classification | None) -> None:
    if report is None:
        raise ConfigError("this evaluator tells errors alone: there is no confusion matrix for --out")
    with publishing(out):
        publish_text(out, confusion_csv(subject.data.classes, report))


def _refuse_beside(run: Path, others: dict[str, object]) -> None:
    """Raise `ConfigError` for words that have no meaning beside a run."""
    if given := [word for word, value in others.items() if value is not None]:
        raise ConfigError(f"{run} is a run, which has its own: leave {' and '.join(given)} out, or the run")


def _two_of_weights(folder: Path) -> str:
    """What is wrong with a folder beside a file of weights."""
    if is_finetuned(folder):
        return f"{folder} holds its own weights: leave --weights out"
    return f"{folder} is a folder without a fine-tuned network: beside --weights, --net is the net.config of a network"


def _colours(option: str, text: str | None) -> str | None:
    """Three numbers, as a setting. Raises `ConfigError` for anything else."""
    if text is None:
        return None
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(math.isfinite(v) and (v > 0 or option == "--mean") for v in values):
        raise ConfigError(f"cannot read {option} {text!r}: write three numbers, such as 0.485,0.456,0.406")
    return ",".join(map(repr, values))
