"""Whether exported files compute what the network does: every format that is installed, on photographs.

A short run for each space; then the least and the largest network of the space, and the median of those measured, are
exported as `nat export` does it, which runs each file with its own runtime, in a process that imports nothing of nat.
Agreement is over the whole way from the picture to the class; the error of a logit is on equal tensors.

    python benchmarks/export.py PHOTOS [--spaces mbv3 lite] [--formats onnx …] [--images N] [--set PART.OPTION=VALUE …]
"""

from __future__ import annotations

import argparse
import inspect
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nat_core import config as configs
from nat_core import plugins
from nat_core.archive import Archive
from nat_core.encoding import as_architectures, corners
from nat_core.errors import ConfigError
from nat_core.exporting import IMAGES, Order, export, exporter_of
from nat_core.exporting.origin import Origin, of_run
from nat_core.run import Run, build, find_parts, iterate, opened

SHORT = (  # enough for logits that are no ties
    "mbv3.resolutions=32,48 lite.resolutions=48,64 folder.image_size=64 top1_error.warmup_epochs=2 top1_error.epochs=1 "
    "search.iterations=1 search.initial=6 search.batch=3 nsga3.generations=5 nsga3.population=20 rbf.members=20"
)
HEAD = (
    "format",
    "space",
    "network",
    "million MACs",
    "images",
    "top-1 agreement, %",
    "largest error of a logit",
    "of the logits' size",
    "error of the file, %",
    "of the framework, %",
    "MB",
    "ms",
    "ms, eager PyTorch",
)


@dataclass(frozen=True)
class Format:
    """A name as `nat export` takes it, and whether in 8 bits."""

    name: str
    int8: bool = False

    @property
    def options(self) -> dict[str, dict[str, str]]:
        """As the command line gives them."""
        return {self.name: {"quantize": "int8"}} if self.int8 else {}

    def __str__(self) -> str:
        return f"{self.name}, int8" if self.int8 else self.name


def main() -> None:
    """Print the table, a row as soon as it is known."""
    asked = arguments()
    torch.set_num_threads(asked.threads)
    print("| " + " | ".join(HEAD) + " |")
    print("|" + "---|" * len(HEAD), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        able = list(installed(asked.formats, Path(folder)))
        for space in asked.spaces:
            for which, macs, origin in networks(*short_run(asked, space, Path(folder) / space)):
                for form in able:
                    cells = row(form, origin, Path(folder) / f"{space}-{which}-{form}", asked.images)
                    print("| " + " | ".join([str(form), space, which, f"{macs / 1e6:.1f}", *cells]) + " |", flush=True)
    print(f"\n    {shlex.join(['python', *sys.argv])}")


def installed(names: list[str], folder: Path) -> Iterator[Format]:
    """The formats whose packages are here, in fp32 and in 8 bits; the others are named on stderr."""
    for name in names:
        offer = plugins.registry().find("exporters", name)
        for form in (Format(name), Format(name, int8=True)):
            if form.int8 and "quantize" not in inspect.signature(offer.factory).parameters:
                continue
            try:
                exporter_of(Order(name, folder / "none", form.options))
            except ConfigError as error:
                print(f"{form} is left out: {error}", file=sys.stderr)
            else:
                yield form


def short_run(asked: argparse.Namespace, space: str, folder: Path) -> tuple[Run, Archive]:
    """What `nat run` does, with the settings for other spaces left out."""
    others = tuple(f"{name}." for name in plugins.registry().of("search_spaces") if name != space)
    settings = [word for word in SHORT.split() if not word.startswith(others)] + asked.settings
    config = configs.resolve(None, None, {"space": space, "data": str(asked.photos), "seed": asked.seed}, settings)
    run = build(find_parts(config), folder)
    with opened(run, lambda *_: None) as ledger:
        *_, archive = iterate(run, ledger)
    return run, archive


def networks(run: Run, archive: Archive) -> Iterator[tuple[str, float, Origin]]:
    """The least and the largest of the space, and the median of what was measured: name, cost, network."""
    cost = plugins.find("cost_models", "macs")(run.space)
    ends = run.space.canonicalize(corners(run.space.variables))
    X = archive.measured.X[np.argsort(cost(archive.measured.X))]
    for which, found in (("least", ends[0]), ("median", X[len(X) // 2]), ("largest", ends[-1])):
        (architecture,) = as_architectures(found[None])
        on_front = architecture in archive.front.architectures
        yield which, float(cost(found[None])[0]), of_run(run.config, run.folder, architecture, on_front, {})


def row(form: Format, origin: Origin, out: Path, images: int) -> list[str]:
    """Export, and what came out; raises `ConfigError` as `nat export` does."""
    order = Order(form.name, out, form.options, images)
    about = export(origin, exporter_of(order), order, lambda _: None)
    parity, timed = about["parity"], about["latency"]
    errors = parity["top1_error"]
    return [
        f"{parity['images']:,}",
        f"{100 * parity['top1_agreement']:.2f}",
        f"{parity['max_logit_error']:.1e}",
        f"{parity['relative_error']:.1e}",
        f"{100 * errors['file']:.2f}",
        f"{100 * errors['framework']:.2f}",
        f"{sum((out / name).stat().st_size for name in about['files']) / 1e6:.2f}",
        f"{timed['file_ms']:.2f}",
        f"{timed['eager_ms']:.2f}",
    ]


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("photos", type=Path, help="a folder of photographs, as nat run takes it")
    parser.add_argument("--spaces", nargs="+", default=["mbv3", "lite"])
    parser.add_argument("--formats", nargs="+", default=list(plugins.registry().of("exporters")))
    parser.add_argument("--images", type=int, default=IMAGES, help="validation images to compare on, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="PART.OPTION=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
