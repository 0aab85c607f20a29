"""A network in files that run without nat: exported, run by their own runtime, compared, timed, and described.

RUN/exported/3f9c01d2a4b7-onnx/     named by a digest of the architecture, and the format
  model.onnx     the network: images (n, 3, side, side) → logits (n, n_classes)
  classify.py    runs it on a picture with the format's runtime, numpy and Pillow
  model.json     what it takes and gives, how it was checked, where it comes from
  README.md      the same for a person: the model card
  classes.txt    a name a line, by label

The folder appears whole or not at all: it is made beside its place, and renamed when everything in it is checked.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import inspect
import json
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nat_core import __version__, plugins
from nat_core.contracts import Exporter, LogitsEvaluator, Split
from nat_core.durable import DISK, Disk
from nat_core.errors import ConfigError
from nat_core.exporting.card import card, line
from nat_core.exporting.checking import latency, parity, running
from nat_core.exporting.classify import prepared, tell
from nat_core.exporting.folder import ABOUT, KIND, draft_of, put_in_place, require_free, write
from nat_core.exporting.origin import Origin
from nat_core.parts import Given, about_data, make
from nat_core.seeding import rng

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
CARD, CLASSES, SCRIPT = "README.md", "classes.txt", "classify.py"
IMAGES = 500

_FILE = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_USER_OF_URL = re.compile(r"(?<=://)[^/@\s]+@")
_HEAD = '''"""Tells what pictures show: python classify.py PICTURE ...

Needs: pip install {packages}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
'''
_FOOT = """if __name__ == "__main__":
    tell(load, HERE, sys.argv[1:])
"""

Step = Callable[[str], None]  # is told what is being done


@dataclass(frozen=True)
class Order:
    """What is wanted, and where."""

    form: str  # as the exporter is called
    out: Path
    options: Given
    images: int = IMAGES  # validation images to compare on, at most
    force: bool = False  # replace an earlier export
    command: str = ""  # for the card


def exporter_of(order: Order) -> Exporter:
    """The exporter, before anything costly. Raises `ConfigError` where a package lacks, or the place is taken."""
    made: Exporter = make(order.options, plugins.registry().find("exporters", order.form), {})
    require_free(order.out, force=order.force)
    return made


def export(origin: Origin, exporter: Exporter, order: Order, step: Step, disk: Disk = DISK) -> dict[str, Any]:
    """Write, check and describe; what model.json then holds.

    Raises `ConfigError` where the files do not compute what the network does, `ResourceError` where they find no room.
    """
    import torch

    network = copy.deepcopy(origin.network.network).cpu().eval()
    network.to(memory_format=torch.contiguous_format)
    about = _about(origin, exporter, order)
    step(f"writing {order.form} in {exporter.precision}")
    files = exporter.files(copy.deepcopy(network), _examples(origin, about["input"], exporter.n_images))
    for name in files:
        if not _FILE.fullmatch(name) or name in {ABOUT, CARD, CLASSES, SCRIPT}:
            raise ConfigError(f"the exporter {order.form} would write a file {name!r}, which is no name for one")
    about["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    with draft_of(order.out) as draft:
        write(
            draft, order.out, {**files, ABOUT: _json(about), SCRIPT: script(exporter), CLASSES: _classes(about)}, disk
        )
        pictures = _some(origin.data.val, order.images)
        step(f"comparing it with the network on {len(pictures)} validation images")
        reference = _reference(origin, pictures)
        threads = torch.get_num_threads()
        with running(draft, threads) as client:
            exact = exporter.precision == "fp32"
            found = parity(client, network, reference, pictures, exact=exact)
            step("timing it")
            shape = (3, origin.network.side, origin.network.side)
            timed = latency(client, network, shape, threads)
        about |= {"parity": asdict(found), "latency": asdict(timed) | {"machine": _machine()}}
        write(draft, order.out, {ABOUT: _json(about), CARD: card(about).encode()}, disk)
        put_in_place(draft, order.out, disk)
    return about


def script(exporter: Exporter) -> bytes:
    """`classify.py`: the text of our own functions, and what the exporter says of its runtime. No data stands in it."""
    head = _HEAD.format(packages=" ".join(["numpy", "pillow", *exporter.packages]))
    imports, found, load = exporter.script.strip().partition("\ndef load(")
    here = f"{imports.strip()}\n\nHERE = Path(__file__).resolve().parent\n"
    parts = (head + here, (found + load).strip() + "\n", inspect.getsource(prepared), inspect.getsource(tell), _FOOT)
    return "\n\n".join(parts).encode()


def _about(origin: Origin, exporter: Exporter, order: Order) -> dict[str, Any]:
    """What is known before anything is written."""
    data, network = origin.data, origin.network
    colours = {**about_data(data), **origin.colours}
    packages = ("torch", "numpy", *exporter.packages)
    versions = {"nat": __version__, "python": platform.python_version()}
    versions |= {name: _version(name) for name in dict.fromkeys(packages)}
    found = {
        "kind": KIND,
        "version": FORMAT,
        "format": order.form,
        "precision": exporter.precision,
        "packages": list(exporter.packages),
        "input": {
            "layout": "NCHW",
            "channels": "RGB",
            "image_size": data.image_size,
            "side": network.side,
            "fit": getattr(data, "fit", "crop"),
            "mean": colours["mean"],
            "std": colours["std"],
            "batch": exporter.batch,
        },
        "classes": list(data.classes),
        "network": dict(network.about),
        "params": sum(p.numel() for p in network.network.parameters()),
        **origin.facts,
        "provenance": dict(origin.provenance) | {"command": order.command, "versions": versions},
    }
    clean: dict[str, Any] = _without_passwords(found)
    return clean


def _without_passwords(value: Any) -> Any:
    """The same where no URL says who somebody is."""
    if isinstance(value, str):
        return _USER_OF_URL.sub("", value)
    if isinstance(value, Mapping):
        return {_without_passwords(k): _without_passwords(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_passwords(v) for v in value]
    return value


def _examples(origin: Origin, given: Mapping[str, Any], n: int) -> Tensor:
    """Some training images as the script prepares them, (n, 3, side, side); fewer where the data have fewer."""
    import torch
    from PIL import Image

    split = origin.data.train
    if not len(split):
        raise ConfigError("the data have no training images: there is nothing to trace the network with")
    rows = np.sort(rng(int(origin.provenance["seed"]), "export").permutation(len(split))[:n])
    images = [prepared(Image.fromarray(split.images[i].transpose(1, 2, 0)), given) for i in rows]
    while len(images) < 2:
        images += images  # a batch of one would be taken for a network of one picture
    return torch.from_numpy(np.stack(images))


def _some(split: Split, n: int) -> Split:
    """At most `n` pictures, evenly spread: neighbours are often of one class."""
    if not len(split):
        raise ConfigError("the data have no validation images: there is nothing to compare the files on")
    rows = np.unique(np.linspace(0, len(split) - 1, min(n, len(split))).round().astype(np.int64))
    return Split(split.images[rows], split.labels[rows])


def _reference(origin: Origin, pictures: Split) -> Any:
    """What the framework itself answers, (n, n_classes): with its own preparation of the pictures."""
    offer = plugins.registry().find("evaluators", "errors")
    evaluator = make({}, offer, {**about_data(origin.data), **origin.colours}, origin.data)
    if not isinstance(evaluator, LogitsEvaluator):
        raise ConfigError(f"the evaluator {offer.name} of {offer.where} gives no logits to compare with")
    return evaluator.logits(origin.network, pictures)


def _json(about: Mapping[str, Any]) -> bytes:
    return (json.dumps(about, indent=2, allow_nan=False) + "\n").encode()


def _classes(about: Mapping[str, Any]) -> bytes:
    return "\n".join(map(line, about["classes"])).encode()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # what has no metadata, as a part of another
        return "unknown"


def _machine() -> str:
    return f"{platform.machine()}, {platform.system()}"
