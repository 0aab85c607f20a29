"""The shape of EfficientNet-Lite1 made elastic, as plain data: the one table that the network and its costs share.

EfficientNet-Lite is EfficientNet (Tan and Le, 2019) with ReLU6, without squeeze-and-excitation, and with stem and head
that do not scale. Lite1 is the deeper of the two of width 1.0; Lite0 is one of the networks inside it.
"""

from __future__ import annotations

from dataclasses import dataclass

STEM, FIRST, HEAD = 32, 16, 1280  # output channels of what is fixed: stem, first layer, head
MOST_LEFT_OUT = 2  # layers that a stage of several may lack


@dataclass(frozen=True)
class Stage:
    """What the layers of one stage have in common, as published; the stride is that of the first."""

    channels: int
    depth: int
    kernel: int
    stride: int

    @property
    def may_lack(self) -> bool:
        """Whether layers may be left out: never the first one."""
        return self.depth > MOST_LEFT_OUT


STAGES = (
    Stage(channels=24, depth=3, kernel=3, stride=2),
    Stage(channels=40, depth=3, kernel=5, stride=2),
    Stage(channels=80, depth=4, kernel=3, stride=2),
    Stage(channels=112, depth=4, kernel=5, stride=1),
    Stage(channels=192, depth=5, kernel=5, stride=2),
    Stage(channels=320, depth=1, kernel=3, stride=1),
)
SLOTS = tuple((g, j) for g, stage in enumerate(STAGES) for j in range(stage.depth))  # stage and position of each layer


@dataclass(frozen=True)
class Layer:
    """The choice at one live layer."""

    kernel: int
    expand: int


@dataclass(frozen=True)
class Layout:
    """One network, its input side left aside: the live layers of each stage."""

    stages: tuple[tuple[Layer, ...], ...]


def largest() -> Layout:
    """Lite1 itself: the network that every other is a part of."""
    return Layout(tuple((Layer(stage.kernel, 6),) * stage.depth for stage in STAGES))


def inputs(stage: int, position: int) -> int:
    """Input channels of a layer."""
    if position:
        return STAGES[stage].channels
    return STAGES[stage - 1].channels if stage else FIRST


def stride(stage: int, position: int) -> int:
    """Stride of a layer."""
    return 1 if position else STAGES[stage].stride


def half(side: int) -> int:
    """Side of a map behind a stride of 2: TensorFlow's SAME padding rounds up."""
    return (side + 1) // 2
