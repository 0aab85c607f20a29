"""The engines as factories, for `nat latency` and the objective `measured`: heavy imports stay in the bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING:
    from nat_estimators.engines.timed import TimedEngine

ABOUT = {
    "torch": "PyTorch with batch normalisation folded away.",
    "openvino": "OpenVINO, on the processor: pip install 'nat-core[openvino]'.",
    "onnxruntime": "ONNX Runtime, on the processor: pip install 'nat-core[onnx]'.",
}


def timed(name: str) -> Callable[..., TimedEngine]:
    """The factory of an engine."""

    def make(
        *,
        device: Annotated[str, "cpu, cuda, or auto: cuda where there is one"] = "cpu",
        threads: Annotated[int, "of a processor"] = 1,
        precision: Annotated[str, "fp32, bf16, or on cuda fp16"] = "fp32",
    ) -> TimedEngine:
        from nat_core.options import at_least
        from nat_estimators.engines.timed import TimedEngine

        at_least(1, **{f"{name}.threads": threads})
        return TimedEngine.named(name, precision, device, threads)

    make.__doc__ = ABOUT[name]
    return make
