"""Batch-norm statistics of a subnet: those it inherits were gathered by other subnets, so they are measured again."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set every running mean and variance to the average over some batches of training images, of equal size.

    As OFA does it (Cai et al., 2020): the average of the batches' means, and of their biased variances. Leaves the
    network in eval mode.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    counts: dict[nn.Module, int] = {}
    handles = [norm.register_forward_pre_hook(_count_into(counts)) for norm in norms]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
    network.train()
    try:
        for images in batches:
            network(images)
    finally:
        for norm, handle, momentum in zip(norms, handles, momenta, strict=True):
            handle.remove()
            norm.momentum = momentum
        network.eval()
    for norm in norms:
        if norm.running_var is not None and norm in counts:  # torch averages the unbiased variance
            norm.running_var.mul_((counts[norm] - 1) / counts[norm])


def _count_into(counts: dict[nn.Module, int]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        counts[module] = inputs[0].numel() // inputs[0].shape[1]

    return hook
