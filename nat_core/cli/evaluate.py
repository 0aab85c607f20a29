"""`nat evaluate`: a published network that stands alone, measured on your data."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nat_core import plugins
from nat_core.contracts import Dataset, Split, StaticNetwork, StaticNetworkSpace
from nat_core.errors import ConfigError
from nat_core.parts import data_and_settings, make, require_parts
from nat_core.stopping import stop_if_asked

if TYPE_CHECKING:
    from torch import Tensor

_FILE = click.Path(path_type=Path)


@click.command(name="evaluate")
@click.option("--net", "config", required=True, type=_FILE, help="What the network is: a net.config of OFA or NAT.")
@click.option("--weights", required=True, type=_FILE, help="Its weights: of PyTorch, or safetensors.")
@click.option("--data", default="digits", show_default=True, help="Data set by name, or a folder of images.")
@click.option("--split", type=click.Choice(("val", "test")), default="test", show_default=True)
@click.option("--space", default="mbv3", show_default=True, help="Search space that the network is of.")
@click.option("--side", type=click.IntRange(min=1), help="Of the input, in pixels.  [default: the network's own]")
@click.option("--mean", help="Of red, green, blue in training, on the scale 0 … 1.  [default: of the data]")
@click.option("--std", help="The same for standard deviations.")
@click.option("--batch", default=64, show_default=True, type=click.IntRange(min=1), help="Images at a time.")
@click.option(
    "-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Such as folder.image_size=64."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
def command(
    config: Path,
    weights: Path,
    data: str,
    split: str,
    space: str,
    side: int | None,
    mean: str | None,
    std: str | None,
    batch: int,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure the error of a network that was trained elsewhere: its config and its weights, on your data.

    Give the mean and standard deviation that it was trained with, such as --mean 0.485,0.456,0.406 --std
    0.229,0.224,0.225 for ImageNet. Its classes have to be those of the data, in the same order.
    """
    normal = {"mean": _colours("--mean", mean), "std": _colours("--std", std)}
    built_space, built_data = _build(space, data, settings)
    if not isinstance(built_space, StaticNetworkSpace):
        raise ConfigError(f"the space {space} reads no networks that stand alone; mbv3 does")
    found = built_space.static_network(config, weights)
    if found.n_classes != len(built_data.classes):
        raise ConfigError(
            f"the network of {config} tells {found.n_classes} classes apart, and {data} has {len(built_data.classes)}"
        )
    result = measure(
        found,
        built_data,
        split,
        side or found.side,
        normal["mean"] or built_data.mean,
        normal["std"] or built_data.std,
        batch,
    )
    if as_json:
        click.echo(json.dumps({"network": dict(found.about), "data": data, "split": split, **result}, allow_nan=False))
    else:
        click.echo(
            f"top-1 error {result['top1_error']:.2%} of {result['images']:,} images ({split} of {data}), "
            f"at {result['side']} pixels, {result['params'] / 1e6:.2f} M parameters, {result['seconds']:.1f} s"
        )


def measure(
    found: StaticNetwork,
    data: Dataset,
    split: str,
    side: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    batch: int,
) -> dict[str, Any]:
    """Top-1 error on a split, and what it took. Raises `ConfigError` for outputs that are no numbers."""
    import torch

    pictures: Split = getattr(data, split)
    if not len(pictures):
        raise ConfigError(f"the data have no {split} split")
    start, wrong = time.perf_counter(), 0
    with torch.inference_mode():
        for first in range(0, len(pictures), batch):
            stop_if_asked()
            rows = slice(first, first + batch)
            logits = found.network(_input(pictures, rows, side, mean, std))
            if not bool(logits.isfinite().all()):
                raise ConfigError("the network's outputs are not finite: are these its weights?")
            wrong += int((logits.argmax(1) != torch.from_numpy(pictures.labels[rows].copy())).sum())
    return {
        "top1_error": wrong / len(pictures),
        "images": len(pictures),
        "side": side,
        "params": sum(p.numel() for p in found.network.parameters()),
        "seconds": round(time.perf_counter() - start, 4),
    }


def _input(pictures: Split, rows: slice, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Pictures as a network takes them: (n, 3, side, side), normalised."""
    import torch
    from torch.nn import functional

    images = torch.from_numpy(pictures.images[rows].copy())
    if images.shape[-1] != side:
        images = functional.interpolate(images.float(), size=(side, side), mode="bilinear", antialias=True)
    images = (images.float() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    return images.contiguous(memory_format=torch.channels_last)


def _build(space: str, data: str, settings: tuple[str, ...]) -> tuple[Any, Dataset]:
    """The space and the data, with their options."""
    name, given = data_and_settings(data, settings, "folder.image_size=64")
    registry = plugins.registry()
    offers = registry.find("search_spaces", space), registry.find("datasets", name)
    require_parts(given, offers)
    return make(given, offers[0], {}), make(given, offers[1], {})


def _colours(option: str, text: str | None) -> tuple[float, ...] | None:
    """Three numbers. Raises `ConfigError` for anything else."""
    if text is None:
        return None
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(math.isfinite(v) and (v > 0 or option == "--mean") for v in values):
        raise ConfigError(f"cannot read {option} {text!r}: write three numbers, such as 0.485,0.456,0.406")
    return values
