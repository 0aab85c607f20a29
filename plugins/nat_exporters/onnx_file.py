"""ONNX, for ONNX Runtime and whatever else reads it; with 8 bits as a graph that says how it was quantised (QDQ)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from nat_core.extras import needed
from nat_core.onnx_graph import onnx_graph
from nat_core.options import at_least
from nat_exporters.quantizing import quantized

_ADVICE = "choose another format, such as pt2"


@dataclass(frozen=True)
class Onnx:
    """One file, `model.onnx`: `images` (n, 3, side, side) → `logits` (n, n_classes), for any n."""

    int8: bool
    calibration_images: int
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    batch: ClassVar[int] = 0
    script: ClassVar[str] = '''import onnxruntime


def load(threads=0):
    """The network as a function: float32 images (n, 3, side, side) -> logits (n, classes)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]
'''

    def __post_init__(self) -> None:
        at_least(1, **{"onnx.calibration_images": self.calibration_images})
        for module in ("onnx", "onnxruntime"):
            needed(module, "the format onnx", "onnx")

    @property
    def precision(self) -> str:
        """Of the numbers in the file."""
        return "int8" if self.int8 else "fp32"

    @property
    def n_images(self) -> int:
        """To trace with, or to calibrate with."""
        return max(2, self.calibration_images) if self.int8 else 2

    def files(self, network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        """`model.onnx`."""
        model = onnx_graph(network, images, _ADVICE)
        return {"model.onnx": quantized(model, images) if self.int8 else model}
