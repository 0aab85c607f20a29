"""A plain MobileNetV3 of any layout. The supernet has no layers of its own: it lends its weights to this network.

Activations write over what they are given, which is always a layer's output that nothing else reads: without a new map
for each, a network runs a tenth faster on a processor.
"""

from __future__ import annotations

from torch import Tensor, nn

from nat_mbv3.layout import STAGES, Layer, Layout, Stage, channels, expanded, squeezed


class ConvBN(nn.Sequential):
    """Convolution without bias and batch normalisation; `same` padding for odd kernels."""

    def __init__(self, c_in: int, c_out: int, kernel: int, *, stride: int = 1, depthwise: bool = False) -> None:
        super().__init__()
        convolution = Depthwise if depthwise else Pointwise if kernel == 1 else Convolution
        groups = c_in if depthwise else 1
        self.conv = convolution(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(c_out)


class Convolution(nn.Conv2d):
    """`nn.Conv2d` that draws no random weights when it is made: they are lent, copied, or drawn by `initialise`."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""


class Pointwise(Convolution):
    """A 1×1 convolution; on a map of one pixel it is a matrix product, which is three times faster as one."""

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv2d`'s."""
        if x.shape[-2:] != (1, 1):
            return super().forward(x)
        return nn.functional.linear(x.flatten(1), self.weight.flatten(1), self.bias)[..., None, None]


class Depthwise(Convolution):
    """A depthwise convolution that leaves out the rim of its kernel where that can only meet padding.

    On a map of side h no two pixels are more than h - 1 apart, so of a larger kernel the centre of side 2h - 1 does all
    the work. The result is the same; on small pictures the backward pass is several times faster.
    """

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv2d`'s."""
        rim = max(self.kernel_size[0] // 2 - max(x.shape[-2:]) + 1, 0)
        if not rim:
            return super().forward(x)
        centre = self.weight[:, :, rim:-rim, rim:-rim]
        if centre.shape[-1] == 1:  # the map is one pixel
            y = x * centre[None, :, 0]
            return y if self.bias is None else y + self.bias[:, None, None]
        return nn.functional.conv2d(x, centre, self.bias, self.stride, centre.shape[-1] // 2, groups=self.groups)


class SqueezeExcite(nn.Module):
    """Scales every channel by a gate computed from all of them (Hu et al., 2018)."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.reduce = Pointwise(c, squeezed(c), 1)
        self.expand = Pointwise(squeezed(c), c, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        gate = self.expand(self.reduce(x.mean((2, 3), keepdim=True)).relu_())
        return x * nn.functional.hardsigmoid(gate)


class MobileLayer(nn.Module):
    """Expand, depthwise convolution, squeeze-and-excitation, project; a shortcut where the shapes allow it."""

    def __init__(self, c_in: int, c_out: int, layer: Layer, stage: Stage, stride: int) -> None:
        super().__init__()
        mid = expanded(c_in, layer.expand)
        self.expand = ConvBN(c_in, mid, 1)
        self.depthwise = ConvBN(mid, mid, layer.kernel, stride=stride, depthwise=True)
        self.se = SqueezeExcite(mid) if stage.squeeze_excite else nn.Identity()
        self.project = ConvBN(mid, c_out, 1)
        self.activation = nn.Hardswish(inplace=True) if stage.hard_swish else nn.ReLU(inplace=True)
        self.shortcut = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) → (n, c_out, h / stride, w / stride)."""
        y: Tensor = self.project(self.se(self.activation(self.depthwise(self.activation(self.expand(x))))))
        return x + y if self.shortcut else y


class FirstLayer(nn.Module):
    """The fixed layer after the stem: depthwise 3×3 and projection, without expansion."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.depthwise = ConvBN(c_in, c_in, 3, depthwise=True)
        self.project = ConvBN(c_in, c_out, 1)
        self.shortcut = c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) → (n, c_out, h / stride, w / stride)."""
        y: Tensor = self.project(self.depthwise(x).relu_())
        return x + y if self.shortcut else y


class MobileNetV3(nn.Module):
    """Images (n, 3, side, side) → logits (n, n_classes), for any side that is at least 1.

    The names in its state are those of the largest network: layer j of stage g is `stages.g.j` in every layout, so a
    smaller network's tensor is a slice of the larger one's tensor of the same name. Convolutions begin without values:
    load a state, or call `initialise`.
    """

    def __init__(self, layout: Layout, n_classes: int) -> None:
        super().__init__()
        c = channels(layout.width)
        self.stem = ConvBN(3, c[0], 3, stride=2)
        self.first = FirstLayer(c[0], c[1])
        self.stages = nn.Sequential(
            *(
                nn.Sequential(*(layer_at(layout.width, g, j, layer) for j, layer in enumerate(layers)))
                for g, layers in enumerate(layout.stages)
            )
        )
        self.final_expand = ConvBN(c[6], c[7], 1)
        self.feature_mix = Pointwise(c[7], c[8], 1, bias=False)
        self.classifier = nn.Linear(c[8], n_classes)
        self.activation = nn.Hardswish(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (n, n_classes)."""
        x = self.stages(self.first(self.activation(self.stem(images))))
        x = self.activation(self.final_expand(x)).mean((2, 3), keepdim=True)
        logits: Tensor = self.classifier(self.activation(self.feature_mix(x)).flatten(1))
        return logits


def layer_at(width: float, stage: int, position: int, layer: Layer) -> MobileLayer:
    """The layer of that kind at a place of a network."""
    c, kind = channels(width), STAGES[stage]
    if position == 0:
        return MobileLayer(c[stage + 1], c[stage + 2], layer, kind, kind.stride)
    return MobileLayer(c[stage + 2], c[stage + 2], layer, kind, 1)


def initialise(network: nn.Module) -> None:
    """Random weights: He's normal by fan-out for convolutions, small normal for the classifier (as MobileNetV3's)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
