"""Exact costs of architectures, in closed form, for a whole population at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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


@hookimpl
def register_cost_models() -> Mapping[str, Callable[..., CostModel]]:
    """The costs `macs` and `params`."""
    return {"macs": macs, "params": params}
