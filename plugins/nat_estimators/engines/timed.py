"""The engines once more, as `nat latency` times them: one shape of input, fixed when a network is compiled.

`top1_error` has its batches computed in portions, by threads apart. What compiles a network is timed on the images that
were asked for in one go and by all threads together, as a network that is deployed for them.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from nat_core.contracts import Stopwatch
from nat_core.latency.clocks import processor_clock, wall_clock
from nat_estimators.devices import device_named, threads_of
from nat_estimators.engines import engine
from nat_estimators.engines.compiled import OnnxRuntime, OpenVINO

PACKAGES = {"torch": "torch", "openvino": "openvino", "onnxruntime": "onnxruntime"}


@dataclass(frozen=True)
class TimedEngine:
    """Meets `Engine`. Raises `ConfigError` for a device that is not there and an engine that is not installed."""

    name: str
    precision: str
    device: torch.device
    threads: int

    @classmethod
    def named(cls, name: str, precision: str, device: str, threads: int) -> TimedEngine:
        """The engine of that name."""
        where = device_named(device, name)
        engine(name, precision, where, name)  # which says what is wrong
        return cls(name, precision, where, threads)

    @property
    def about(self) -> Mapping[str, str]:
        """What the times belong to."""
        package = importlib.import_module(PACKAGES[self.name])
        return {
            "device": str(self.device),
            "processor": processor(self.device),
            "engine": self.name,
            "engine_version": str(package.__version__),
            "precision": self.precision,
            "threads": str(self.threads),
            "clock": "processor" if self._alone else "wall",
        }

    @property
    def _alone(self) -> bool:
        """Whether the process's own clock counts what a run takes."""
        return self.device.type == "cpu" and self.threads == 1

    def prepare(self, network: nn.Module, shape: tuple[int, ...]) -> Stopwatch:
        """Compiled, and ready for images of noise."""
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device)
        with threads_of(self.threads):
            network = network.to(self.device)
            run = self._running(network, images)
        watch = (processor_clock if self._alone else wall_clock)(run)

        def timed(n: int) -> list[float]:
            with threads_of(self.threads):
                return list(watch(n))

        return timed

    def _running(self, network: nn.Module, images: Tensor) -> Callable[[], object]:
        """What runs it once, to the end."""
        chosen = engine(self.name, self.precision, self.device, self.name)
        if isinstance(chosen, OpenVINO):
            compiled = chosen.compiled(
                network, images, len(images), self.threads, NUM_STREAMS=1, PERFORMANCE_HINT="LATENCY"
            )
            request, array = compiled.create_infer_request(), images.contiguous().numpy()
            return lambda: request.infer([array], share_inputs=True, share_outputs=True)
        if isinstance(chosen, OnnxRuntime):
            session, array = chosen.session(network, images, self.threads), images.contiguous().numpy()
            return lambda: session.run(["logits"], {"images": array})
        forward = chosen.prepare(network, images)
        if self.device.type == "cpu":
            return lambda: forward(images)

        def finished() -> None:
            forward(images)
            torch.cuda.synchronize(self.device)

        return finished


def processor(device: torch.device) -> str:
    """The model of what computes, in words."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Hardware"))]
    return models[0] if models else platform.processor() or platform.machine()
