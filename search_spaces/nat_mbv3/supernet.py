"""The supernet: one set of weights, lent in slices to a plain network of the wanted layout.

Nothing is computed twice and nothing is kept between calls, so a subnet run inside the supernet and the same subnet
extracted give equal outputs by construction. Slices are views: gradients and batch-norm statistics flow through them
into the shared weights. Kernels shrink by OFA's learnt transforms (Cai et al., "Once-for-All", 2020, section 3.3).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nat_core.encoding import Architecture
from nat_mbv3.layout import MAX_DEPTH, STAGES, Layout, largest
from nat_mbv3.network import MobileNetV3, initialise

Weights = dict[str, Tensor]


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
        mid = weight[: shape[0]]
        if not name.startswith("stages."):
            return mid
        _, stage, layer, *_ = name.split(".")
        transform = self.transforms[int(stage)][int(layer)]  # type: ignore[index]
        kernel: Tensor = transform(mid, shape[-1])
        return kernel

    def forward(self, images: Tensor, layout: Layout) -> Tensor:
        """Logits (n, n_classes) of the network of that layout."""
        skeleton = _skeleton(layout, self.n_classes, self.training)
        logits: Tensor = functional_call(skeleton, self.lend(layout), (images,), strict=True)
        return logits

    def subnet(self, layout: Layout) -> MobileNetV3:
        """A plain network with a copy of the weights, in the same mode and on the same device."""
        # A copy, for one that is made anew draws random weights.
        network = copy.deepcopy(_skeleton(layout, self.n_classes, self.training))
        with torch.no_grad():
            own = {n: t.clone(memory_format=torch.contiguous_format) for n, t in self.lend(layout).items()}
        network.load_state_dict(own, assign=True)
        return network


class KernelTransform(nn.Module):
    """Learnt linear maps from the centre of a larger kernel to a smaller one, shared by all channels of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.to5 = nn.Parameter(torch.eye(25))
        self.to3 = nn.Parameter(torch.eye(9))

    def forward(self, weight: Tensor, size: int) -> Tensor:
        """Weight (c, 1, 7, 7) → (c, 1, size, size), size 7, 5 or 3."""
        if size < 7:
            weight = _shrink(weight, self.to5)
        if size < 5:
            weight = _shrink(weight, self.to3)
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


@lru_cache(maxsize=512)
def _skeleton(layout: Layout, n_classes: int, training: bool) -> MobileNetV3:  # noqa: FBT001 - a module's own flag
    with torch.device("meta"):
        return MobileNetV3(layout, n_classes).train(training)


@lru_cache(maxsize=512)
def _shapes(layout: Layout, n_classes: int) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in _skeleton(layout, n_classes, True).state_dict().items()}


def _cut(tensor: Tensor, shape: torch.Size) -> Tensor:
    """The leading corner of a tensor."""
    for dimension, size in enumerate(shape):
        if tensor.shape[dimension] != size:
            tensor = tensor.narrow(dimension, 0, size)
    return tensor


def _shrink(weight: Tensor, matrix: Tensor) -> Tensor:
    """The centre of a kernel, one ring smaller, through a linear map."""
    centre = weight[:, :, 1:-1, 1:-1]
    return (centre.flatten(1) @ matrix.T).view_as(centre)
