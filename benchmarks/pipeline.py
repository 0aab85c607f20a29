"""How much of a step of adaptation is spent on its pictures: reading, cropping, mirroring, normalising, and the recipe.

The data sets are decoded before, once a run, and the time of that is a column. A row adapts the supernet mbv3 for some
steps on architectures of one resolution, drawn as in a run, through the same code; pictures stand in memory or on disk.
Times are of the processor, so that what else the machine does plays a small part; the last column is images a second.

    python benchmarks/pipeline.py --photographs FOLDER [--sides 64 160] [--steps 6] [--batch 32] [--threads 1]

`FOLDER` is any folder of photographs by class.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import sys
import tempfile
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from nat_core import plugins
from nat_core.contracts import Split
from nat_estimators.augmentation import Augmenter

RECIPES: dict[str, dict[str, Any]] = {"crop and flip": {}, "with RandAugment": {"randaugment": 9}}


def main() -> None:
    """Print a table."""
    asked = arguments()
    torch.set_num_threads(asked.threads)
    print("| pictures | decoded once, s | side | training pictures are | a step, ms | of it input | images/s |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=asked.cache) as cache:
        for side in asked.sides:
            for name, data, decoding in data_sets(asked, side, cache):
                for about, recipe in RECIPES.items():
                    step, share = measured(data, side, recipe, asked)
                    print(
                        f"| {name} | {decoding} | {side} | {about} | {1e3 * step:.0f} | {share:.1%} | "
                        f"{asked.batch / step:.0f} |",
                        flush=True,
                    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"\n    {shlex.join(['python', *sys.argv])}    ({asked.threads} thread, peak memory {peak:.0f} MiB)")


def data_sets(asked: argparse.Namespace, side: int, cache: str) -> list[tuple[str, Any, str]]:
    """The name, the data set, and the seconds that it took to make."""
    made = []
    if side == min(asked.sides):  # of 8 pixels: no larger networks are for them
        made.append(("digits", *timed(plugins.find("datasets", "digits"))))
    folder = plugins.find("datasets", "folder")
    size = round(side * 8 / 7)
    for where in ("memory", "disk"):
        data, seconds = timed(
            lambda where=where: folder(asked.photographs, image_size=size, cache=where, cache_dir=cache)
        )
        made.append((f"photographs, {size} px, {'in memory' if where == 'memory' else 'on disk'}", data, seconds))
    _, again = timed(lambda: folder(asked.photographs, image_size=size, cache="disk", cache_dir=cache))
    name, data, seconds = made[-1]
    made[-1] = (name, data, f"{seconds}, then {again}")
    return made


def timed(make: Any) -> tuple[Any, str]:
    """What is made, and the seconds of the wall clock that it took."""
    start = time.perf_counter()
    data = make()
    return data, f"{time.perf_counter() - start:.1f}"


def measured(data: Any, side: int, recipe: dict[str, Any], asked: argparse.Namespace) -> tuple[float, float]:
    """Processor seconds of a step, and the share of them that its pictures take."""
    n = min(asked.steps * asked.batch, len(data.train) // asked.batch * asked.batch)
    few = replace(data, train=Split(data.train.images[:n], data.train.labels[:n]))
    space = plugins.find("search_spaces", "mbv3")(widths=[1.0], resolutions=[side])
    estimator = plugins.find("estimators", "top1_error")(
        space, few, warmup_epochs=1, epochs=1, batch_size=asked.batch, device="cpu", threads=asked.threads, **recipe
    )
    X = space.sample(20, np.random.default_rng(0))
    estimator.adapt(X, 0, 1, silent)
    with_pictures = Clock(Augmenter.__call__)
    Augmenter.__call__ = lambda *arguments: with_pictures(*arguments)  # type: ignore[method-assign]  # noqa: PLW0108 - a function becomes a method
    try:
        start = time.process_time()
        estimator.adapt(X, 1, 1, silent)
        total = time.process_time() - start
    finally:
        Augmenter.__call__ = with_pictures.function  # type: ignore[method-assign]
    return total / with_pictures.calls, with_pictures.seconds / total


class Clock:
    """A function, and the processor time that was spent in it."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.seconds = 0.0
        self.calls = 0

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives."""
        start = time.process_time()
        try:
            return self.function(*arguments)
        finally:
            self.seconds += time.process_time() - start
            self.calls += 1


def silent(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", required=True)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 160])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", help="where the folder for pictures on disk is made")
    return parser.parse_args()


if __name__ == "__main__":
    main()
