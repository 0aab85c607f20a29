"""What runs a subnet over the pictures it is measured on.

An engine takes a recalibrated network and gives a function from pictures to logits. All of them compute what the plain
network computes, within the tolerance of `parity`; they differ in speed and in what they need installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from nat_core.errors import ConfigError, unknown
from nat_estimators.engines.compiled import OnnxRuntime, OpenVINO
from nat_estimators.engines.eager import Eager, Plain

Forward = Callable[[Tensor], Tensor]  # pictures (n, 3, side, side), any n → logits (n, n_classes)


class Engine(Protocol):
    """A way to run a network that is done with learning."""

    @property
    def name(self) -> str:
        """As the option calls it."""

    @property
    def precision(self) -> str:
        """Of the arithmetic: fp32, bf16 or fp16."""

    def prepare(self, network: nn.Module, images: Tensor) -> Forward:
        """What computes the logits. `images` show the shape and the device; the network, in eval mode, is used up."""


ENGINES: dict[str, Callable[[str, torch.device], Engine]] = {
    "torch": Eager,
    "plain": Plain,
    "openvino": OpenVINO,
    "onnxruntime": OnnxRuntime,
}
PRECISIONS = ("fp32", "bf16", "fp16")


def engine(name: str, precision: str, device: torch.device, part: str = "top1_error") -> Engine:
    """An engine by name. Raises `ConfigError` for one that is unknown, not installed, or cannot do this here."""
    if name not in ENGINES:
        raise ConfigError(f"{part}.engine: {unknown('engine', name, ENGINES)}")
    if precision not in PRECISIONS:
        raise ConfigError(f"{part}.precision: {unknown('precision', precision, PRECISIONS)}")
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError(
            f"{part}.precision is 'fp16', which a processor computes slower than fp32: "
            "choose fp32 or bf16, or device=cuda"
        )
    return ENGINES[name](precision, device)
