"""OpenVINO's two files, converted from the same ONNX graph that the format `onnx` writes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from nat_core.extras import needed
from nat_exporters.format import LOAD, Format
from nat_exporters.onnx_file import graph

# Without the hint, a processor with bf16 would compute in it, and keep 8 bits of 24.
_SCRIPT = (
    "import openvino\n"
    + LOAD
    + """    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    network = openvino.Core().compile_model(HERE / "model.xml", "CPU", settings)
    return lambda images: network(images)[0]
"""
)


def openvino(calibration_images: int) -> Format:
    """`model.xml` and `model.bin`: `images` (n, 3, side, side) → `logits` (n, n_classes), for any n."""
    library = needed("openvino", "the format openvino", "openvino")
    needed("onnx", "the format openvino", "openvino")
    if calibration_images:
        needed("onnxruntime", "the format openvino in int8", "onnx")

    def write(network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        model = library.Core().read_model(graph(network, images, int8=calibration_images > 0))
        with tempfile.TemporaryDirectory(prefix="nat-") as folder:  # OpenVINO writes files only
            library.save_model(model, Path(folder) / "model.xml", compress_to_fp16=False)
            return {name: (Path(folder) / name).read_bytes() for name in ("model.xml", "model.bin")}

    return Format(write, ("openvino",), _SCRIPT, calibration_images=calibration_images)
