"""Costs of architectures, for a whole population at once: counted in closed form, or summed from a latency table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from nat_core import hookimpl
from nat_core.contracts import CostModel, SearchSpace


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
    from nat_costs.memory import WeightsAndActivations

    return WeightsAndActivations(space)


def latency(
    space: SearchSpace,
    *,
    table: Annotated[Sequence[str], "file, files or folder: of nat latency build, of once-for-all or NSGANetV2"],
    device: Annotated[str | None, "which of the table's devices; none: the only one"] = None,
    corrected: Annotated[bool, "as nat latency verify fitted it to whole networks, where it did"] = True,
) -> Annotated[CostModel, "ms"]:
    """Milliseconds for one image, as the sum over a device's latency table."""
    from nat_costs.latency import TableLatency

    return TableLatency(space, tuple(table), device, corrected=corrected)


@hookimpl
def register_cost_models() -> Mapping[str, Callable[..., CostModel]]:
    """The costs `macs`, `params`, `memory` and `latency`."""
    return {"macs": macs, "params": params, "memory": memory, "latency": latency}
