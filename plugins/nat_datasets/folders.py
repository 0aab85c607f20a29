"""A folder of images as a data set: read every file once, leave out what is broken or leaks, carve missing splits."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import Split
from nat_core.errors import ConfigError, ResourceError
from nat_datasets.decoding import UnreadableImageError, decode, strict_warnings
from nat_datasets.pictures import Pictures, augmentation, statistics
from nat_datasets.splitting import carve, check_seed
from nat_datasets.tree import File, Tree, find, listed, printable

Images = NDArray[np.uint8]  # (n, 3, size, size)

SHARE = 0.15  # of a class's pictures, for a split that is carved from train
ALWAYS_ALLOWED = 5  # unreadable files, however few files there are
LARGEST = 2**30  # bytes of a file: no picture that is decoded is larger

logger = logging.getLogger(__name__)


def load(
    path: str | Path, image_size: int, split_seed: int, skip_budget: float, *, flip: bool, min_scale: float
) -> Pictures:
    """The pictures of a folder; see `nat_datasets.tree` for its layouts. A ConfigError says what is wrong with it."""
    _check_options(image_size, skip_budget)
    check_seed(split_seed)
    variation = augmentation(min_scale, flip=flip)
    with _refusals_named():
        tree = find(Path(os.path.expanduser(path)))  # noqa: PTH111 - Path's own raises on an unknown ~name
        _check_memory(len(tree.files), image_size)
        images, files, unreadable = _read_all(tree.files, image_size)
    _check_budget(tree, unreadable, skip_budget)
    files, copies = _split(tree, files, split_seed, unreadable)
    train, val, test = _gather(images, files)
    mean, std = statistics(train.images)
    return Pictures(
        classes=tree.classes,
        train=train,
        val=val,
        test=test,
        image_size=image_size,
        mean=mean,
        std=std,
        augmentation=variation,
        fingerprint=_fingerprint(tree.classes, files, image_size),
        skipped={**tree.ignored, **unreadable, **copies},
    )


def _check_options(image_size: int, skip_budget: float) -> None:
    if image_size < 1:
        raise ConfigError(f"image_size={image_size} is no side of a picture: a whole number of pixels from 1 on.")
    if not 0 <= skip_budget <= 1:
        raise ConfigError(f"skip_budget={skip_budget!r} is not a share of the files: a number from 0 to 1.")


@contextmanager
def _refusals_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(f"{error.filename!r} could not be read: {error.strerror}.") from error
    except MemoryError as error:
        raise ResourceError("the pictures do not fit in memory: choose a smaller image_size.") from error


def _check_memory(n: int, image_size: int) -> None:
    """Refuse at once what would be killed after an hour of reading."""
    needed = n * 3 * image_size**2
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > installed:
        raise ResourceError(
            f"{n} pictures of {image_size} pixels take {needed / 1e9:.1f} GB, and this machine has "
            f"{installed / 1e9:.1f} GB of memory: choose a smaller image_size."
        )


def _read_all(files: Sequence[File], size: int) -> tuple[Images, list[File], dict[str, str]]:
    """Images (n, 3, size, size), a row per file; the files that were read, and why the others were not."""
    images = np.empty((len(files), 3, size, size), dtype=np.uint8)
    read: list[File] = []
    unreadable: dict[str, str] = {}
    with strict_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # PIL works outside the GIL
        for i, (file, (content, reason)) in enumerate(zip(files, pool.map(_read, files, images), strict=True)):
            if reason:
                unreadable[printable(file.name)] = reason
            else:
                read.append(replace(file, content=content, row=i))
    return images, read, unreadable


def _read(file: File, image: NDArray[np.uint8]) -> tuple[str, str]:
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
        image[:] = decode(content, image.shape[-1])
    except UnreadableImageError as error:
        return "", str(error)
    return hashlib.sha256(content).hexdigest(), ""


def _check_budget(tree: Tree, unreadable: Mapping[str, str], skip_budget: float) -> None:
    allowed = max(ALWAYS_ALLOWED, int(skip_budget * len(tree.files)))
    if len(unreadable) > allowed:
        first = "; ".join(f"{name!r} ({reason})" for name, reason in list(unreadable.items())[:5])
        raise ConfigError(
            f"{len(unreadable)} of {len(tree.files)} files in {str(tree.root)!r} could not be read as pictures, and "
            f"{allowed} may be (skip_budget={skip_budget}): {first}. Remove or repair them, or raise skip_budget."
        )
    if unreadable:
        logger.warning("%d files could not be read as pictures: %s", len(unreadable), listed(unreadable))


def _split(
    tree: Tree, files: Sequence[File], seed: int, unreadable: Mapping[str, str]
) -> tuple[list[File], dict[str, str]]:
    """The files in their final splits, and those left out because a held-out split has the same picture.

    Copies are looked for once more after carving: of a picture that stands in two classes, both may be carved.
    """
    given, copies = _without_copies(files)
    _check_counts(tree, given, unreadable, copies)
    _warn_of_contradictions(given)
    final, more = _without_copies(_carve(tree, given, seed))
    _check_present(tree, final)
    return final, copies | more


def _without_copies(files: Sequence[File]) -> tuple[list[File], dict[str, str]]:
    """No picture is in two splits: test keeps it before val, and val before train. Copies within a split may be."""
    first: dict[str, File] = {}
    for file in sorted(files, key=lambda f: ("test", "val", "train").index(f.split)):
        first.setdefault(file.content, file)
    kept = [file for file in files if file.split == first[file.content].split]
    copies = {
        printable(file.name): f"the same picture as {printable(keeper.name)}, which {keeper.split} keeps"
        for file in files
        if file.split != (keeper := first[file.content]).split
    }
    if copies:
        logger.warning("%d copies of held-out pictures are left out: %s", len(copies), listed(copies))
    return kept, copies


def _warn_of_contradictions(files: Iterable[File]) -> None:
    """One picture in two classes is for the user to settle: which of the labels is right cannot be known here."""
    first: dict[str, File] = {}
    found = [f.name for f in files if first.setdefault(f.content, f).label != f.label]
    if found:
        logger.warning("%d pictures stand in two classes: %s", len(found), listed(map(printable, found)))


def _check_counts(tree: Tree, files: Iterable[File], unreadable: Mapping[str, str], copies: Mapping[str, str]) -> None:
    """Every class has a picture for train and each split to be carved, and no class has but one."""
    needed = max(2, 1 + len(tree.missing))
    counts = Counter(label for label, _ in {(f.label, f.content) for f in files if f.split == "train"})
    few = [f"{name!r} has {counts[i]}" for i, name in enumerate(tree.classes) if counts[i] < needed]
    if few:
        more = f" and {len(few) - 5} more classes" if len(few) > 5 else ""
        purpose = f" (train, {', '.join(tree.missing)})" if tree.missing else ""
        raise ConfigError(
            f"too few different images to train on in {str(tree.root)!r}: {', '.join(few[:5])}{more}; "
            f"at least {needed} a class are needed{purpose}. Left out: {len(unreadable)} unreadable files, "
            f"{len(copies)} copies of held-out pictures. Add images, or remove the class."
        )


def _check_present(tree: Tree, files: Iterable[File]) -> None:
    """No split is empty, and train has every class: pictures may have been left out as unreadable or as copies."""
    labels: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}
    for file in files:
        labels[file.split].add(file.label)
    empty = [split for split, found in labels.items() if not found]
    if empty:
        raise ConfigError(
            f"{empty[0]} of {str(tree.root)!r} holds no picture that can be read and is in no other split. "
            "Give it pictures of its own, or remove it, and it is taken from train."
        )
    lost = [name for i, name in enumerate(tree.classes) if i not in labels["train"]]
    if lost:
        raise ConfigError(f"every picture of class {listed(lost)} in {str(tree.root)!r} is in another class too.")


def _carve(tree: Tree, files: Iterable[File], seed: int) -> list[File]:
    """The files of train shared out to the splits that are missing, class by class."""
    by_class: dict[int, list[File]] = {}
    carved = []
    for file in files:
        if file.split == "train":
            by_class.setdefault(file.label, []).append(file)
        else:
            carved.append(file)
    for members in by_class.values():
        names = carve([file.content for file in members], dict.fromkeys(tree.missing, SHARE), seed)
        carved += [replace(file, split=name) for file, name in zip(members, names, strict=True)]
    return carved


def _gather(images: Images, files: Sequence[File]) -> tuple[Split, Split, Split]:
    """Train, val and test. They share the memory of `images`, whose rows are reordered."""
    members = [[file for file in files if file.split == split] for split in ("train", "val", "test")]
    _reorder(images, [file.row for part in members for file in part])
    stops = np.cumsum([len(part) for part in members])
    train, val, test = (
        Split(images[stop - len(part) : stop], np.array([file.label for file in part], dtype=np.int64))
        for part, stop in zip(members, stops, strict=True)
    )
    return train, val, test


def _reorder(images: Images, order: Sequence[int]) -> None:
    """Make row i what row order[i] was, a few pixels of all rows at a time: the images need not fit in memory twice."""
    pixels = images.reshape(len(images), -1)
    for start in range(0, pixels.shape[1], 4096):
        some = pixels[:, start : start + 4096]
        some[: len(order)] = some[order]


def _fingerprint(classes: Sequence[str], files: Iterable[File], size: int) -> str:
    """Over each file's path, class, split and content: no field can hold the zero byte that parts them."""
    digest = hashlib.sha256(f"folder 1 {size}".encode())
    for file in sorted(files, key=lambda f: os.fsencode(f.name)):
        digest.update(os.fsencode("\0".join(("", file.name, classes[file.label], file.split, file.content))))
    return digest.hexdigest()
