"""Batch normalisation folded into the convolution before it: one layer computes what two did.

In eval mode batch normalisation is y = (x - mean) · weight / √(var + ε) + bias, channel by channel; the scale goes into
the convolution's weights, the rest into its bias.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import nn


@torch.no_grad()
def fold(network: nn.Module) -> None:
    """Fold every batch normalisation that follows a convolution in an `nn.Sequential`, in place.

    Others stay as they are: only in a sequence is it known that nothing else reads the convolution's output.
    """
    for sequence, name, convolution, norm in list(_pairs(network)):
        assert norm.running_mean is not None  # noqa: S101 - narrows what `_pairs` has looked at
        assert norm.running_var is not None  # noqa: S101 - as above
        scale = (norm.running_var.double() + norm.eps).rsqrt()
        scale = scale if norm.weight is None else scale * norm.weight
        shift = -norm.running_mean * scale
        shift = shift if norm.bias is None else shift + norm.bias
        if convolution.bias is not None:
            shift = shift + convolution.bias * scale
        weight = convolution.weight * scale[:, None, None, None]
        convolution.weight = nn.Parameter(weight.to(convolution.weight.dtype), requires_grad=False)
        convolution.bias = nn.Parameter(shift.to(convolution.weight.dtype), requires_grad=False)
        setattr(sequence, name, nn.Identity())


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Sequential, str, nn.Conv2d, nn.BatchNorm2d]]:
    """The sequence, the name of the norm in it, the convolution and the norm."""
    for sequence in network.modules():
        if not isinstance(sequence, nn.Sequential) or type(sequence).forward is not nn.Sequential.forward:
            continue
        for (_, before), (name, norm) in itertools.pairwise(sequence.named_children()):
            if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
                yield sequence, name, before, norm
