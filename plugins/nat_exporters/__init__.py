"""Files of a network for other programs: PyTorch's own formats, ONNX, OpenVINO and ExecuTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from nat_core import hookimpl
from nat_core.contracts import Exporter

if TYPE_CHECKING:
    from nat_exporters.executorch_file import ExecuTorch
    from nat_exporters.onnx_file import Onnx
    from nat_exporters.openvino_file import OpenVINO
    from nat_exporters.pytorch import ExportedProgram, StateDict, TorchScript

Quantize = Annotated[Literal["none", "int8"], "int8: weights and activations of 8 bits; none: fp32"]
Calibration = Annotated[int, "training images that the ranges of 8-bit activations are found with"]


def state_dict() -> StateDict:
    """Weights by name as safetensors, and the network as PyTorch source: for training on, in other code."""
    from nat_exporters.pytorch import StateDict

    return StateDict()


def pt2() -> ExportedProgram:
    """PyTorch's exported program, as torch.export writes it: for PyTorch without the network's source."""
    from nat_exporters.pytorch import ExportedProgram

    return ExportedProgram()


def torchscript() -> TorchScript:
    """TorchScript, for LibTorch and older programs. PyTorch has deprecated it: prefer pt2 where you can."""
    from nat_exporters.pytorch import TorchScript

    return TorchScript()


def onnx(*, quantize: Quantize = "none", calibration_images: Calibration = 256) -> Onnx:
    """ONNX, opset 17, for ONNX Runtime and everything else that reads it. Extra `onnx`."""
    from nat_exporters.onnx_file import Onnx

    return Onnx(quantize == "int8", calibration_images)


def openvino(*, quantize: Quantize = "none", calibration_images: Calibration = 256) -> OpenVINO:
    """OpenVINO's model.xml and model.bin, for processors of servers and laptops. Extra `openvino`; int8: `onnx` too."""
    from nat_exporters.openvino_file import OpenVINO

    return OpenVINO(quantize == "int8", calibration_images)


def executorch() -> ExecuTorch:
    """ExecuTorch's program with XNNPACK, for phones: one picture at a time. Extra `executorch`."""
    from nat_exporters.executorch_file import ExecuTorch

    return ExecuTorch()


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
