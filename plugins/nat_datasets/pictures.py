"""Labelled pictures in memory, and what is common to every data set of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import Augmentation, Split
from nat_core.errors import ConfigError

Colour = tuple[float, float, float]  # one number per channel: red, green, blue


@dataclass(frozen=True, eq=False)
class Pictures:
    """A `nat_core.contracts.Dataset`."""

    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    image_size: int
    mean: Colour
    std: Colour
    augmentation: Augmentation
    fingerprint: str
    skipped: Mapping[str, str] = field(default_factory=dict)
    fit: str = "crop"  # how a picture that is no square becomes one: crop, its middle, or squash, all of it


def statistics(images: NDArray[np.uint8]) -> tuple[Colour, Colour]:
    """Mean and standard deviation of images (n, 3, size, size) by channel, on the scale 0 … 1.

    The deviation is at least one grey level, so that dividing by it is safe when every picture is of one colour.
    """
    levels = np.arange(256) / 255
    counts = _histogram(images)
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ levels
    std = np.sqrt((share * (levels - mean[:, None]) ** 2).sum(axis=1))
    return _colour(mean), _colour(np.maximum(std, 1 / 255))


def _histogram(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each channel takes each value, (3, 256). By picture: a float copy of all would not fit in memory."""
    counts = np.zeros((3, 256), dtype=np.int64)
    for image in images:
        for channel in range(3):
            counts[channel] += np.bincount(image[channel].ravel(), minlength=256)
    return counts


def _colour(values: NDArray[np.float64]) -> Colour:
    red, green, blue = values.tolist()
    return red, green, blue


def augmentation(min_scale: float, *, flip: bool) -> Augmentation:
    """How training may vary the pictures, with the options checked."""
    if not 0 < min_scale <= 1:
        raise ConfigError(f"min_scale={min_scale!r} is not a share of the area: a number above 0, up to 1.")
    return Augmentation(min_scale=min_scale, flip=flip)
