"""The supernet: one set of weights, lent in slices to a plain network of the wanted layout.

Nothing is computed twice and nothing is kept between calls, so a subnet run inside the supernet and the same subnet
extracted give equal outputs by construction (`nat_core.lending`). A kernel of 5 shrinks to its centre of 3 through a
learnt linear map that begins as the identity (Cai et al., "Once-for-All", 2020, section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from nat_core.encoding import Architecture
from nat_core.lending import Hollow, Owner, answer, corner, give, staged
from nat_lite.layout import STAGES, Layer, Layout, largest
from nat_lite.network import MEAN, STD, EfficientNetLite, MobileLayer, initialise, layer_at

_QUANTILES = 512  # of a normal distribution, in place of an integral over it

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation by channel, on 0 … 1


class Supernet(nn.Module):
    """The largest network, and the kernel transforms of its layers; `layout` turns an architecture into a `Layout`.

    `normalisation` is what the images come with; none: the one that the published weights were trained with.
    """

    def __init__(
        self, n_classes: int, layout: Callable[[Architecture], Layout], normalisation: Normalisation | None = None
    ) -> None:
        super().__init__()
        self.network = EfficientNetLite(largest(), n_classes)
        self.transforms = nn.ModuleDict({_key(g, j): KernelTransform() for g, j in _elastic_kernels()})
        self.layout = layout
        self.n_classes = n_classes
        initialise(self.network)
        self._owner = Owner(self.network)
        if normalisation is not None:
            mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in normalisation)
            self.network.rescale.scale.copy_(std / STD)
            self.network.rescale.shift.copy_((mean - MEAN) / STD)

    def forward(self, images: Tensor, architecture: Architecture) -> Tensor:
        """Logits (n, n_classes) of one architecture for images (n, 3, side, side)."""
        frame = _frame(self.n_classes, self.training)
        stages = [
            [_layer(g, j, layer, self.training) for j, layer in enumerate(layers)]
            for g, layers in enumerate(self.layout(architecture).stages)
        ]
        return answer(*staged(frame, stages), self._lend, images)

    def subnet(self, architecture: Architecture) -> EfficientNetLite:
        """A stand-alone plain network with a copy of the weights, in the same mode and on the same device."""
        with torch.device("meta"):
            network = EfficientNetLite(self.layout(architecture), self.n_classes).train(self.training)
        give(network, self._lend)
        return network

    def _lend(self, name: str, shape: torch.Size) -> Tensor:
        """A tensor of a smaller network: a view of the shared one of that name, or a kernel computed from it."""
        tensor = self._owner[name]
        if tensor.shape[2:] != shape[2:]:
            _, stage, layer, *_ = name.split(".")
            kernel: Tensor = self.transforms[_key(int(stage), int(layer))](tensor, shape[0])
            return kernel
        return corner(tensor, shape)


class KernelTransform(nn.Module):
    """A learnt linear map from the centre of a larger kernel to a smaller one, shared by all channels of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.to3 = nn.Parameter(torch.eye(9))

    def forward(self, weight: Tensor, channels: int) -> Tensor:
        """Weight (c, 1, 5, 5) → (channels, 1, 3, 3): of its leading channels."""
        # A crop by negative padding is one step for autograd, where slices are three.
        centre = nn.functional.pad(weight, (-1, -1, -1, -1, 0, 0, 0, channels - len(weight)))
        return (centre.flatten(1) @ self.to3.T).view_as(centre)


@torch.no_grad()
def sort_channels(network: EfficientNetLite) -> None:
    """Put the expanded channels of every layer in falling order of importance: the function stays the same.

    A smaller expansion takes the leading channels, so it keeps the important ones.
    """
    for layer in network.modules():
        if isinstance(layer, MobileLayer):
            order = importance(layer).argsort(descending=True, stable=True)
            for part in (layer.expand, layer.depthwise):
                for tensor in part.state_dict().values():
                    if tensor.dim():  # all but the number of batches
                        tensor.copy_(tensor[order])
            layer.project.conv.weight.copy_(layer.project.conv.weight[:, order])


def importance(layer: MobileLayer) -> Tensor:
    """What each expanded channel adds to the variance of the layer's output, (channels,), were they independent.

    That is |w|² Var(a), where w are its weights in the projection. Its activation is a = min(max(g·z + h, 0), 6) with
    the weight g and bias h of its batch normalisation, which leaves z about normal. The variance alone counts: a mean
    that is missing goes away with new batch-norm statistics. (OFA sorts by |w|: every channel is equally loud to it.)
    """
    norm = layer.depthwise.bn
    z = torch.special.ndtri((torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES)
    a = (norm.weight.double()[:, None] * z + norm.bias.double()[:, None]).clamp(0, 6)
    variance: Tensor = layer.project.conv.weight.double().square().sum((0, 2, 3)) * a.var(1, correction=0)
    return variance


def _elastic_kernels() -> list[tuple[int, int]]:
    """Stage and position of every layer whose kernel can shrink."""
    return [(g, j) for g, stage in enumerate(STAGES) if stage.kernel > 3 for j in range(stage.depth)]


def _key(stage: int, layer: int) -> str:
    """The name of a layer's transform in the supernet's state."""
    return f"{stage}-{layer}"


@cache
def _frame(n_classes: int, training: bool) -> Hollow:  # noqa: FBT001 - a module's own flag
    """What is in every network: all but the stages."""
    with torch.device("meta"):
        return Hollow(EfficientNetLite(Layout(()), n_classes).train(training))


@cache
def _layer(stage: int, position: int, layer: Layer, training: bool) -> Hollow:  # noqa: FBT001 - as above
    with torch.device("meta"):
        return Hollow(layer_at(stage, position, layer).train(training), f"stages.{stage}.{position}.")
