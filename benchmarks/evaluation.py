"""How fast subnets are evaluated: our engines beside the `ofa` package's dynamic network, and our supernet's overhead.

Every architecture is measured by all contestants in turn, once a round, so that whatever else the machine does meets
them alike; a ratio is the median over architectures and rounds of the ratios within a round. Weights are random, and
what is timed is the pass from pictures in memory to logits: of 128 at once, as many as a run of nat measures at once.
A large batch does not suit the peer, whose maps then leave the processor's caches. So it computes the same pictures in
smaller batches too, and the last column compares with the size at which it is fastest. The preparation of OpenVINO's
network is timed with each architecture, and counted over 2,000 pictures in a row of its own. Below the table stands
what share OpenVINO has of the rate at which the same threads multiply large matrices, which no engine exceeds in fp32.
Needs `pip install nat-core[dev]`, and takes five minutes with one thread.

    python benchmarks/evaluation.py [THREADS [ARCHITECTURES [ROUNDS]]] [--freed]      such as 1 4 3

With --freed all contestants, the peer too, have freed memory kept for the next layer, as our estimator does by itself.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from nat_core import plugins
from nat_core.encoding import as_architectures
from nat_estimators.engines import engine
from nat_estimators.engines.memory import keep_freed_memory

CLASSES, COUNTED, CPU = 100, 2000, torch.device("cpu")
SIDES = (64, 192)
BATCH = 128  # pictures at once
SMALLER = (64, 32, 16)  # as many of them at once, for the peer
ENGINES = {  # label → engine and precision
    "torch": ("torch", "fp32"),
    "onnxruntime": ("onnxruntime", "fp32"),
    "openvino": ("openvino", "fp32"),
    "bf16": ("openvino", "bf16"),
}
LABELS = {
    "ofa": "ofa 0.1, dynamic network, eager",
    **{f"ofa {size}": f"the same, {size} at once" for size in SMALLER},
    "static": "plain subnet, eager",
    "supernet": "subnet inside our supernet, eager",
    "torch": "engine torch",
    "onnxruntime": "engine onnxruntime",
    "openvino": "engine openvino, steady",
    "bf16": "engine openvino in bf16, steady",
    "counted": f"engine openvino, preparation counted over {COUNTED:,} images",
}


def main(threads: int = 1, n_architectures: int = 5, rounds: int = 3) -> None:
    """Print a table for each resolution."""
    torch.set_num_threads(threads)
    print(f"{threads} thread(s), {n_architectures} architectures, {rounds} rounds; torch {torch.__version__}\n")
    print("| resolution | what | images/s | against ofa | against ofa where it is fastest |")
    print("|---|---|---|---|---|")
    overheads, rates = list[float](), dict[int, list[float]]()
    for side in SIDES:
        seconds, macs = measured(side, n_architectures, rounds)
        fastest = min((name for name in seconds if name.startswith("ofa")), key=lambda name: median(seconds[name]))
        for name, label in LABELS.items():
            ratios = (ratio(seconds[peer], seconds[name]) for peer in ("ofa", fastest))
            print(f"| {side} | {label} | {BATCH / median(seconds[name]):.0f} | {' | '.join(ratios)} |", flush=True)
        overheads += [a / b - 1 for a, b in zip(seconds["supernet"], seconds["static"], strict=True)]
        rates[side] = [
            median(BATCH * m / s for m, s in zip(macs, seconds[n], strict=True)) for n in ("openvino", "ofa")
        ]
    print(f"\nThe supernet takes {median(overheads):+.1%} of the plain subnet's time more (median).")
    most = matrix_rate()
    print(f"Large matrices are multiplied at {most / 1e9:.0f} G MACs a second. Of that OpenVINO in fp32 has")
    print("; ".join(f"{a / most:.0%} at {side}, where 5 × ofa is {5 * b / most:.0%}" for side, (a, b) in rates.items()))


def ratio(theirs: list[float], ours: list[float]) -> str:
    """How much faster, as it is printed."""
    return f"{median(a / b for a, b in zip(theirs, ours, strict=True)):.2f} ×"


def matrix_rate(size: int = 1024, runs: int = 15) -> float:
    """Multiply-accumulates a second of a product of two square matrices in fp32."""
    a, b = torch.randn(2, size, size)
    return size**3 / median(once(lambda x: x @ b, a, channels_last=False) for _ in range(runs))


def measured(side: int, n_architectures: int, rounds: int) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds for a batch, by contestant, and what it costs: an entry for each architecture and round."""
    space = plugins.find("search_spaces", "mbv3")(resolutions=[side], widths=[1.0])
    supernet = space.supernet(CLASSES).eval()
    theirs = ofa_supernet()
    images = torch.randn(BATCH, 3, side, side, generator=torch.Generator().manual_seed(0))
    seconds, macs = defaultdict[str, list[float]](list), list[float]()
    engine("openvino", "fp32", CPU).prepare(supernet.subnet((0,) * 22), images)  # imports, once a process
    X = space.sample(n_architectures, np.random.default_rng(side))
    for architecture, cost in zip(as_architectures(X), plugins.find("cost_models", "macs")(space)(X), strict=True):
        activate(theirs, space.describe(architecture))
        subnet = supernet.subnet(architecture).to(memory_format=torch.channels_last)
        contestants: dict[str, Callable[[Tensor], object]] = {"ofa": theirs, "static": subnet}
        for size in SMALLER:
            contestants[f"ofa {size}"] = lambda x, n=size: [theirs(part) for part in x.split(n)]  # type: ignore[misc]
        contestants["supernet"] = lambda x, a=architecture: supernet(x, a)  # type: ignore[misc]
        preparation = {}
        for label, (name, precision) in ENGINES.items():
            network = supernet.subnet(architecture).to(memory_format=torch.channels_last)
            start = time.perf_counter()
            contestants[label] = engine(name, precision, CPU).prepare(network, images)
            preparation[label] = time.perf_counter() - start
        for round_ in range(-1, rounds):  # the first one warms up
            for name, run in contestants.items():
                took = once(run, images, channels_last=name in {"static", "supernet", "torch"})
                if round_ >= 0:
                    seconds[name].append(took)
            if round_ >= 0:
                share = preparation["openvino"] * BATCH / COUNTED
                seconds["counted"].append(seconds["openvino"][-1] + share)
                macs.append(float(cost))
    return seconds, macs


@torch.inference_mode()
def once(run: Callable[[Tensor], object], images: Tensor, *, channels_last: bool) -> float:
    """Seconds of one pass; ours get the pictures as our estimator lays them out."""
    images = images.contiguous(memory_format=torch.channels_last) if channels_last else images
    start = time.perf_counter()
    run(images)
    return time.perf_counter() - start


def ofa_supernet() -> nn.Module:
    """The peer's supernet of width 1.0 with random weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3  # noqa: PLC0415 - it warns

        net: nn.Module = OFAMobileNetV3(
            CLASSES,
            dropout_rate=0,
            width_mult=1.0,
            ks_list=[3, 5, 7],
            expand_ratio_list=[3, 4, 6],
            depth_list=[2, 3, 4],
        )
    return net.eval()


def activate(net: nn.Module, described: dict[str, list[int]]) -> None:
    """Make an architecture active in it; its lists hold all 20 layers."""
    kernels, expands, start = [], [], 0
    for depth in described["d"]:
        kernels += described["ks"][start : start + depth] + [3] * (4 - depth)
        expands += described["e"][start : start + depth] + [3] * (4 - depth)
        start += depth
    net.set_active_subnet(ks=kernels, e=expands, d=list(described["d"]))  # type: ignore[operator]


if __name__ == "__main__":
    if "--freed" in sys.argv:
        keep_freed_memory()
        sys.argv.remove("--freed")
    main(*map(int, sys.argv[1:]))
