"""Engines that compile a network before they run it: OpenVINO and ONNX Runtime, both from the same ONNX graph."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nat_core.errors import ConfigError
from nat_core.extras import needed

# Where a network is measured, timed for a table, or timed as an objective.
_ADVICE = "choose the engine torch: --engine torch, or for the objective measured -s measured.engine=torch"


@dataclass(frozen=True)
class OpenVINO:
    """Intel's compiler for processors, AMD's included: extra `openvino`."""

    precision: str
    device: torch.device
    name: ClassVar[str] = "openvino"

    def __post_init__(self) -> None:
        _on_the_processor(self.name, self.device)
        for module in ("openvino", "onnx"):
            needed(module, f"the engine {self.name}", "openvino")

    def settings(self, threads: int) -> dict[str, object]:
        """How a network is compiled."""
        return {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[self.precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,  # one batch at a time
            "ENABLE_CPU_PINNING": False,  # a pinned thread waits for its core when others use it
        }

    def prepare(self, network: nn.Module, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Compile for as many threads as torch has now."""
        openvino = importlib.import_module("openvino")
        settings = self.settings(torch.get_num_threads())
        core = openvino.Core()
        request = core.compile_model(core.read_model(_graph(network, images)), "CPU", settings).create_infer_request()

        def forward(batch: Tensor) -> Tensor:
            array = batch.contiguous(memory_format=torch.contiguous_format).numpy()
            (logits,) = request.infer([array], share_inputs=True).values()
            return torch.from_numpy(logits)

        return forward


@dataclass(frozen=True)
class OnnxRuntime:
    """Microsoft's runtime on the processor: extra `onnx`. What it measures is what a deployed ONNX file would do."""

    precision: str
    device: torch.device
    name: ClassVar[str] = "onnxruntime"

    def __post_init__(self) -> None:
        _on_the_processor(self.name, self.device)
        if self.precision != "fp32":
            raise ConfigError(f"the precision is {self.precision!r}, and the engine onnxruntime computes in fp32")
        for module in ("onnxruntime", "onnx"):
            needed(module, f"the engine {self.name}", "onnx")

    def prepare(self, network: nn.Module, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Optimise for as many threads as torch has now."""
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        session = runtime.InferenceSession(_graph(network, images), options, providers=["CPUExecutionProvider"])

        def forward(batch: Tensor) -> Tensor:
            array = batch.contiguous(memory_format=torch.contiguous_format).numpy()
            (logits,) = session.run(["logits"], {"images": array})
            return torch.from_numpy(logits)

        return forward


def _graph(network: nn.Module, images: Tensor) -> bytes:
    """The folded network in ONNX."""
    from nat_core.onnx_graph import onnx_graph

    return onnx_graph(network, images, _ADVICE)


def _on_the_processor(name: str, device: torch.device) -> None:
    if device.type != "cpu":
        raise ConfigError(
            f"the engine {name} computes on the processor, and the device is {str(device)!r}: "
            "choose device=cpu, or engine=torch"
        )
