"""How many architectures each cost prices in a second; `macs` and `params` against tracing each with torch's counter.

Tracing is what the method's public implementations do. Both are asked about the same networks, in one process; what
counts is the ratio. `memory` and `latency`, the sum over a table of all operators, stand beside them without a peer.

    python benchmarks/costs.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from nat_core import plugins
from nat_core.encoding import as_architectures
from nat_core.latency.tables import LatencyTable, text_of
from nat_mbv3.network import MobileNetV3

N_CLOSED, N_TRACED, REPEATS = 100_000, 8, 5


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    space = plugins.find("search_spaces", "mbv3")()
    X = space.sample(N_CLOSED, np.random.default_rng(0))
    traced = as_architectures(X[:N_TRACED])
    print("| cost | closed form, architectures/s | traced, architectures/s | ratio |")
    print("|---|---|---|---|")
    for name, trace in (("macs", traced_macs), ("params", counted_params)):
        model = plugins.find("cost_models", name)(space)
        assert [trace(space, a) for a in traced] == model(X[:N_TRACED]).tolist()
        closed = N_CLOSED / fastest(lambda model=model: model(X))
        peer = N_TRACED / fastest(lambda trace=trace: [trace(space, a) for a in traced])
        print(f"| {name} | {closed:,.0f} | {peer:,.1f} | {closed / peer:,.0f} |")

    with tempfile.TemporaryDirectory() as folder:
        options = {"memory": {}, "latency": {"table": [write_table(space, Path(folder) / "table.yaml")]}}
        for name, given in options.items():
            model = plugins.find("cost_models", name)(space, **given)
            closed = N_CLOSED / fastest(lambda model=model: model(X))
            print(f"| {name} | {closed:,.0f} | – | – |")


def write_table(space: object, file: Path) -> str:
    """A latency table of every operator; what stands in it does not matter to the speed."""
    times = {operator.name: operator.macs / 1e9 for operator in space.operators}  # type: ignore[attr-defined]
    file.write_text(text_of({"bench": LatencyTable(times)}), encoding="utf-8")
    return str(file)


def fastest(task: Callable[[], object]) -> float:
    """Seconds, the least of some repeats."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return min(times)


def traced_macs(space: object, architecture: tuple[int, ...]) -> float:
    """Half of the floating-point operations that torch counts on the meta device."""
    with torch.device("meta"):
        network = MobileNetV3(space.layout(architecture), 1000).eval()  # type: ignore[attr-defined]
        images = torch.empty(1, *space.input_shape(architecture))  # type: ignore[attr-defined]
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(images)
    return counter.get_total_flops() / 2


def counted_params(space: object, architecture: tuple[int, ...]) -> float:
    """The parameters of the network, made on the meta device."""
    with torch.device("meta"):
        network = MobileNetV3(space.layout(architecture), 1000)  # type: ignore[attr-defined]
    return sum(p.numel() for p in network.parameters())


if __name__ == "__main__":
    main()
