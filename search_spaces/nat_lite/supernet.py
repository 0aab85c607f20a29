"""The supernet: one set of weights, lent in slices to a plain network of the wanted layout.

Nothing is computed twice and nothing is kept between calls, so a subnet run inside the supernet and the same subnet
extracted give equal outputs by construction. Slices are views: gradients and batch-norm statistics flow through them
into the shared weights. A kernel of 5 shrinks to its centre of 3 through a learnt linear map that begins as the
identity (Cai et al., "Once-for-All", 2020, section 3.3).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nat_core.encoding import Architecture
from nat_lite.layout import STAGES, Layout, largest
from nat_lite.network import MEAN, STD, EfficientNetLite, MobileLayer, initialise

_QUANTILES = 512  # of a normal distribution, in place of an integral over it

Weights = dict[str, Tensor]
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
        if normalisation is not None:
            mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in normalisation)
            self.network.rescale.scale.copy_(std / STD)
            self.network.rescale.shift.copy_((mean - MEAN) / STD)

    def forward(self, images: Tensor, architecture: Architecture) -> Tensor:
        """Logits (n, n_classes) of one architecture for images (n, 3, side, side)."""
        layout = self.layout(architecture)
        skeleton = _skeleton(layout, self.n_classes, self.training)
        logits: Tensor = functional_call(skeleton, self.lend(layout), (images,), strict=True)
        return logits

    def subnet(self, architecture: Architecture) -> EfficientNetLite:
        """A stand-alone plain network with a copy of the weights, in the same mode and on the same device."""
        layout = self.layout(architecture)
        network = copy.deepcopy(_skeleton(layout, self.n_classes, self.training))
        with torch.no_grad():
            own = {n: t.clone(memory_format=torch.contiguous_format) for n, t in self.lend(layout).items()}
        network.load_state_dict(own, assign=True)
        return network

    def lend(self, layout: Layout) -> Weights:
        """The state of the plain network of this layout, as views of (and kernels computed from) the shared weights."""
        owned: Weights = {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}
        return {
            name: self._kernel(name, owned[name], shape)
            if name.endswith("depthwise.conv.weight")
            else _cut(owned[name], shape)
            for name, shape in _shapes(layout, self.n_classes).items()
        }

    def _kernel(self, name: str, weight: Tensor, shape: torch.Size) -> Tensor:
        weight = weight[: shape[0]]
        if weight.shape == shape:
            return weight
        _, stage, layer, *_ = name.split(".")
        kernel: Tensor = self.transforms[_key(int(stage), int(layer))](weight)
        return kernel


class KernelTransform(nn.Module):
    """A learnt linear map from the centre of a larger kernel to a smaller one, shared by all channels of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.to3 = nn.Parameter(torch.eye(9))

    def forward(self, weight: Tensor) -> Tensor:
        """Weight (c, 1, 5, 5) → (c, 1, 3, 3)."""
        centre = weight[:, :, 1:-1, 1:-1]
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


@lru_cache(maxsize=512)
def _skeleton(layout: Layout, n_classes: int, training: bool) -> EfficientNetLite:  # noqa: FBT001 - a module's own flag
    with torch.device("meta"):
        return EfficientNetLite(layout, n_classes).train(training)


@lru_cache(maxsize=512)
def _shapes(layout: Layout, n_classes: int) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in _skeleton(layout, n_classes, True).state_dict().items()}


def _cut(tensor: Tensor, shape: torch.Size) -> Tensor:
    """The leading corner of a tensor."""
    for dimension, size in enumerate(shape):
        if tensor.shape[dimension] != size:
            tensor = tensor.narrow(dimension, 0, size)
    return tensor
