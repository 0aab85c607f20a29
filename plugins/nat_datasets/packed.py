"""CIFAR and STL-10, whose files hold many pictures each; and the boxes of Stanford Cars.

CIFAR is published twice. The binary version is plain bytes, and is read here. The Python version is a pickle, which can
run code when it is opened: torchvision opens it only if every file has the published MD5, which nobody can give to
another file. Where both are there, the binary version is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nat_core.errors import ConfigError
from nat_datasets.reading import PictureArrays, Source
from nat_datasets.tree import File, Tree

Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]  # pictures (n, 3, side, side), labels (n,)

STL10_FILES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "class_names.txt")


@dataclass(frozen=True)
class _Binary:
    """The binary version of a CIFAR: a record is its labels, a byte each, and 32 × 32 bytes of each colour."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    label_bytes: int  # of which the last is the label; before it stands the group of classes


CIFAR10 = _Binary(
    "cifar-10-batches-bin",
    tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    ("test_batch.bin",),
    "batches.meta.txt",
    1,
)
CIFAR100 = _Binary("cifar-100-binary", ("train.bin",), ("test.bin",), "fine_label_names.txt", 2)


def cifar10(root: Path) -> tuple[Tree, Source]:
    """60,000 pictures of 32 pixels."""
    from torchvision import datasets

    return _cifar(root, CIFAR10, datasets.CIFAR10)


def cifar100(root: Path) -> tuple[Tree, Source]:
    """60,000 pictures of 32 pixels, with their fine labels."""
    from torchvision import datasets

    return _cifar(root, CIFAR100, datasets.CIFAR100)


def stl10(root: Path) -> tuple[Tree, Source]:
    """13,000 labelled pictures of 96 pixels; the 100,000 without a label are not read."""
    folder = root / "stl10_binary"
    parts = {}
    for split in ("train", "test"):
        pictures = _records(folder / f"{split}_X.bin", 3 * 96 * 96).reshape(-1, 3, 96, 96).swapaxes(2, 3)
        labels = _records(folder / f"{split}_y.bin", 1).reshape(-1).astype(np.int64) - 1
        if len(labels) != len(pictures):
            raise ConfigError(f"{str(folder)!r} has {len(pictures)} pictures and {len(labels)} labels to {split}")
        parts[folder / f"{split}_X.bin"] = (pictures, labels)
    return _packed(root, _names(folder / "class_names.txt"), parts)


def car_boxes(file: Path) -> list[tuple[int, int, int, int]]:
    """The box of each car in a file of annotations, whose pixels are counted from 1 and whose ends are inside."""
    from scipy.io import loadmat

    rows = np.atleast_1d(loadmat(file, squeeze_me=True)["annotations"])
    left, top, right, bottom = ([int(row[f"bbox_{side}"]) for row in rows] for side in ("x1", "y1", "x2", "y2"))
    return [(a - 1, b - 1, c, d) for a, b, c, d in zip(left, top, right, bottom, strict=True)]


def _cifar(root: Path, binary: _Binary, python: Any) -> tuple[Tree, Source]:
    folder = root / binary.folder
    if not folder.is_dir():
        return _from_python(root, python)
    missing = [name for name in (*binary.train, *binary.test, binary.names) if not (folder / name).is_file()]
    if missing:
        raise ConfigError(f"{str(folder)!r} lacks {', '.join(missing)}: unpack the archive again.")
    parts = {folder / name: _read_binary(folder / name, binary) for name in (*binary.train, *binary.test)}
    return _packed(root, _names(folder / binary.names), parts)


def _from_python(root: Path, python: Any) -> tuple[Tree, Source]:
    """The Python version, by torchvision, once every file is found to be the published one."""
    from torchvision.datasets.utils import check_integrity

    folder = root / python.base_folder
    published = [*python.train_list, *python.test_list, (python.meta["filename"], python.meta["md5"])]
    wrong = [
        f"{name} ({'is not the published file' if (folder / name).is_file() else 'is missing'})"
        for name, md5 in published
        if not check_integrity(folder / name, md5)
    ]
    if wrong:
        raise ConfigError(f"in {str(folder)!r}, {', '.join(wrong)}: unpack the archive again.")
    parts = {}
    for name, train in ((python.train_list[0][0], True), (python.test_list[0][0], False)):
        data = python(root, train=train)
        parts[folder / name] = (data.data.transpose(0, 3, 1, 2), np.array(data.targets, dtype=np.int64))
    return _packed(root, tuple(data.classes), parts)


def _read_binary(file: Path, binary: _Binary) -> Labelled:
    records = _records(file, binary.label_bytes + 3 * 32 * 32)
    labels = records[:, binary.label_bytes - 1].astype(np.int64)
    return records[:, binary.label_bytes :].reshape(-1, 3, 32, 32), labels


def _records(file: Path, size: int) -> NDArray[np.uint8]:
    """The records of a file, (n, size)."""
    content = np.fromfile(file, dtype=np.uint8)
    if not len(content) or len(content) % size:
        raise ConfigError(f"{str(file)!r} has {len(content)} bytes, which are no whole number of records of {size}.")
    return content.reshape(-1, size)


def _names(file: Path) -> tuple[str, ...]:
    names = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(f"{str(file)!r} should hold the names of two or more classes, a line each; found {names}")
    return names


def _packed(root: Path, classes: Sequence[str], parts: Mapping[Path, Labelled]) -> tuple[Tree, Source]:
    """A tree with a file per picture, and where its pixels are; what is in a file named test… is to test on."""
    files: list[File] = []
    for path, (_, labels) in parts.items():
        if labels.min() < 0 or labels.max() >= len(classes):
            raise ConfigError(
                f"{str(path)!r} has labels from {labels.min()} to {labels.max()}; classes: {len(classes)}"
            )
        split = "test" if path.name.startswith("test") else "train"
        name = path.relative_to(root).as_posix()
        files += [File(path, f"{name}/{i:05}", int(label), split, index=i) for i, label in enumerate(labels)]
    tree = Tree(root=root, classes=tuple(classes), files=tuple(files), missing=("val",), ignored={})
    return tree, PictureArrays({path: pictures for path, (pictures, _) in parts.items()})
