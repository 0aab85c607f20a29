"""What a classifier's answers come to: errors, errors of each class, confusions, and how far its confidence is true.

Plain arithmetic on logits (n, k) and labels (n,), whatever ran the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Values
from nat_core.errors import ConfigError

BEST = 5  # classes of the top-5 error, which is told where there are more
BINS = 15  # of confidence, as Guo et al. take them
_BLOCK = 4096  # rows at a time: 50,000 images of 1,000 classes would take 400 MB for each intermediate

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Bin:
    """The images whose confidence lies in (above, to]."""

    above: float
    to: float
    images: int
    confidence: float | None  # mean of the largest softmax probability; none where there is no image
    accuracy: float | None  # the share classified rightly


@dataclass(frozen=True)
class Confusion:
    """So many images of one class that were taken for another."""

    true: int
    taken_for: int
    images: int


@dataclass(frozen=True)
class Classification:
    """How a network classified n images of k classes. Classes are label numbers."""

    confusion: Counts  # (k, k): a row for each true class, a column for what it was taken for
    top5_error: float | None  # none where there are no more than five classes
    bins: tuple[Bin, ...]  # of equal width, from 0 to 1
    calibration_error: float  # expected calibration error over `bins` (Guo et al., ICML 2017), 0 … 1
    adaptive_calibration_error: float  # the same over bins that hold equally many images (Nixon et al., 2019)

    @property
    def images(self) -> int:
        """So many."""
        return int(self.confusion.sum())

    @property
    def top1_error(self) -> float:
        """The share of images whose most likely class is another than theirs, 0 … 1."""
        return (self.images - int(np.trace(self.confusion))) / self.images

    @property
    def errors(self) -> dict[str, float]:
        """Top-1, and top-5 where it is told: what decides between networks."""
        return {"top1_error": self.top1_error} | ({} if self.top5_error is None else {"top5_error": self.top5_error})

    @property
    def confidence(self) -> float:
        """The mean of the largest softmax probability: above the accuracy, the network is too sure of itself."""
        return sum(b.images * b.confidence for b in self.bins if b.confidence is not None) / self.images

    @cached_property
    def images_of_class(self) -> Counts:
        """So many images of each class, (k,)."""
        return np.asarray(self.confusion.sum(axis=1))

    @cached_property
    def accuracy_of_class(self) -> Values:
        """The share of each class's images that is classified rightly (recall), (k,); NaN for a class without any."""
        return _shares(np.diagonal(self.confusion), self.images_of_class)

    @cached_property
    def precision_of_class(self) -> Values:
        """The share of the images taken for a class that is of it, (k,); NaN for one that nothing is taken for."""
        return _shares(np.diagonal(self.confusion), self.confusion.sum(axis=0))

    @property
    def mean_accuracy(self) -> float:
        """Of the classes that have images, each counted alike: what a rare class is not lost in."""
        return float(np.nanmean(self.accuracy_of_class))

    def worst_first(self) -> list[int]:
        """The classes that have images, the least accurate first; of equals, the one with more images."""
        there = np.flatnonzero(self.images_of_class)
        order = np.lexsort((there, -self.images_of_class[there], self.accuracy_of_class[there]))
        return [int(label) for label in there[order]]

    def confusions(self) -> list[Confusion]:
        """Every pair of classes that was confused, the most frequent first; of equals, the larger share of a class."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        true, taken_for = np.nonzero(wrong)
        counts = wrong[true, taken_for]
        order = np.lexsort((taken_for, true, -counts / self.images_of_class[true], -counts))
        return [Confusion(int(true[i]), int(taken_for[i]), int(counts[i])) for i in order]


def assess(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> Classification:
    """The whole report on logits (n, k) for images of the classes `labels` (n,), 0 … k - 1.

    Of equal logits the first counts as the larger. Raises `ConfigError` where there are no images, for logits that are
    not finite, and for labels that the network does not know.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    _require(logits, labels)
    n, k = logits.shape
    predicted, places, confidence = _answers(logits, labels)
    right = predicted == labels
    return Classification(
        confusion=np.bincount(labels.astype(np.int64) * k + predicted, minlength=k * k).reshape(k, k),
        top5_error=float((places >= BEST).sum()) / n if k > BEST else None,
        bins=_equal_width(confidence, right),
        calibration_error=_expected_gap(_rows_by_width(confidence), confidence, right),
        adaptive_calibration_error=_expected_gap(_rows_by_rank(confidence), confidence, right),
    )


def _require(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ConfigError(
            f"a report needs logits (images, classes) and a label for each image: these are {logits.shape} and "
            f"{labels.shape}"
        )
    if not logits.size:
        raise ConfigError("there are no images: there is nothing to measure on")
    if not np.isfinite(logits).all():
        raise ConfigError("the network's outputs are not finite: are these its weights?")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ConfigError(
            f"the network tells {logits.shape[1]} classes apart, and the labels go from {labels.min()} to "
            f"{labels.max()}: they have to be 0 … {logits.shape[1] - 1}"
        )


def _answers(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> tuple[Counts, Counts, Values]:
    """For each image the most likely class, the place of the true one (0: the first), and the largest probability."""
    n = len(labels)
    predicted, places, confidence = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)
    for start in range(0, n, _BLOCK):
        rows = slice(start, start + _BLOCK)
        block, label = logits[rows].astype(np.float64), labels[rows, None]
        own = np.take_along_axis(block, label, axis=1)
        earlier = np.arange(block.shape[1]) < label
        predicted[rows] = block.argmax(axis=1)
        places[rows] = ((block > own) | ((block == own) & earlier)).sum(axis=1)
        confidence[rows] = 1 / np.exp(block - block.max(axis=1, keepdims=True)).sum(axis=1)
    return predicted, places, confidence


def _edges() -> Values:
    """The upper ends of the bins."""
    return np.arange(1, BINS + 1) / BINS


def _rows_by_width(confidence: Values) -> list[NDArray[np.intp]]:
    """The rows of each bin ((m - 1) / M, m / M]."""
    bins = np.searchsorted(_edges(), confidence, side="left")
    return [np.flatnonzero(bins == m) for m in range(BINS)]


def _rows_by_rank(confidence: Values) -> list[NDArray[np.intp]]:
    """The rows by confidence, in parts as equal as can be."""
    return np.array_split(np.argsort(confidence, kind="stable"), BINS)


def _expected_gap(bins: list[NDArray[np.intp]], confidence: Values, right: NDArray[np.bool_]) -> float:
    """Σ |bin| / n · |accuracy - confidence|: the sums of a bin in place of its means times its size."""
    gaps = (abs(float(right[rows].sum()) - float(confidence[rows].sum())) for rows in bins)
    return sum(gaps) / len(right)


def _equal_width(confidence: Values, right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    edges, found = _edges(), list[Bin]()
    for m, rows in enumerate(_rows_by_width(confidence)):
        sure, true = (float(confidence[rows].mean()), float(right[rows].mean())) if len(rows) else (None, None)
        found.append(Bin(float(edges[m - 1]) if m else 0.0, float(edges[m]), len(rows), sure, true))
    return tuple(found)


def _shares(some: Counts, of: Counts) -> Values:
    """Quotients (k,), NaN where there is nothing to divide by."""
    shares = np.full(len(of), np.nan)
    np.divide(some, of, out=shares, where=of > 0)
    return shares
