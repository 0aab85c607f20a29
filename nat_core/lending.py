"""One set of weights lent in slices to plain networks, which is all that a weight-sharing supernet is.

The supernet owns the tensors of its largest network. Any other network is a plain one put together of hollow parts,
modules without tensors, which are lent theirs for the time of a call: leading corners of the owner's, or what is
computed from them. Corners are views, so gradients and batch-norm statistics flow through them into the owner's.

There are far fewer parts (a layer of one kind in one place) than networks, so parts are made once and kept, and
networks are not: nearly every step of an adaptation meets a network that it has not met before. To make one anew, and
let `torch.func.functional_call` find out where its tensors go, takes as long as a third of a small network's step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

Lend = Callable[[str, torch.Size], Tensor]  # the tensor of this name, as one of this shape


class Hollow:
    """A module without tensors of its own, and the places where they belong.

    `prefix` stands before the names of its tensors: where the module sits in a network. It must have been made on the
    meta device, where tensors take no memory. Not for several threads at once.
    """

    def __init__(self, module: nn.Module, prefix: str = "") -> None:
        self.module = module
        tensors = [*module.named_parameters(), *module.named_buffers()]
        self._places = list[tuple[str, torch.Size, dict[str, Tensor | None], str]]()
        for name, tensor in tensors:
            path, _, attribute = name.rpartition(".")
            owner = module.get_submodule(path)
            delattr(owner, attribute)  # what is put there now is a plain attribute, whatever kind of tensor it is
            self._places.append((prefix + name, tensor.shape, vars(owner), attribute))

    def fill(self, lend: Lend) -> None:
        """Put a tensor into every place."""
        for name, shape, attributes, attribute in self._places:
            attributes[attribute] = lend(name, shape)

    def empty(self) -> None:
        """Keep none of them."""
        for _, _, attributes, attribute in self._places:
            attributes[attribute] = None


def staged(frame: Hollow, stages: Sequence[Sequence[Hollow]]) -> tuple[nn.Module, list[Hollow]]:
    """The network that a frame is with these layers as its `stages`, and all its parts: what `answer` takes."""
    frame.module.stages = nn.Sequential(*(nn.Sequential(*(layer.module for layer in layers)) for layers in stages))
    return frame.module, [frame, *itertools.chain(*stages)]


def answer(network: nn.Module, parts: Iterable[Hollow], lend: Lend, images: Tensor) -> Tensor:
    """What a network that is made of these parts makes of images, with what it is lent."""
    parts = list(parts)
    try:
        for part in parts:
            part.fill(lend)
        answered: Tensor = network(images)
    finally:
        for part in parts:
            part.empty()
    return answered


def give(network: nn.Module, lend: Lend) -> None:
    """Fill a network that was made on the meta device with copies, for good."""
    with torch.no_grad():
        copies = {
            name: lend(name, tensor.shape).clone(memory_format=torch.contiguous_format)
            for name, tensor in network.state_dict().items()
        }
    network.load_state_dict(copies, assign=True)


class Owner:
    """The tensors of a network by name. They are looked up at each use, so the network may move or be loaded anew."""

    def __init__(self, network: nn.Module) -> None:
        self._places = {
            f"{path}.{attribute}" if path else attribute: (tensors, attribute)
            for path, module in network.named_modules()
            for tensors in (module._parameters, module._buffers)  # noqa: SLF001 - a module's getattr takes far longer
            for attribute in tensors
        }

    def __getitem__(self, name: str) -> Tensor:
        tensors, attribute = self._places[name]
        tensor: Tensor | None = tensors[attribute]
        assert tensor is not None  # noqa: S101 - a name comes from a network that has a tensor there
        return tensor


def corner(tensor: Tensor, shape: torch.Size) -> Tensor:
    """The leading corner of a tensor, as a view."""
    if tensor.shape == shape:
        return tensor
    for dimension, size in enumerate(shape):
        if tensor.shape[dimension] != size:
            tensor = tensor.narrow(dimension, 0, size)
    return tensor
