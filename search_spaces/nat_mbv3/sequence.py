"""A network cut into its operators: one module for each live slot of `layers`, one behind the other."""

from __future__ import annotations

from torch import Tensor, nn

from nat_mbv3.layout import Layout
from nat_mbv3.network import MobileNetV3, initialise


class Averaged(nn.Module):
    """The mean of each channel, as a map of one pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) → (n, c, 1, 1)."""
        return x.mean((2, 3), keepdim=True)


def sequence(layout: Layout, classes: int) -> nn.Sequential:
    """Computes what `MobileNetV3` does: random weights, in eval mode."""
    network = MobileNetV3(layout, classes)
    initialise(network)
    swish = network.activation
    layers = [layer for stage in network.stages.children() for layer in stage.children()]
    final = nn.Sequential(network.final_expand, swish, Averaged())
    mix, classifier = nn.Sequential(network.feature_mix, swish), nn.Sequential(nn.Flatten(), network.classifier)
    return nn.Sequential(nn.Sequential(network.stem, swish), network.first, *layers, final, mix, classifier).eval()
