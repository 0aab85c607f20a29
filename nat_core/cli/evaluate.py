"""`nat evaluate`: a network that stands alone, measured on your data."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import click

from nat_core import plugins
from nat_core.cli.words import errors_in_words
from nat_core.contracts import Dataset, Evaluator, SearchSpace, Split, StaticNetwork, StaticNetworkSpace
from nat_core.errors import ConfigError
from nat_core.finetuning import load_network
from nat_core.parts import about_data, data_and_settings, make, require_parts, shorthands

_FILE = click.Path(path_type=Path)


@click.command(name="evaluate")
@click.option(
    "--net",
    "config",
    required=True,
    type=_FILE,
    help="A net.config of OFA or NAT, or a folder of nat finetune.",
)
@click.option("--weights", type=_FILE, help="Of a net.config: a file of PyTorch, or safetensors.")
@click.option("--data", default="digits", show_default=True, help="Data set by name, or a folder of images.")
@click.option("--split", type=click.Choice(("val", "test")), default="test", show_default=True)
@click.option("--space", default="mbv3", show_default=True, help="Search space that the network is of.")
@click.option("--side", type=click.IntRange(min=1), help="Of the input, in pixels.  [default: the network's own]")
@click.option("--mean", help="Of red, green, blue in training, on the scale 0 … 1.  [default: of the data]")
@click.option("--std", help="The same for standard deviations.")
@click.option("--batch", type=click.IntRange(min=1), help="Images at a time.  [default: 64]")
@click.option("--device", help="cpu | cuda | auto: what computes.  [default: auto]")
@click.option("--engine", help="What runs the network: torch | openvino | onnxruntime | plain.  [default: torch]")
@click.option("--evaluator", default="errors", show_default=True, help="What measures.")
@click.option(
    "-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Such as folder.image_size=64."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
def command(
    config: Path,
    weights: Path | None,
    data: str,
    split: str,
    space: str,
    side: int | None,
    mean: str | None,
    std: str | None,
    batch: int | None,
    device: str | None,
    engine: str | None,
    evaluator: str,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure the error of a network that stands alone, on your data.

    It was trained elsewhere, with its config in one file and its weights in another, or by nat finetune.

    Give the mean and standard deviation that it was trained with, such as --mean 0.485,0.456,0.406 --std
    0.229,0.224,0.225 for ImageNet; nat finetune has noted its own. Its classes have to be those of the data, in the
    same order.
    """
    words = {"mean": _colours("--mean", mean), "std": _colours("--std", std), "device": device, "engine": engine}
    words |= {"batch_size": None if batch is None else str(batch)}
    found, built_data, measure = _build((config, weights), space, data, evaluator, words, settings)
    pictures: Split = getattr(built_data, split)
    if not len(pictures):
        raise ConfigError(f"the data have no {split} split")
    found, start = replace(found, side=side or found.side), time.perf_counter()
    errors = dict(measure(found, pictures))
    facts = {
        "images": len(pictures),
        "side": found.side,
        "params": sum(p.numel() for p in found.network.parameters()),
        "seconds": round(time.perf_counter() - start, 4),
    }
    if as_json:
        about = {"network": dict(found.about), "data": data, "split": split}
        click.echo(json.dumps(about | errors | facts, allow_nan=False))
    else:
        click.echo(
            f"{errors_in_words(errors)} of {facts['images']:,} images ({split} of {data}), "
            f"at {facts['side']} pixels, {facts['params'] / 1e6:.2f} M parameters, {facts['seconds']:.1f} s"
        )


def _build(
    files: tuple[Path, Path | None],
    space: str,
    data: str,
    evaluator: str,
    words: dict[str, str | None],
    settings: tuple[str, ...],
) -> tuple[StaticNetwork, Dataset, Evaluator]:
    """The network, the data and what measures, with their options."""
    registry = plugins.registry()
    measuring = registry.find("evaluators", evaluator)
    name, given = data_and_settings(data, (*shorthands(words, [measuring]), *settings), "folder.image_size=64")
    offers = registry.find("search_spaces", space), registry.find("datasets", name), measuring
    require_parts(given, offers)
    found, about = load_network(files[0]) if files[0].is_dir() else (None, {})
    if found is None:
        found = _published(make(given, offers[0], {}), space, *files)
    elif files[1] is not None:
        raise ConfigError(f"{files[0]} holds its own weights: leave --weights out")
    built: Dataset = make(given, offers[1], {})
    if found.n_classes != len(built.classes):
        raise ConfigError(
            f"the network of {files[0]} tells {found.n_classes} classes apart, and {data} has {len(built.classes)}"
        )
    if about and about["classes"] != list(built.classes):
        raise ConfigError(f"the network of {files[0]} knows other classes than {data} has")
    colours = {key: about[key] for key in ("mean", "std") if key in about}
    return found, built, make(given, measuring, about_data(built) | colours, built)


def _published(space: SearchSpace, name: str, config: Path, weights: Path | None) -> StaticNetwork:
    """A network that others trained."""
    if not isinstance(space, StaticNetworkSpace):
        raise ConfigError(f"the space {name} reads no networks that stand alone; mbv3 does")
    if weights is None:
        raise ConfigError(f"--net {config} needs the --weights that belong to it")
    return space.static_network(config, weights)


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
