"""ONNX, for ONNX Runtime and whatever else reads it; with 8 bits as a graph that says how it was quantised (QDQ)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nat_core.extras import needed
from nat_core.onnx_graph import onnx_graph
from nat_exporters.format import LOAD, Format
from nat_exporters.quantizing import quantized

_ADVICE = "choose another format, such as pt2"
_SCRIPT = (
    "import onnxruntime\n"
    + LOAD
    + """    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]
"""
)


def onnx(calibration_images: int) -> Format:
    """One file, `model.onnx`: `images` (n, 3, side, side) → `logits` (n, n_classes), for any n."""
    for module in ("onnx", "onnxruntime"):
        needed(module, "the format onnx", "onnx")

    def write(network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        return {"model.onnx": graph(network, images, int8=calibration_images > 0)}

    return Format(write, ("onnxruntime",), _SCRIPT, calibration_images=calibration_images)


def graph(network: nn.Module, images: Tensor, *, int8: bool) -> bytes:
    """The model; in 8 bits the images calibrate it."""
    model = onnx_graph(network, images, _ADVICE)
    return quantized(model, images) if int8 else model
