"""A network cut into its operators: one module for each live slot of `layers`, one behind the other."""

from __future__ import annotations

from torch import Tensor, nn

from nat_lite.layout import Layout
from nat_lite.network import EfficientNetLite, initialise


class Averaged(nn.Module):
    """The mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) → (n, c)."""
        return x.mean((2, 3))


def sequence(layout: Layout, classes: int) -> nn.Sequential:
    """Computes what `EfficientNetLite` does: random weights, in eval mode."""
    network = EfficientNetLite(layout, classes)
    initialise(network)
    clipped = network.activation
    layers = [layer for stage in network.stages.children() for layer in stage.children()]
    stem, head = nn.Sequential(network.rescale, network.stem, clipped), nn.Sequential(network.head, clipped)
    classifier = nn.Sequential(Averaged(), network.classifier)
    return nn.Sequential(stem, network.first, *layers, head, classifier).eval()
