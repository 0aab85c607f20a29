"""Costs of architectures: counted in closed form or summed from a table for thousands at once, or measured here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from nat_core import hookimpl
from nat_core.contracts import CostModel, Estimator, SearchSpace


def macs(space: SearchSpace) -> CostModel:
    """Multiply-accumulates of convolutions and linear layers, for one image."""
    from nat_costs.operators import per_operator

    return per_operator(space, "macs", lambda operator: operator.macs)


def params(space: SearchSpace) -> CostModel:
    """Weights, biases and affine batch-norm terms."""
    from nat_costs.operators import per_operator

    return per_operator(space, "params", lambda operator: operator.params)


def memory(space: SearchSpace) -> Annotated[CostModel, "bytes"]:
    """Weights and the most activations alive at once, for one image in fp32."""
    from nat_costs.footprints import WeightsAndActivations

    return WeightsAndActivations(space)


def latency(
    space: SearchSpace,
    *,
    table: Annotated[Sequence[str], "file, files or folder: of nat latency build, of once-for-all or NSGANetV2"],
    device: Annotated[str | None, "which of the table's devices; none: the only one"] = None,
    corrected: Annotated[bool, "as nat latency verify fitted it to whole networks, where it did"] = True,
) -> Annotated[CostModel, "ms"]:
    """Milliseconds as the sum over a device's latency table, for as many images at a time as it was built for."""
    from nat_costs.table_sums import TableLatency

    return TableLatency(space, tuple(table), device, corrected=corrected)


def measured(
    space: SearchSpace,
    *,
    engine: Annotated[str, "what runs networks: torch, openvino, onnxruntime"] = "torch",
    device: Annotated[str, "cpu, cuda"] = "cpu",
    threads: Annotated[int, "of a processor"] = 1,
    batch: Annotated[int, "images at a time"] = 1,
) -> Annotated[Estimator, "ms"]:
    """Milliseconds of a whole network on this machine, measured; its weights are random, as time does not ask them."""
    from nat_core.latency.measuring import Effort
    from nat_core.options import at_least
    from nat_costs.timings import MeasuredLatency

    at_least(1, **{"measured.threads": threads, "measured.batch": batch})
    return MeasuredLatency(space, engine, device, threads, batch, Effort())


@hookimpl
def register_estimators() -> Mapping[str, Callable[..., Estimator]]:
    """`measured`."""
    return {"measured": measured}


@hookimpl
def register_cost_models() -> Mapping[str, Callable[..., CostModel]]:
    """The costs `macs`, `params`, `memory` and `latency`."""
    return {"macs": macs, "params": params, "memory": memory, "latency": latency}
