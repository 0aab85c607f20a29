"""One step of adaptation beside the step of the PyPI package `ofa`, and beside a network without a supernet.

All three learn the same architectures from batches of the same size, in turn, in one process. A step of nat's contains
everything: drawing, cropping and normalising the pictures, forward, backward, and SGD over the supernet. The others are
given their pictures ready, and `ofa` is run as its own code runs it. The plain networks are trained by the code that
trains the supernet, so that what is compared is the supernet. What counts is the ratio. On a CPU the time is the
processor's, so that what else the machine does plays a small part.

    python benchmarks/adaptation.py [--sides 16 32 64] [--batch 96] [--architectures 8] [--rounds 3] [--threads 1]
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from nat_core import plugins
from nat_core.contracts import Augmentation
from nat_core.encoding import Architecture, as_architectures
from nat_estimators.augmentation import Augmenter
from nat_estimators.batches import Batches
from nat_estimators.drawing import Lesson
from nat_estimators.schedule import Recipe, Schedule
from nat_estimators.training import Course, Training

CLASSES = 10


def main() -> None:
    """Print a table."""
    asked = arguments()
    torch.set_num_threads(asked.threads)
    device = torch.device(asked.device)
    print("| side | batch | who | a step, ms | faster than ofa |\n|---|---|---|---|---|")
    for side in asked.sides:
        space = plugins.find("search_spaces", "mbv3")(widths=[1.0], resolutions=[side])
        X = space.sample(asked.architectures, np.random.default_rng(0))
        architectures = as_architectures(X)
        schedule = Schedule(1, 1, asked.batch, 1e-3, 0.9, 4e-5, 0.0, 0.0, 0, precision=asked.precision)
        split = pictures(asked.batch, side, device)
        peers = {
            "nat": ours(space, architectures, split, schedule, device, Augmenter(split, Augmentation(), Recipe(), 10)),
            "nat, pictures ready": ours(space, architectures, split, schedule, device, ready(split)),
            "its subnets as plain networks": plain(space, architectures, split, schedule, device),
        }
        if (peer := ofa(space, architectures, split, schedule)) is not None:
            peers = {"ofa": peer, **peers}
        seconds = interleaved(peers, len(architectures), asked.rounds, device)
        for who, values in seconds.items():
            typical = np.median(values, axis=0).sum()  # each architecture's typical step, and their sum
            ratio = f"{np.median(seconds['ofa'], axis=0).sum() / typical:.2f}" if "ofa" in seconds else ""
            print(f"| {side} | {asked.batch} | {who} | {1e3 * typical / len(X):.1f} | {ratio} |", flush=True)
    print(f"\n    {shlex.join(['python', *sys.argv])}    ({asked.threads} thread, torch {torch.__version__}, {device})")


def interleaved(
    peers: dict[str, Callable[[int], object]], n: int, rounds: int, device: torch.device
) -> dict[str, np.ndarray]:
    """Seconds of every step, (rounds, n) for each; a first round is not counted."""
    seconds = {who: np.zeros((rounds + 1, n)) for who in peers}
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    for lap in range(rounds + 1):
        for i in range(n):
            for who, step in peers.items():
                start = clock()
                step(i)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                seconds[who][lap, i] = clock() - start
    return {who: values[1:] for who, values in seconds.items()}


def pictures(n: int, side: int, device: torch.device) -> Batches:
    """Random ones."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, side, side), generator=draw, dtype=torch.uint8)
    half = torch.full((3, 1, 1), 0.5, device=device)
    labels = torch.randint(0, CLASSES, (n,), generator=draw)
    return Batches(images.to(device), labels.to(device), half, half, CLASSES)


def ready(split: Batches) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """The same batch for every step."""
    images = split.normalised(split.images).contiguous(memory_format=torch.channels_last)
    return lambda _rows, _side, _rng: (images, split.labels)


def ours(
    space: Any,
    architectures: list[Architecture],
    split: Batches,
    schedule: Schedule,
    device: torch.device,
    make: Any,
    network: nn.Module | None = None,
) -> Callable[[int], object]:
    """A step as an adaptation does it, of a new supernet or of what is given in its place."""
    network = space.supernet(CLASSES).to(device) if network is None else network
    training = Training(network.train(), schedule, device)
    lessons = [Lesson((a,)) for a in architectures]
    course = Course(lessons, lambda a: space.input_shape(a)[1], make, len(split), lambda _step: 1e-3, "benchmark")
    return lambda i: training._step(course, i)  # noqa: SLF001 - what a stretch repeats


def plain(
    space: Any,
    architectures: list[Architecture],
    split: Batches,
    schedule: Schedule,
    device: torch.device,
) -> Callable[[int], object]:
    """A step of each architecture as a network of its own: what a supernet's overhead is measured against."""
    supernet = space.supernet(CLASSES).to(device).train()
    steps = [ours(space, [a], split, schedule, device, ready(split), Alone(supernet.subnet(a))) for a in architectures]
    return lambda i: steps[i](0)


class Alone(nn.Module):
    """One network where a supernet is expected."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor, _architecture: Architecture) -> torch.Tensor:
        """Logits (n, CLASSES)."""
        return self.network(images)


def ofa(
    space: Any, architectures: list[Architecture], split: Batches, schedule: Schedule
) -> Callable[[int], object] | None:
    """A step of the package's dynamic network."""
    try:
        from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3  # noqa: PLC0415 - it may be missing
    except ImportError as error:
        print(f"ofa is left out: {error}", file=sys.stderr)
        return None
    choices = {"ks_list": [3, 5, 7], "expand_ratio_list": [3, 4, 6], "depth_list": [2, 3, 4]}
    network = OFAMobileNetV3(n_classes=CLASSES, dropout_rate=0, width_mult=1.0, **choices).to(split.labels.device)
    network.train()
    optimizer = sgd(network, schedule)
    images = split.normalised(split.images)

    def step(i: int) -> object:
        network.set_active_subnet(**full(space.describe(architectures[i])))
        return learn(lambda: network(images), split.labels, optimizer)

    return step


def full(described: dict[str, Any]) -> dict[str, Any]:
    """Lists of all 20 layers from those of the live ones."""
    whole: dict[str, Any] = {"d": described["d"]}
    for key in ("ks", "e"):
        live = iter(described[key])
        stages = [[next(live) for _ in range(depth)] for depth in described["d"]]
        whole[key] = [value for stage in stages for value in (stage + stage[:1] * 4)[:4]]
    return whole


def learn(forward: Callable[[], torch.Tensor], labels: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Forward, backward, step."""
    nn.functional.cross_entropy(forward(), labels).backward()
    optimizer.step()
    optimizer.zero_grad()


def sgd(network: nn.Module, schedule: Schedule) -> torch.optim.SGD:
    """With Nesterov's momentum, as an adaptation."""
    rule = {"momentum": schedule.momentum, "weight_decay": schedule.weight_decay, "nesterov": True}
    return torch.optim.SGD(network.parameters(), lr=1e-3, **rule)


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--architectures", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
