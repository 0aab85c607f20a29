"""A plain EfficientNet-Lite of any layout. The supernet has no layers of its own: it lends its weights to this network.

As TensorFlow trained it: SAME padding, batch normalisation with epsilon 1e-3 and a decay of 0.99, ReLU6. Its dropout
and drop-connect are left out: a subnet has to compute the same in every place it is trained. Activations write over
what they are given, which is always a layer's output that nothing else reads: that saves a map for each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nat_lite.layout import FIRST, HEAD, STAGES, STEM, Layer, Layout, inputs, stride

EPSILON, MOMENTUM = 1e-3, 0.01
MEAN, STD = 127 / 255, 128 / 255  # what the published weights expect of every channel, on the scale 0 … 1


class Rescale(nn.Module):
    """From the normalisation that the images come in to the one that the weights were trained with."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(3, 1, 1))
        self.register_buffer("shift", torch.zeros(3, 1, 1))
        self.scale: Tensor
        self.shift: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """The same shape."""
        return torch.addcmul(self.shift, images, self.scale)


class Convolution(nn.Conv2d):
    """A convolution without bias, with TensorFlow's SAME padding: a row less before an even side than behind it.

    Draws no random weights when it is made: they are lent, copied, or drawn by `initialise`.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) → (n, c_out, h / stride, w / stride), rounded up."""
        if self.stride == (1, 1):
            return super().forward(x)
        low, left = (int(side % 2 == 0) for side in x.shape[-2:])
        return self._uneven(x, self.kernel_size[0] // 2, low, left)

    def _uneven(self, x: Tensor, rim: int, low: int, left: int) -> Tensor:
        """The convolution with `rim` rows around the picture, `low` fewer above it and `left` fewer beside it."""
        x = functional.pad(x, (rim - left, rim, rim - low, rim))
        return functional.conv2d(x, self.weight, self.bias, self.stride)


class Depthwise(Convolution):
    """One kernel for each channel."""

    def __init__(self, c: int, kernel: int, stride: int = 1) -> None:
        super().__init__(c, c, kernel, stride, groups=c)

    def _uneven(self, x: Tensor, rim: int, low: int, left: int) -> Tensor:
        """The same with a row of zeros before the kernel: a copy of the picture costs more than the convolution."""
        weight = functional.pad(self.weight, (left, 0, low, 0))
        return functional.conv2d(x, weight, self.bias, self.stride, rim, groups=self.groups)


class ConvBN(nn.Sequential):
    """Convolution and batch normalisation."""

    def __init__(self, conv: Convolution) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(conv.out_channels, EPSILON, MOMENTUM)


class MobileLayer(nn.Module):
    """Expand, depthwise convolution, project; a shortcut where the shapes allow it (Sandler et al., 2018)."""

    def __init__(self, c_in: int, c_out: int, layer: Layer, stride: int) -> None:
        super().__init__()
        mid = c_in * layer.expand
        self.expand = ConvBN(Convolution(c_in, mid, 1))
        self.depthwise = ConvBN(Depthwise(mid, layer.kernel, stride))
        self.project = ConvBN(Convolution(mid, c_out, 1))
        self.activation = nn.ReLU6(inplace=True)
        self.shortcut = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) → (n, c_out, h / stride, w / stride)."""
        y: Tensor = self.project(self.activation(self.depthwise(self.activation(self.expand(x)))))
        return x + y if self.shortcut else y


class FirstLayer(nn.Module):
    """The fixed layer after the stem: depthwise 3×3 and projection, without expansion."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = ConvBN(Depthwise(STEM, 3))
        self.project = ConvBN(Convolution(STEM, FIRST, 1))
        self.activation = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 32, h, w) → (n, 16, h, w)."""
        y: Tensor = self.project(self.activation(self.depthwise(x)))
        return y


class EfficientNetLite(nn.Module):
    """Images (n, 3, side, side) → logits (n, n_classes), for any side that is at least 1.

    The names in its state are those of the largest network: layer j of stage g is `stages.g.j` in every layout, so a
    smaller network's tensor is a slice of the larger one's tensor of the same name. Convolutions begin without values:
    load a state, or call `initialise`.
    """

    def __init__(self, layout: Layout, n_classes: int) -> None:
        super().__init__()
        self.rescale = Rescale()
        self.stem = ConvBN(Convolution(3, STEM, 3, stride=2))
        self.first = FirstLayer()
        self.stages = nn.Sequential(
            *(
                nn.Sequential(*(layer_at(g, j, layer) for j, layer in enumerate(layers)))
                for g, layers in enumerate(layout.stages)
            )
        )
        self.head = ConvBN(Convolution(STAGES[-1].channels, HEAD, 1))
        self.classifier = nn.Linear(HEAD, n_classes)
        self.activation = nn.ReLU6(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (n, n_classes)."""
        x = self.stages(self.first(self.activation(self.stem(self.rescale(images)))))
        logits: Tensor = self.classifier(self.activation(self.head(x)).mean((2, 3)))
        return logits


def layer_at(stage: int, position: int, layer: Layer) -> MobileLayer:
    """The layer of that kind at a place of a network."""
    return MobileLayer(inputs(stage, position), STAGES[stage].channels, layer, stride(stage, position))


def initialise(network: nn.Module) -> None:
    """Random weights: He's normal by fan-out for convolutions, small normal for the classifier."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
