"""Where pictures come from: a file each, or many in one. What is broken is named, counted, and held to a budget."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from nat_core.errors import ConfigError
from nat_core.stopping import stop_if_asked
from nat_datasets.decoding import UnreadableImageError, decode, strict_warnings
from nat_datasets.tree import File, Tree, listed, printable

Images = NDArray[np.uint8]  # (n, 3, size, size)

ALWAYS_ALLOWED = 5  # unreadable files, however few files there are
LARGEST = 2**30  # bytes of a file: no picture that is decoded is larger
_HEIC, _AVIF = (".heic", ".heif"), (".avif", ".avifs")
BLOCK = 1024  # files under way at once: what waits for a thread takes memory

logger = logging.getLogger(__name__)


class Source(Protocol):
    """Puts pictures into rows of memory, or of a file on disk."""

    def read(self, files: Sequence[File], images: Images) -> Iterator[tuple[str, str]]:
        """Fill a row per file; for each, the sha256 of what was read, or why it is no picture."""


@dataclass(frozen=True)
class PictureFiles:
    """A file for each picture."""

    squash: bool = False  # a picture that is no square is pressed into one, not cut

    def read(self, files: Sequence[File], images: Images) -> Iterator[tuple[str, str]]:
        """Decode the files, several at once: PIL works outside the GIL."""
        with strict_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for start in range(0, len(files), BLOCK):
                stop_if_asked()
                yield from pool.map(self._read, files[start : start + BLOCK], images[start : start + BLOCK])

    def _read(self, file: File, image: NDArray[np.uint8]) -> tuple[str, str]:
        """Decode a file into an image (3, size, size); the hash of its bytes, or the reason why it is no picture."""
        try:
            if file.path.stat().st_size > LARGEST:
                return "", f"larger than {LARGEST >> 20} MiB"
            content = file.path.read_bytes()
        except PermissionError:
            raise
        except OSError as error:  # a dangling link, a file removed meanwhile, a bad disk sector
            return "", error.strerror or str(error)
        try:
            image[:] = decode(content, image.shape[-1], file.box, squash=self.squash)
        except UnreadableImageError as error:
            return "", str(error)
        return hashlib.sha256(content).hexdigest(), ""


@dataclass(frozen=True)
class PictureArrays:
    """Files that hold many pictures each, in memory: (n, 3, side, side) by path. Nothing in them can be unreadable."""

    arrays: Mapping[Path, Images]

    def read(self, files: Sequence[File], images: Images) -> Iterator[tuple[str, str]]:
        """Copy the pictures, resized where another size is wanted."""
        size = images.shape[-1]
        for file, image in zip(files, images, strict=True):
            pixels = np.ascontiguousarray(self.arrays[file.path][file.index])
            image[:] = pixels if pixels.shape[-1] == size else _resized(pixels, size)
            yield hashlib.sha256(pixels.tobytes()).hexdigest(), ""


def _resized(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)


def read_all(source: Source, files: Sequence[File], images: Images) -> tuple[list[File], dict[str, str]]:
    """Fill images (n, 3, size, size), a row per file; the files that were read, and why the others were not."""
    read: list[File] = []
    unreadable: dict[str, str] = {}
    for i, (file, (content, reason)) in enumerate(zip(files, source.read(files, images), strict=True)):
        if reason:
            unreadable[printable(file.name)] = reason
        else:
            read.append(replace(file, content=content, row=i))
    return read, unreadable


def check_budget(tree: Tree, unreadable: Mapping[str, str], skip_budget: float) -> None:
    """Raise a ConfigError that names the first unreadable files where there are too many."""
    allowed = max(ALWAYS_ALLOWED, int(skip_budget * len(tree.files)))
    if len(unreadable) > allowed:
        first = "; ".join(f"{name!r} ({reason})" for name, reason in list(unreadable.items())[:5])
        raise ConfigError(
            f"{len(unreadable)} of {len(tree.files)} files in {str(tree.root)!r} could not be read as pictures, and "
            f"{allowed} may be (skip_budget={skip_budget}): {first}. Remove or repair them, or raise skip_budget."
            f"{_hint(unreadable)}"
        )
    if unreadable:
        hint = _hint(unreadable)
        names = f"{listed(unreadable)}{hint and '.'}{hint}"
        logger.warning("%d files could not be read as pictures: %s", len(unreadable), names)


def _hint(unreadable: Iterable[str]) -> str:
    """What to do about photos in formats that cameras write and this Pillow does not read, by the files' names."""
    endings = Counter(PurePosixPath(name).suffix.lower() for name in unreadable)
    said = ""
    if heic := sum(endings[ending] for ending in _HEIC):
        said += (
            f" {heic} of them {'is' if heic == 1 else 'are'} HEIC, as phones take photos, which is not read: convert "
            "to JPEG, with ImageMagick's `magick mogrify -format jpg *.heic` for one, and move the originals elsewhere."
        )
    if (avif := sum(endings[ending] for ending in _AVIF)) and not features.check("avif"):
        said += (
            f" {avif} of them {'is' if avif == 1 else 'are'} AVIF, which this Pillow was built without: "
            "pip install --upgrade 'pillow>=11.3', or convert to JPEG."
        )
    return said
