"""Scikit-learn's digits as a data set: the test half of UCI's Optical Recognition of Handwritten Digits."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from nat_core.contracts import Split
from nat_datasets.pictures import Pictures, augmentation, statistics
from nat_datasets.splitting import carve, check_seed

SHARES = {"val": 0.2, "test": 0.2}


def load(split_seed: int, min_scale: float) -> Pictures:
    """About 1,079 pictures to train, 359 to validate and 359 to test; a mirrored digit is none, so no flips."""
    check_seed(split_seed)
    images, labels = _digits()
    names = _split_names(images, labels, split_seed)
    splits = {name: Split(images[names == name], labels[names == name]) for name in ("train", "val", "test")}
    mean, std = statistics(splits["train"].images)
    return Pictures(
        classes=tuple("0123456789"),
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        image_size=8,
        mean=mean,
        std=std,
        augmentation=augmentation(min_scale, flip=False),
        fingerprint=_fingerprint(splits),
    )


def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (1797, 3, 8, 8) with the intensities 0 … 16 scaled to 0 … 255, and labels (1797,)."""
    bunch = load_digits()
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return np.repeat(grey[:, None], 3, axis=1), bunch.target.astype(np.int64)


def _split_names(images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int) -> NDArray[np.str_]:
    """The split of every picture, (n,): drawn class by class."""
    contents = np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in images])
    names = np.empty(len(labels), dtype="<U5")
    for label in range(10):
        names[labels == label] = carve(contents[labels == label].tolist(), SHARES, seed)
    return names


def _fingerprint(splits: dict[str, Split]) -> str:
    digest = hashlib.sha256()
    for name, split in splits.items():
        digest.update(name.encode() + split.images.tobytes() + split.labels.astype("<i8").tobytes())
    return digest.hexdigest()
