"""Decoded pictures in a file on disk, for data sets that would fill the memory.

A folder of the cache holds `pictures.u8`, the rows of train, val and test one behind the other, and `about.json`, which
says what they are and is written last. The system keeps in memory what it has room for. A folder's name is a hash of
what its rows depend on: the files by name, size and time of change, and the options. A file whose sha256 is not the
one in `about.json` is made anew, and so is one whose `about.json` is missing or damaged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from nat_core import durable
from nat_core.downloads import cache_folder
from nat_core.errors import ResourceError
from nat_datasets.pictures import Colour
from nat_datasets.tree import File, Tree, expanded

Images = NDArray[np.uint8]  # (n, 3, size, size)
Shape = tuple[int, int, int, int]

VERSION = 1
MAP_NORESERVE = 0x4000  # of Linux; Python's own name for it is newer than 3.11

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contents:
    """What the rows of pictures are."""

    sizes: tuple[int, ...]  # rows of train, val and test; what comes behind them is of no use
    labels: tuple[int, ...]
    colours: tuple[Colour, Colour]  # mean and standard deviation
    fingerprint: str
    unreadable: Mapping[str, str]
    copies: Mapping[str, str]


def folder(chosen: str | None) -> Path:
    """Where data sets are kept: the folder that was chosen, else `datasets` beside what nat has downloaded."""
    return cache_folder() / "datasets" if chosen is None else expanded(chosen)


def key(tree: Tree, decides: Mapping[str, object]) -> str:
    """sha256 over everything that the rows depend on, without reading a picture."""
    digest = hashlib.sha256(json.dumps([VERSION, decides, tree.classes, tree.missing]).encode())
    for file in tree.files:
        digest.update(os.fsencode("\0".join(("", file.name, str(file.label), file.split, str(file.box), _state(file)))))
    return digest.hexdigest()


def _state(file: File) -> str:
    try:
        found = file.path.stat()
    except OSError as error:
        return str(error.errno)
    return f"{file.index} {found.st_size} {found.st_mtime_ns}"


def opened(place: Path, wanted: str, shape: Shape, fill: Callable[[Images], Contents]) -> tuple[Images, Contents]:
    """The rows and what they are; `fill` is called with room for `shape` where there are none, or damaged ones."""
    contents = _read(place, wanted)
    if contents is None:
        _check_room(place, shape)
        with durable.sole_writer(place):
            contents = _write(place, wanted, shape, fill)
    return _mapped(place / "pictures.u8", (sum(contents.sizes), *shape[1:])), contents


def _mapped(file: Path, shape: Shape) -> Images:
    """The file as an array that may be written to, which changes nothing on disk: torch knows no other arrays.

    NumPy's own copy-on-write map is refused where the file is larger than the memory, lest all of it be written to.
    """
    with file.open("rb") as stream:
        flags = mmap.MAP_PRIVATE | (MAP_NORESERVE if sys.platform == "linux" else 0)
        rows = mmap.mmap(stream.fileno(), 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return np.frombuffer(rows, dtype=np.uint8).reshape(shape)


def _check_room(place: Path, shape: Shape) -> None:
    """Refuse at once what would fill the disk after an hour of reading."""
    size = int(np.prod(shape, dtype=np.int64))
    there = next(p for p in (place.absolute(), *place.absolute().parents) if p.exists())
    state = os.statvfs(there)
    if size > (free := state.f_bavail * state.f_frsize):
        raise ResourceError(
            f"{shape[0]} pictures of {shape[-1]} pixels take {size / 1e9:.1f} GB, too much for memory, and {there} "
            f"has {free / 1e9:.1f} GB free: choose another cache_dir, or choose a smaller image_size."
        )


def _read(place: Path, wanted: str) -> Contents | None:
    """What a folder of the cache says that it holds, where that is so."""
    try:
        about = json.loads((place / "about.json").read_text(encoding="utf-8"))
        with (place / "pictures.u8").open("rb") as stream:
            found = durable.sha256(stream)
        if about != _about(wanted, found, about["contents"]):
            raise ValueError("its checksum is wrong")  # noqa: TRY301 - as any other damage
        return TypeAdapter(Contents).validate_python(about["contents"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        logger.warning("%s is damaged, and is made anew: %s", place, " ".join(str(error).split())[:200])
        return None


def _about(wanted: str, pictures: str, contents: Any) -> dict[str, Any]:
    """The content of about.json, whose last field is a checksum of the others."""
    about = {"key": wanted, "pictures": pictures, "contents": contents}
    return about | {"check": hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()}


def _write(place: Path, wanted: str, shape: Shape, fill: Callable[[Images], Contents]) -> Contents:
    """Make the file of pictures, then the file that makes it valid."""
    size = int(np.prod(shape, dtype=np.int64))
    logger.warning("%d pictures of %d pixels are decoded to %s: %.2f GB", shape[0], shape[-1], place, size / 1e9)
    made: list[Contents] = []

    def write(draft: Path) -> None:
        _reserve(draft, size)
        images = np.memmap(draft, dtype=np.uint8, mode="r+", shape=shape)
        made.append(fill(np.asarray(images)))
        images.flush()
        os.truncate(draft, sum(made[0].sizes) * int(np.prod(shape[1:])))

    with durable.on_disk(place):
        (place / "about.json").unlink(missing_ok=True)
    digest = durable.publish(place / "pictures.u8", write)
    contents = made[0]
    about = _about(wanted, digest, json.loads(json.dumps(asdict(contents))))
    durable.publish_text(place / "about.json", json.dumps(about, allow_nan=False))
    return contents


def _reserve(file: Path, size: int) -> None:
    """Take the room on disk before anything is written: to a mapped file, a full disk is no error but the end."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:  # macOS
            os.truncate(file, size)
    finally:
        os.close(descriptor)
