"""OpenVINO's two files, converted from the same ONNX graph that the format `onnx` writes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from nat_core.extras import needed
from nat_core.onnx_graph import onnx_graph
from nat_core.options import at_least
from nat_exporters.quantizing import quantized


@dataclass(frozen=True)
class OpenVINO:
    """`model.xml` and `model.bin`: `images` (n, 3, side, side) → `logits` (n, n_classes), for any n."""

    int8: bool
    calibration_images: int
    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    batch: ClassVar[int] = 0
    # Without the hint, a processor with bf16 would compute in it, and keep 8 bits of 24.
    script: ClassVar[str] = '''import openvino


def load(threads=0):
    """The network as a function: float32 images (n, 3, side, side) -> logits (n, classes)."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    network = openvino.Core().compile_model(HERE / "model.xml", "CPU", settings)
    return lambda images: network(images)[0]
'''

    def __post_init__(self) -> None:
        at_least(1, **{"openvino.calibration_images": self.calibration_images})
        for module in ("openvino", "onnx"):
            needed(module, "the format openvino", "openvino")
        if self.int8:
            needed("onnxruntime", "the format openvino in int8", "onnx")

    @property
    def precision(self) -> str:
        """Of the numbers in the file."""
        return "int8" if self.int8 else "fp32"

    @property
    def n_images(self) -> int:
        """To trace with, or to calibrate with."""
        return max(2, self.calibration_images) if self.int8 else 2

    def files(self, network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        """`model.xml` and `model.bin`."""
        openvino = needed("openvino", "the format openvino", "openvino")
        graph = onnx_graph(network, images, "choose another format, such as pt2")
        model = openvino.Core().read_model(quantized(graph, images) if self.int8 else graph)
        with tempfile.TemporaryDirectory(prefix="nat-") as folder:  # OpenVINO writes files only
            openvino.save_model(model, Path(folder) / "model.xml", compress_to_fp16=False)
            return {name: (Path(folder) / name).read_bytes() for name in ("model.xml", "model.bin")}
