"""Files and their labels → a data set: read every picture once, leave out what is broken or leaks, carve splits.

Pictures stand in memory, or in a file on disk where they would fill it: see `nat_datasets.store`.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from nat_core.contracts import Split
from nat_core.errors import ConfigError, ResourceError
from nat_datasets import store
from nat_datasets.pictures import Colour, Pictures, augmentation, statistics
from nat_datasets.reading import Images, PictureFiles, Source, check_budget, read_all
from nat_datasets.splitting import check_seed, share_out
from nat_datasets.tree import File, Tree

SHARE = 0.15  # of a class's pictures, for a split that is carved from train
SPLITS = ("train", "val", "test")  # in the order of their rows
IN_MEMORY = 0.5  # pictures that take more of the machine's memory than this go to a file

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """What is made of the pictures; checked before any of them is read."""

    name: str
    image_size: int
    split_seed: int
    skip_budget: float = 0.0
    share: float = SHARE
    flip: bool = True
    min_scale: float = 0.25
    colours: tuple[Colour, Colour] | None = None  # published mean and standard deviation; none: of the training split
    variant: str = ""  # how the pictures are cut: other pixels of the same files
    cache: str = "auto"  # auto | memory | disk
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ConfigError(f"image_size={self.image_size} is no side of a picture: a whole number from 1 on.")
        if not 0 <= self.skip_budget <= 1:
            raise ConfigError(f"skip_budget={self.skip_budget!r} is not a share of the files: a number from 0 to 1.")
        if not 0 < self.share <= 0.5:
            raise ConfigError(f"val_share={self.share!r} is not accepted: a number above 0, up to 0.5.")
        if self.cache not in {"auto", "memory", "disk"}:
            raise ConfigError(f"cache={self.cache!r} is none of auto, memory, disk.")
        check_seed(self.split_seed)
        augmentation(self.min_scale, flip=self.flip)


def assemble(tree: Tree, recipe: Recipe, source: Source | None = None) -> Pictures:
    """The data set that a tree of files is. A ConfigError says what is wrong with it."""
    source = source or PictureFiles()
    with refusals_named():
        if _stays_in_memory(len(tree.files), recipe):
            images = np.empty((len(tree.files), 3, recipe.image_size, recipe.image_size), dtype=np.uint8)
            contents = fill(tree, recipe, source, images)
        else:
            images, contents = _from_disk(tree, recipe, source)
    train, val, test = _splits(images, contents)
    mean, std = contents.colours
    return Pictures(
        classes=tree.classes,
        train=train,
        val=val,
        test=test,
        image_size=recipe.image_size,
        mean=mean,
        std=std,
        augmentation=augmentation(recipe.min_scale, flip=recipe.flip),
        fingerprint=contents.fingerprint,
        skipped={**tree.ignored, **contents.unreadable, **contents.copies},
        fit="squash" if isinstance(source, PictureFiles) and source.squash else "crop",
    )


@contextmanager
def refusals_named() -> Iterator[None]:
    """Turn a refusal of the operating system into a message that says of what."""
    try:
        yield
    except OSError as error:
        raise ResourceError(f"{error.filename!r} could not be read: {error.strerror}.") from error
    except MemoryError as error:
        raise ResourceError("the pictures do not fit in memory: choose a smaller image_size.") from error


def _stays_in_memory(n: int, recipe: Recipe) -> bool:
    """Refuse at once what would be killed after an hour of reading."""
    needed = n * 3 * recipe.image_size**2
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if recipe.cache == "memory" and needed > installed:
        raise ResourceError(
            f"{n} pictures of {recipe.image_size} pixels take {needed / 1e9:.1f} GB, and this machine has "
            f"{installed / 1e9:.1f} GB of memory: choose a smaller image_size, or cache=disk."
        )
    return recipe.cache == "memory" or (recipe.cache == "auto" and needed <= IN_MEMORY * installed)


def fill(tree: Tree, recipe: Recipe, source: Source, images: Images) -> store.Contents:
    """Read all pictures into images (n_files, 3, size, size), and put the rows in the order of the splits."""
    files, unreadable = read_all(source, tree.files, images)
    check_budget(tree, unreadable, recipe.skip_budget)
    files, copies = share_out(tree, files, recipe.share, recipe.split_seed, unreadable)
    members = {split: [file for file in files if file.split == split] for split in SPLITS}
    in_order = [file for split in SPLITS for file in members[split]]
    reorder(images, [file.row for file in in_order])
    return store.Contents(
        sizes=tuple(len(members[split]) for split in SPLITS),
        labels=tuple(file.label for file in in_order),
        colours=recipe.colours or statistics(images[: len(members["train"])]),
        fingerprint=_fingerprint(tree.classes, files, recipe),
        unreadable=unreadable,
        copies=copies,
    )


def _splits(images: Images, contents: store.Contents) -> tuple[Split, ...]:
    """Train, val and test, one behind the other: views, so that no picture is in memory twice."""
    labels = np.array(contents.labels, dtype=np.int64)
    stops = np.cumsum(contents.sizes)
    return tuple(Split(images[i - n : i], labels[i - n : i]) for n, i in zip(contents.sizes, stops, strict=True))


def reorder(images: Images, order: Sequence[int]) -> None:
    """Make row i what row order[i] was, a row at a time: the images need not fit in memory twice, or at all."""
    beside = np.setdiff1d(np.arange(len(images)), order)
    source = np.concatenate([np.asarray(order, dtype=np.int64), beside])
    for first in range(len(source)):
        if source[first] == first:
            continue
        kept, i = images[first].copy(), first
        while source[i] != first:
            images[i] = images[source[i]]
            source[i], i = i, source[i]
        images[i], source[i] = kept, i


def _fingerprint(classes: Sequence[str], files: Iterable[File], recipe: Recipe) -> str:
    """Over each file's path, class, split and content: no field can hold the zero byte that parts them."""
    digest = hashlib.sha256(f"{recipe.name} 1 {recipe.image_size}{recipe.variant}".encode())
    for file in sorted(files, key=lambda f: os.fsencode(f.name)):
        digest.update(os.fsencode("\0".join(("", file.name, classes[file.label], file.split, file.content))))
    return digest.hexdigest()


def _from_disk(tree: Tree, recipe: Recipe, source: Source) -> tuple[Images, store.Contents]:
    """Pictures in a file of the cache folder: the one that is there, or a new one."""
    key = store.key(tree, _decides(recipe))
    shape = (len(tree.files), 3, recipe.image_size, recipe.image_size)
    fresh: list[store.Contents] = []
    place = store.folder(recipe.cache_dir) / f"{recipe.name}-{key[:16]}"

    def filled(images: Images) -> store.Contents:
        with refusals_named():  # here, or a picture that cannot be read would look like a disk that is full
            fresh.append(fill(tree, recipe, source, images))
        return fresh[0]

    images, contents = store.opened(place, key, shape, filled)
    if not fresh:  # what is read anew was held to the budget there; what was kept may be held to another one today
        check_budget(tree, contents.unreadable, recipe.skip_budget)
    return images, contents


def _decides(recipe: Recipe) -> Mapping[str, object]:
    """What the rows of a file depend on, beside the files that they are read from."""
    return {
        "name": recipe.name,
        "image_size": recipe.image_size,
        "split_seed": recipe.split_seed,
        "share": recipe.share,
        "colours": recipe.colours,
        "variant": recipe.variant,
    }
