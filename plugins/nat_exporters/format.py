"""What the formats of this package have in common: each is a function that writes a network, and how it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

LOAD = '''

def load(threads=0):
    """The network as a function: float32 images (n, 3, side, side) -> logits (n, classes)."""
'''  # the beginning that all scripts share, behind their imports


@dataclass(frozen=True)
class Format:
    """An `Exporter`; `write` gives the contents by name of a network in eval mode, shown images (n, 3, side, side)."""

    write: Callable[[nn.Module, Tensor], Mapping[str, bytes]]
    packages: tuple[str, ...]
    script: str
    batch: int = 0
    calibration_images: int = 0  # that the ranges of 8 bits are found with; 0: fp32

    @property
    def precision(self) -> str:
        """Of the numbers in the files."""
        return "int8" if self.calibration_images else "fp32"

    @property
    def n_images(self) -> int:
        """To trace with, or to calibrate with."""
        return max(2, self.calibration_images)

    def files(self, network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        """As `write` gives them."""
        return self.write(network, images)
