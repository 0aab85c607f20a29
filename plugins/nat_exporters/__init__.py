"""Files of a network for other programs: PyTorch's own formats, ONNX, OpenVINO and ExecuTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from nat_core import hookimpl
from nat_core.contracts import Exporter

if TYPE_CHECKING:
    from nat_exporters.format import Format

Quantize = Annotated[Literal["none", "int8"], "int8: weights and activations of 8 bits; none: fp32"]
Calibration = Annotated[int, "training images that the ranges of 8-bit activations are found with"]


def state_dict() -> Format:
    """Weights by name as safetensors, and the network as PyTorch source: for training on, in other code."""
    from nat_exporters import pytorch

    return pytorch.state_dict()


def pt2() -> Format:
    """PyTorch's exported program, as torch.export writes it: for PyTorch without the network's source."""
    from nat_exporters import pytorch

    return pytorch.exported_program()


def torchscript() -> Format:
    """TorchScript, for LibTorch and older programs. PyTorch has deprecated it: prefer pt2 where you can."""
    from nat_exporters import pytorch

    return pytorch.torchscript()


def onnx(*, quantize: Quantize = "none", calibration_images: Calibration = 256) -> Format:
    """ONNX, opset 17, for ONNX Runtime and everything else that reads it. Extra `onnx`."""
    from nat_core.options import at_least
    from nat_exporters import onnx_file

    at_least(1, **{"onnx.calibration_images": calibration_images})
    return onnx_file.onnx(calibration_images if quantize == "int8" else 0)


def openvino(*, quantize: Quantize = "none", calibration_images: Calibration = 256) -> Format:
    """OpenVINO's model.xml and model.bin, for processors of servers and laptops. Extra `openvino`; int8: `onnx` too."""
    from nat_core.options import at_least
    from nat_exporters import openvino_file

    at_least(1, **{"openvino.calibration_images": calibration_images})
    return openvino_file.openvino(calibration_images if quantize == "int8" else 0)


def executorch() -> Format:
    """ExecuTorch's program with XNNPACK, for phones: one picture at a time. Extra `executorch`."""
    from nat_exporters import executorch_file

    return executorch_file.executorch()


@hookimpl
def register_exporters() -> Mapping[str, Callable[..., Exporter]]:
    """The formats of this package."""
    return {
        "state-dict": state_dict,
        "pt2": pt2,
        "torchscript": torchscript,
        "onnx": onnx,
        "openvino": openvino,
        "executorch": executorch,
    }
