"""How a network classified, class by class: for a terminal, as JSON, and as a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nat_core.classification import Classification, Confusion
from nat_core.config import printable
from nat_core.report.words import per_cent

ROWS = 20  # classes on a terminal
_SENTENCES = 5  # confusions in words
_TWICE = 2  # a confusion that happened once is chance


def report_table(classes: Sequence[str], report: Classification, limit: int | None = ROWS) -> RenderableType:
    """How far its confidence is true, the classes, worst first, and the most frequent confusions in words."""
    names = [printable(name) for name in classes]
    order = report.worst_first()
    rows = order if limit is None else order[:limit]
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("class, worst first", overflow="fold")
    for heading in ("images", "right", "accuracy", "precision"):
        table.add_column(heading, justify="right", no_wrap=True)
    for label in rows:
        n, right = int(report.images_of_class[label]), int(report.confusion[label, label])
        shares = (report.accuracy_of_class[label], report.precision_of_class[label])
        table.add_row(Text(names[label]), f"{n:,}", f"{right:,}", *map(_per_cent, shares))
    parts: list[RenderableType] = [Text(calibration_in_words(report)), Text(), table]
    if left := len(order) - len(rows):
        parts.append(Text(f"… and {left} more: --all, or --json", style="dim"))
    if absent := len(classes) - len(order):
        parts.append(Text(f"no images of {absent} class{'es' * (absent != 1)}", style="dim"))
    frequent = [c for c in report.confusions()[:_SENTENCES] if c.images >= _TWICE]
    return Group(*parts, *([Text()] if frequent else []), *(Text(_confused(names, report, c)) for c in frequent))


def calibration_in_words(report: Classification) -> str:
    """Such as `On average 93.1 % sure and 90.0 % right: …`."""
    sure, right = report.confidence, 1 - report.top1_error
    verdict = (
        "too sure of itself" if sure > right else "too unsure of itself" if sure < right else "as sure as it is right"
    )
    return (
        f"On average {_per_cent(sure)} sure and {_per_cent(right)} right: {verdict}; expected calibration error "
        f"{_per_cent(report.calibration_error)} ({_per_cent(report.adaptive_calibration_error)} in bins of equal size)."
    )


def report_document(classes: Sequence[str], report: Classification) -> dict[str, Any]:
    """Plain JSON values. With `classes` and `confusions` the whole confusion matrix is there, without its zeros."""
    return {
        "mean_class_accuracy": report.mean_accuracy,
        "mean_confidence": report.confidence,
        "calibration_error": report.calibration_error,
        "adaptive_calibration_error": report.adaptive_calibration_error,
        "calibration_bins": [
            {"above": b.above, "to": b.to, "images": b.images, "confidence": b.confidence, "accuracy": b.accuracy}
            for b in report.bins
        ],
        "classes": [
            {
                "class": name,
                "images": int(report.images_of_class[label]),
                "right": int(report.confusion[label, label]),
                "accuracy": _plain(report.accuracy_of_class[label]),
                "precision": _plain(report.precision_of_class[label]),
            }
            for label, name in enumerate(classes)
        ],
        "confusions": [
            {"class": classes[c.true], "taken_for": classes[c.taken_for], "images": c.images}
            for c in report.confusions()
        ],
    }


def confusion_csv(classes: Sequence[str], report: Classification) -> str:
    """The confusion matrix: a row for each true class, a column for each that images were taken for."""
    names, text = [printable(name) for name in classes], io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true class", *names])
    writer.writerows([name, *row] for name, row in zip(names, report.confusion.tolist(), strict=True))
    return text.getvalue()


def _confused(names: Sequence[str], report: Classification, confusion: Confusion) -> str:
    n = int(report.images_of_class[confusion.true])
    return f"{names[confusion.true]} is taken for {names[confusion.taken_for]}: {confusion.images:,} of {n:,} images."


def _per_cent(share: float) -> str:
    return "–" if math.isnan(share) else per_cent(share, 1)


def _plain(share: float) -> float | None:
    return None if math.isnan(share) else float(share)
