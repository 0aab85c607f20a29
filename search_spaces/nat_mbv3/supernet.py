"""The supernet: one set of weights, lent in slices to a plain network of the wanted layout.

Nothing is computed twice and nothing is kept between calls, so a subnet run inside the supernet and the same subnet
extracted give equal outputs by construction (`nat_core.lending`). Kernels shrink by OFA's learnt transforms (Cai et
al., "Once-for-All", 2020, section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import torch
from torch import Tensor, nn

from nat_core.encoding import Architecture
from nat_core.lending import Hollow, Owner, answer, corner, give, staged
from nat_mbv3.layout import MAX_DEPTH, STAGES, Layer, Layout, largest
from nat_mbv3.network import MobileNetV3, initialise, layer_at


class Elastic(nn.Module):
    """All networks of one width: the largest of them, and the kernel transforms of its 20 layers."""

    def __init__(self, width: float, n_classes: int) -> None:
        super().__init__()
        self.network = MobileNetV3(largest(width), n_classes)
        self.transforms = nn.ModuleList(
            nn.ModuleList(KernelTransform() for _ in range(MAX_DEPTH)) for _ in range(len(STAGES))
        )
        self.n_classes = n_classes
        initialise(self.network)
        self._owner = Owner(self.network)

    def forward(self, images: Tensor, layout: Layout) -> Tensor:
        """Logits (n, n_classes) of the network of that layout."""
        frame = _frame(layout.width, self.n_classes, self.training)
        stages = [
            [_layer(layout.width, g, j, layer, self.training) for j, layer in enumerate(layers)]
            for g, layers in enumerate(layout.stages)
        ]
        return answer(*staged(frame, stages), self._lend, images)

    def subnet(self, layout: Layout) -> MobileNetV3:
        """A plain network with a copy of the weights, in the same mode and on the same device."""
        with torch.device("meta"):
            network = MobileNetV3(layout, self.n_classes).train(self.training)
        give(network, self._lend)
        return network

    def _lend(self, name: str, shape: torch.Size) -> Tensor:
        """A tensor of a smaller network: a view of the shared one of that name, or a kernel computed from it."""
        tensor = self._owner[name]
        if tensor.shape[2:] != shape[2:]:
            _, stage, layer, *_ = name.split(".")
            kernel: Tensor = self.transforms[int(stage)][int(layer)](tensor, shape)  # type: ignore[index]
            return kernel
        return corner(tensor, shape)


class KernelTransform(nn.Module):
    """Learnt linear maps from the centre of a larger kernel to a smaller one, shared by all channels of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.to5 = nn.Parameter(torch.eye(25))
        self.to3 = nn.Parameter(torch.eye(9))

    def forward(self, weight: Tensor, shape: torch.Size) -> Tensor:
        """Weight (c, 1, 7, 7) → that shape: its leading channels, and a side of 5 or 3."""
        weight = _shrink(weight, shape[0], self.to5)
        if shape[-1] == 3:
            weight = _shrink(weight, shape[0], self.to3)
        return weight


class Supernet(nn.Module):
    """The supernets of all widths of a space behind one call; `layout` turns an architecture into a `Layout`."""

    def __init__(self, widths: Iterable[float], n_classes: int, layout: Callable[[Architecture], Layout]) -> None:
        super().__init__()
        self.elastic = nn.ModuleDict({width_key(w): Elastic(w, n_classes) for w in widths})
        self.layout = layout
        self.n_classes = n_classes

    def _of(self, layout: Layout) -> Elastic:
        elastic = self.elastic[width_key(layout.width)]
        assert isinstance(elastic, Elastic)  # noqa: S101 - narrows the type of a ModuleDict's member
        return elastic

    def forward(self, images: Tensor, architecture: Architecture) -> Tensor:
        """Logits (n, n_classes) of one architecture for images (n, 3, side, side)."""
        layout = self.layout(architecture)
        logits: Tensor = self._of(layout)(images, layout)
        return logits

    def subnet(self, architecture: Architecture) -> MobileNetV3:
        """A stand-alone plain network with a copy of the weights, in the supernet's mode."""
        layout = self.layout(architecture)
        return self._of(layout).subnet(layout)


def width_key(width: float) -> str:
    """The name of a width in the supernet's state: `w10`, `w12`."""
    return f"w{round(10 * width)}"


@cache
def _frame(width: float, n_classes: int, training: bool) -> Hollow:  # noqa: FBT001 - a module's own flag
    """What is in every network: all but the stages."""
    with torch.device("meta"):
        return Hollow(MobileNetV3(Layout(width, ()), n_classes).train(training))


@cache
def _layer(width: float, stage: int, position: int, layer: Layer, training: bool) -> Hollow:  # noqa: FBT001 - as above
    with torch.device("meta"):
        return Hollow(layer_at(width, stage, position, layer).train(training), f"stages.{stage}.{position}.")


def _shrink(weight: Tensor, channels: int, matrix: Tensor) -> Tensor:
    """The centre of the leading channels' kernels, one ring smaller, through a linear map."""
    # A crop by negative padding is one step for autograd, where slices are three.
    centre = nn.functional.pad(weight, (-1, -1, -1, -1, 0, 0, 0, channels - len(weight)))
    return (centre.flatten(1) @ matrix.T).view_as(centre)
