"""A published network that stands alone: a `net.config`, as OFA and NAT write them, and its weights.

Its blocks are numbered by live layer, and its kernels have their final size, so it needs no supernet. Six of NAT's
published networks use Mish throughout, which no supernet of OFA does; the gates of squeeze-and-excitation stay as
they are (ReLU, hard sigmoid).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from nat_core.errors import ConfigError
from nat_core.tensors import Weights, read
from nat_mbv3.checkpoint import rename, require_fit
from nat_mbv3.layout import STAGES, Layout
from nat_mbv3.net_config import NetConfig, read_config
from nat_mbv3.network import FirstLayer, MobileLayer, MobileNetV3


def static_network(config: Path, weights: Path) -> tuple[NetConfig, MobileNetV3]:
    """The network of a `net.config` with the weights of a file, in eval mode.

    Raises `ConfigError` for a network of another family, and for weights that do not fit.
    """
    found = read_config(config)
    with torch.device("meta"):
        network = MobileNetV3(found.layout, found.n_classes)
    state = _own(read(weights), found.layout, weights)
    wanted = network.state_dict()
    require_fit(state, wanted, f"the network of {config}", weights)
    network.load_state_dict({n: t.to(wanted[n].dtype) for n, t in state.items()}, assign=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = found.epsilon
    if found.mish:
        _use_mish(network)
    return found, network.eval()


def _own(state: Weights, layout: Layout, file: Path) -> Weights:
    """The tensors under the names of `MobileNetV3`."""
    places = [(g, j) for g, stage in enumerate(layout.stages) for j in range(len(stage))]

    def place(block: int) -> tuple[int, int]:
        return places[block - 1] if 0 < block <= len(places) else (len(STAGES), block)

    own = {rename(name, place).removeprefix("network."): tensor for name, tensor in state.items()}
    if len(own) < len(state):
        raise ConfigError(f"{file} holds the same tensor under two names")
    return own


class _MishFirstLayer(FirstLayer):
    """The fixed layer after the stem, with Mish (Misra, 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        """As `FirstLayer`'s."""
        y: Tensor = self.project(nn.functional.mish(self.depthwise(x)))
        return x + y if self.shortcut else y


def _use_mish(network: MobileNetV3) -> None:
    for module in network.modules():
        if isinstance(module, MobileNetV3 | MobileLayer):
            module.add_module("activation", nn.Mish())
    network.first.__class__ = _MishFirstLayer
