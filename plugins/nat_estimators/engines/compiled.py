"""Engines that compile a network before they run it: OpenVINO and ONNX Runtime, both from the same ONNX graph."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nat_core.errors import ConfigError
from nat_core.extras import needed
from nat_estimators.engines.portions import Array, Run, in_portions, portion

# Of a portion: of 64 pixels 36 pictures, of 192 pixels 4. Between half and twice of it is about as fast; the whole
# batch of 128 or 32 takes a fifth longer.
_PIXELS = 4 * 192 * 192

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

    def prepare(self, network: nn.Module, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Compile for as many threads as torch has now, each with portions of its own."""
        threads = torch.get_num_threads()
        size = portion(images, _PIXELS, threads)
        compiled = self.compiled(network, images, size, threads, NUM_STREAMS=threads)
        return in_portions([_request(compiled) for _ in range(threads)], size, padded=True)

    def compiled(self, network: nn.Module, images: Tensor, size: int, threads: int, **settings: object) -> Any:
        """For so many pictures at once and no other number, which runs faster than an open one."""
        core = importlib.import_module("openvino").Core()
        model = core.read_model(graph(network, images))
        model.reshape([size, *images.shape[1:]])
        settings |= {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[self.precision],
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # a pinned thread waits for its core when others use it
        }
        return core.compile_model(model, "CPU", settings)


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
        """Optimise, and run in as many threads as torch has now, each with portions of its own."""
        threads = torch.get_num_threads()
        session = self.session(network, images, threads=1)

        def run(part: Array) -> Array:
            (logits,) = session.run(["logits"], {"images": part})
            return logits  # type: ignore[no-any-return]

        return in_portions([run] * threads, portion(images, _PIXELS, threads))

    def session(self, network: nn.Module, images: Tensor, threads: int) -> Any:
        """For any number of pictures, and so many threads for each run."""
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        return runtime.InferenceSession(graph(network, images), options, providers=["CPUExecutionProvider"])


def _request(compiled: Any) -> Run:
    """One of OpenVINO's: it holds the memory of one portion."""
    request = compiled.create_infer_request()

    def run(part: Array) -> Array:
        (logits,) = request.infer([part], share_inputs=True).values()
        return logits  # type: ignore[no-any-return]

    return run


def graph(network: nn.Module, images: Tensor) -> bytes:
    """The folded network in ONNX, for any number of pictures of this side."""
    from nat_core.onnx_graph import onnx_graph

    return onnx_graph(network, images.expand(2, *images.shape[1:]) if len(images) == 1 else images, _ADVICE)


def _on_the_processor(name: str, device: torch.device) -> None:
    if device.type != "cpu":
        raise ConfigError(
            f"the engine {name} computes on the processor, and the device is {str(device)!r}: "
            "choose device=cpu, or engine=torch"
        )
