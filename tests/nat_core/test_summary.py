"""What a run says of an iteration."""

from __future__ import annotations

import pytest
from stories import story

from nat_core.archive import Archive, Evaluation
from nat_core.report.summary import rank_correlation, summarise

NAMES = ("top1_error", "macs")


def batch(iteration, predicted, measured):
    """Networks that an iteration proposed, with what was predicted and measured of the first objective."""
    return [
        Evaluation((iteration, i), (m, 1.0), iteration, iteration, predicted=(p, 1.0))
        for i, (p, m) in enumerate(zip(predicted, measured, strict=True))
    ]


def test_the_rank_correlation_is_of_the_newest_batch():
    """Nothing is measured again, so the archive knows yet what the first batch was predicted to be."""
    archive = Archive(NAMES, tuple(batch(1, (1, 2, 3, 4), (1, 2, 3, 4))))
    later = archive.extend(batch(2, (1, 2, 3, 4), (4, 3, 2, 1)))
    assert rank_correlation(archive, "top1_error", 1) == pytest.approx(1)
    assert rank_correlation(later, "top1_error", 2) == pytest.approx(-1)
    assert rank_correlation(later, "top1_error", 3) is None
    _, *found = summarise([Archive(NAMES), archive, later], ["top1_error"])
    assert [s.rank_correlation for s in found] == [{"top1_error": pytest.approx(1)}, {"top1_error": pytest.approx(-1)}]


def test_a_failure_has_no_rank():
    failed = Evaluation((9, 9), None, 1, 1, predicted=(0.0, 1.0), failure="why")
    archive = Archive(NAMES, (*batch(1, (1, 2), (5, 6)), failed))
    assert rank_correlation(archive, "top1_error", 1) == pytest.approx(1)
    assert rank_correlation(archive, "macs", 1) is None  # all the same


@pytest.mark.parametrize("measured", ["measured_ms", "measured_ms@board"])
def test_what_is_measured_in_a_unit_is_costly_too(measured):
    told = story(names=("top1_error", measured))
    part = measured.replace("_ms", "")
    told.tables["plugins"] = {"estimators.top1_error": "nat-core 1", f"estimators.{part}": "nat-core 1"}
    assert told.costly == ("top1_error", measured)
    told.tables["plugins"] = {"estimators.top1_error": "nat-core 1", f"cost_models.{part}": "nat-core 1"}
    vars(told).pop("costly")
    assert told.costly == ("top1_error",)
