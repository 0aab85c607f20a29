"""What a classifier's answers come to: beside loops, and beside scikit-learn."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from rich.console import Console
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    precision_score,
    recall_score,
    top_k_accuracy_score,
)

from nat_core.classification import BINS, assess
from nat_core.config import printable
from nat_core.errors import ConfigError
from nat_core.report.classes import confusion_csv, report_document, report_table


def answers(n, k, seed=0, sharpness=2.0):
    """Logits that are right more often than not, and labels: class 0 is frequent, and the last one may be absent."""
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.geometric(0.3, n) - 1, k - 1)
    logits = sharpness * rng.normal(size=(n, k))
    logits[np.arange(n), labels] += sharpness
    return logits.astype(np.float32), labels


def brute_force(logits, labels):
    """Top-1, top-5, and the calibration error of 15 bins, image by image."""
    wrong = far_off = 0
    bins = [[] for _ in range(15)]
    for row, label in zip(logits.astype(float).tolist(), labels.tolist(), strict=True):
        ranked = sorted(range(len(row)), key=lambda i: (-row[i], i))
        wrong += ranked[0] != label
        far_off += label not in ranked[:5]
        sums = math.fsum(math.exp(x - max(row)) for x in row)
        confidence = math.exp(row[ranked[0]] - max(row)) / sums
        m = next(m for m in range(1, 16) if confidence <= m / 15)
        bins[m - 1].append((confidence, ranked[0] == label))
    n, gap = len(labels), 0.0
    for found in filter(None, bins):
        sure, right = (sum(column) / len(found) for column in zip(*found, strict=True))
        gap += len(found) / n * abs(right - sure)
    return wrong / n, far_off / n, gap


@pytest.mark.parametrize(("n", "k"), [(1, 2), (7, 3), (300, 6), (5000, 11)])
@pytest.mark.parametrize("sharpness", [0.1, 2.0, 60.0])
def test_errors_and_calibration_of_a_loop(n, k, sharpness):
    logits, labels = answers(n, k, seed=n, sharpness=sharpness)
    report = assess(logits, labels)
    wrong, far_off, gap = brute_force(logits, labels)
    assert report.top1_error == pytest.approx(wrong, abs=1e-12)
    assert report.top5_error == (pytest.approx(far_off, abs=1e-12) if k > 5 else None)
    assert list(report.errors) == ["top1_error", "top5_error"][: 1 + (k > 5)]
    assert report.calibration_error == pytest.approx(gap, abs=1e-9)
    assert report.images == n


def test_as_scikit_learn():
    logits, labels = answers(2000, 9)
    report, predicted, known = assess(logits, labels), logits.argmax(axis=1), np.arange(9)
    there = np.unique(labels)
    assert (report.confusion == confusion_matrix(labels, predicted, labels=known)).all()
    assert 1 - report.top1_error == pytest.approx(top_k_accuracy_score(labels, logits, k=1, labels=known))
    assert 1 - report.top5_error == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=known))
    recall = recall_score(labels, predicted, labels=known, average=None, zero_division=np.nan)
    assert report.accuracy_of_class == pytest.approx(recall, nan_ok=True)
    precision = precision_score(labels, predicted, labels=known, average=None, zero_division=np.nan)
    assert report.precision_of_class == pytest.approx(precision, nan_ok=True)
    assert report.mean_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert sorted(report.worst_first()) == there.tolist()


def test_the_bins_are_those_of_scikit_learns_reliability_curve():
    logits, labels = answers(3000, 4, sharpness=1.0)
    report = assess(logits, labels)
    p = np.exp(logits.astype(float))
    confidence, right = (p / p.sum(axis=1, keepdims=True)).max(axis=1), logits.argmax(axis=1) == labels
    accuracy, sure = calibration_curve(right, confidence, n_bins=BINS, strategy="uniform")
    filled = [b for b in report.bins if b.images]
    assert len(report.bins) == BINS > len(filled)  # four classes: nothing is less than 25 % sure
    assert [b.accuracy for b in filled] == pytest.approx(accuracy)
    assert [b.confidence for b in filled] == pytest.approx(sure)
    assert sum(b.images for b in report.bins) == 3000
    assert report.confidence == pytest.approx(confidence.mean())


def test_the_adaptive_error_is_over_bins_of_equally_many_images():
    logits, labels = answers(1500, 5, seed=4)
    p = np.exp(logits.astype(float))
    p = (p / p.sum(axis=1, keepdims=True)).max(axis=1)
    right = (logits.argmax(axis=1) == labels)[np.argsort(p)]
    gaps = np.abs(right.reshape(15, 100).mean(axis=1) - np.sort(p).reshape(15, 100).mean(axis=1))
    assert assess(logits, labels).adaptive_calibration_error == pytest.approx(gaps.mean())


def test_a_network_that_knows_how_sure_it_is():
    """Labels drawn with the very probabilities that it says: a calibration error of nothing but chance."""
    rng = np.random.default_rng(3)
    logits = 2 * rng.normal(size=(40_000, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    assert assess(logits, labels).calibration_error < 0.01  # one deviation of a bin's accuracy is about that
    assert assess(5 * logits, labels).calibration_error > 0.15


def test_a_probability_at_the_edge_of_a_bin_is_in_the_lower_one():
    """(above, to], as Guo et al. write it: five equal classes are a fifth, the third edge of fifteen."""
    report = assess(np.zeros((2, 5)), np.array([0, 1]))
    assert [i for i, b in enumerate(report.bins) if b.images] == [2]
    assert (report.bins[2].above, report.bins[2].to) == (2 / 15, 3 / 15)


def test_of_equal_logits_the_first_counts_as_the_larger():
    report = assess(np.zeros((7, 7)), np.arange(7))
    assert (report.top1_error, report.top5_error) == (6 / 7, pytest.approx(2 / 7))


def test_rows_are_taken_in_blocks_and_that_changes_nothing():
    logits, labels = answers(9000, 3)
    one, other = assess(logits, labels), assess(logits[::-1], labels[::-1])
    assert (one.confusion == other.confusion).all()
    assert one.calibration_error == pytest.approx(other.calibration_error)


def test_logits_of_any_size():
    report = assess(np.array([[3e38, -3e38], [-1e4, 0]], dtype=np.float32), np.array([0, 0]))
    assert (report.top1_error, report.confidence, report.calibration_error) == (0.5, 1.0, 0.5)


@pytest.mark.parametrize(
    ("logits", "labels", "text"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "there are no images"),
        (np.zeros((2, 0)), np.zeros(2, int), "there are no images"),
        (np.zeros(3), np.zeros(3, int), r"a report needs logits \(images, classes\)"),
        (np.zeros((3, 2)), np.zeros(2, int), r"a report needs logits \(images, classes\)"),
        (np.array([[0, np.nan]]), np.zeros(1, int), "outputs are not finite"),
        (np.array([[0, np.inf]]), np.zeros(1, int), "outputs are not finite"),
        (np.zeros((2, 3)), np.array([0, 3]), "tells 3 classes apart, and the labels go from 0 to 3"),
        (np.zeros((2, 3)), np.array([-1, 2]), "the labels go from -1 to 2"),
    ],
)
def test_what_is_refused(logits, labels, text):
    with pytest.raises(ConfigError, match=text):
        assess(logits, labels)


def printed(renderable):
    out = io.StringIO()
    Console(file=out, width=80).print(renderable, highlight=False)
    return out.getvalue()


def confused(pairs, k):
    """A report of so many images of a class taken for another: (true, taken for) → images."""
    rows = [pair for pair, n in pairs.items() for _ in range(n)]
    return assess(10.0 * np.eye(k)[[taken for _, taken in rows]], np.array([true for true, _ in rows]))


def test_the_words_on_a_terminal():
    names = ("cat", "dog", "[bold]ox[/]", "none")
    report = confused({(0, 0): 8, (0, 1): 2, (1, 1): 5, (1, 2): 5, (2, 2): 20, (2, 0): 1}, 4)
    text = printed(report_table(names, report))
    rows = [line.split() for line in text.splitlines() if line.rstrip().endswith("%")]
    assert [row[0] for row in rows] == ["dog", "cat", "[bold]ox[/]"]
    assert rows[0][1:] == ["10", "5", "50.0", "%", "71.4", "%"]
    assert "no images of 1 class\n" in text
    assert text.splitlines()[-2:] == [
        "dog is taken for [bold]ox[/]: 5 of 10 images.",
        "cat is taken for dog: 2 of 10 images.",
    ]
    assert text.startswith("On average 100.0 % sure and 80.5 % right: too sure of itself;")
    assert "… and 2 more: --all, or --json" in printed(report_table(names, report, 1))


def test_the_document_holds_the_whole_matrix():
    logits, labels = answers(400, 7)
    report, names = assess(logits, labels), tuple("abcdefg")
    found, matrix = report_document(names, report), np.zeros((7, 7), int)
    for row in found["classes"]:
        matrix[names.index(row["class"]), names.index(row["class"])] = row["right"]
    for row in found["confusions"]:
        matrix[names.index(row["class"]), names.index(row["taken_for"])] = row["images"]
    assert (matrix == report.confusion).all()
    counts = [row["images"] for row in found["confusions"]]
    assert counts == sorted(counts, reverse=True)
    nothing = report_document(names, confused({(0, 0): 1}, 7))["classes"][6]
    assert (nothing["accuracy"], nothing["precision"]) == (None, None)


def test_class_names_are_printed_as_text():
    assert printable("\x1b[31mred\n") == "\\x1b[31mred\\n"
    assert printable("caf\u00e9 \udcff") == "café \\udcff"
    table = confusion_csv(("a,b", '"\n'), confused({(0, 0): 1, (1, 0): 3}, 2))
    assert table == 'true class,"a,b","""\\n"\n"a,b",1,0\n"""\\n",3,0\n'
    assert table.encode()
