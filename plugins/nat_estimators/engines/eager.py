"""PyTorch itself: the network with its batch normalisation folded away, or as it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nat_core.folding import fold
from nat_estimators.engines.portions import portion

_PIXELS = 8 * 192 * 192  # of a portion, for each of a processor's threads
_DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Eager:
    """Folded and in channels-last memory: about twice as fast on a processor as the plain network."""

    precision: str
    device: torch.device
    name: ClassVar[str] = "torch"

    def prepare(self, network: nn.Module, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Fold the network in place."""
        del images
        fold(network)
        return _in_precision(network.to(memory_format=torch.channels_last), self.precision, self.device)


@dataclass(frozen=True)
class Plain:
    """The network as it is: what the other engines are compared with, and the way out where one goes wrong."""

    precision: str
    device: torch.device
    name: ClassVar[str] = "plain"

    def prepare(self, network: nn.Module, images: Tensor) -> Callable[[Tensor], Tensor]:
        """The network itself."""
        del images
        return _in_precision(network, self.precision, self.device)


def _in_precision(network: nn.Module, precision: str, device: torch.device) -> Callable[[Tensor], Tensor]:
    dtype = _DTYPES[precision]

    @torch.inference_mode()
    def forward(images: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            portions = torch.split(images.contiguous(memory_format=torch.channels_last), _size(images))
            return torch.cat([network(part) for part in portions]).float()

    return forward


def _size(images: Tensor) -> int:
    """How many pictures are computed in one go: another device than the processor takes a whole batch."""
    if images.device.type != "cpu":
        return max(len(images), 1)
    return portion(images, torch.get_num_threads() * _PIXELS)
