"""The shape of the MobileNetV3 family, as plain data: the one table that the network, its costs and OFA's names share.

Howard et al., "Searching for MobileNetV3", 2019; Cai et al., "Once-for-All", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

BASE_CHANNELS = (16, 16, 24, 40, 80, 112, 160, 960, 1280)  # stem, first block, five stages, final expand, feature mix
MAX_DEPTH = 4


@dataclass(frozen=True)
class Stage:
    """What the layers of one stage have in common; the stride is that of the first."""

    stride: int
    hard_swish: bool
    squeeze_excite: bool


STAGES = (
    Stage(stride=2, hard_swish=False, squeeze_excite=False),
    Stage(stride=2, hard_swish=False, squeeze_excite=True),
    Stage(stride=2, hard_swish=True, squeeze_excite=False),
    Stage(stride=1, hard_swish=True, squeeze_excite=True),
    Stage(stride=2, hard_swish=True, squeeze_excite=True),
)


@dataclass(frozen=True)
class Layer:
    """The choice at one live layer."""

    kernel: int
    expand: int


@dataclass(frozen=True)
class Layout:
    """One network, its input side left aside: the live layers of each stage."""

    width: float
    stages: tuple[tuple[Layer, ...], ...]


def largest(width: float) -> Layout:
    """The network that every other of its width is a part of."""
    return Layout(width, ((Layer(kernel=7, expand=6),) * MAX_DEPTH,) * len(STAGES))


def lists(layout: Layout) -> dict[str, object]:
    """The live layers as OFA's lists: kernel sizes, expansion ratios, and the depth of each stage."""
    layers = [layer for stage in layout.stages for layer in stage]
    return {
        "ks": [layer.kernel for layer in layers],
        "e": [layer.expand for layer in layers],
        "d": [len(stage) for stage in layout.stages],
    }


def channels(width: float) -> tuple[int, ...]:
    """Output channels of stem, first block, five stages, final expand and feature mix."""
    return tuple(divisible(c * width) for c in BASE_CHANNELS)


def expanded(c_in: int, expand: int) -> int:
    """Channels between the two pointwise convolutions of a layer."""
    return divisible(c_in * expand)


def squeezed(c: int) -> int:
    """Channels inside a squeeze-and-excitation block over `c` channels."""
    return divisible(c // 4)


def divisible(c: float, by: int = 8) -> int:
    """`c` rounded to a multiple of 8, never to less than 90 % of it (MobileNetV2's rule)."""
    rounded = max(by, int(c + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * c else rounded
