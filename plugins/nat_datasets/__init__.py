"""Labelled pictures: scikit-learn's handwritten digits, any folder of images, and the published data sets.

A factory's signature is the schema of its options; what is heavy is imported in its body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from nat_core import hookimpl
from nat_datasets.named import (
    Cache,
    CacheDir,
    aircraft,
    cars,
    cifar10,
    cifar100,
    cinic10,
    dtd,
    flowers102,
    food101,
    imagenet,
    pets,
    stl10,
)


@hookimpl
def register_datasets() -> Mapping[str, Callable[..., Any]]:
    """The data sets of this package."""
    return {
        "aircraft": aircraft,
        "cars": cars,
        "cifar10": cifar10,
        "cifar100": cifar100,
        "cinic10": cinic10,
        "digits": digits,
        "dtd": dtd,
        "flowers102": flowers102,
        "folder": folder,
        "food101": food101,
        "imagenet": imagenet,
        "pets": pets,
        "stl10": stl10,
    }


def digits(
    *,
    split_seed: Annotated[int, "which pictures go to train, val and test: another number, another split"] = 0,
    min_scale: Annotated[float, "a random crop in training keeps at least this share of the area"] = 0.65,
) -> Any:
    """Scikit-learn's 1,797 handwritten digits, 8 by 8 pixels, 10 classes: needs no file, no network, no time."""
    from nat_datasets import handwriting

    return handwriting.load(split_seed, min_scale)


def folder(
    path: Annotated[str, "a folder with a folder of images per class, or with train/ and perhaps val/ and test/"],
    *,
    image_size: Annotated[int, "side of the square pictures, in pixels"] = 224,
    split_seed: Annotated[int, "which pictures go to a split that the folder lacks: another number, another split"] = 0,
    skip_budget: Annotated[float, "share of the files that may be unreadable; five always may"] = 0.01,
    flip: Annotated[bool, "training may swap left and right"] = True,
    min_scale: Annotated[float, "a random crop in training keeps at least this share of the area"] = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """A folder of your own images. A class is a folder, and its name is the class's name."""
    from nat_datasets import assembly, folders

    recipe = assembly.Recipe(
        name="folder",
        image_size=image_size,
        split_seed=split_seed,
        skip_budget=skip_budget,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )
    return folders.load(path, recipe)
