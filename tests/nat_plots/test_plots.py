"""`front.csv` and `front.svg`: there after each iteration, never behind what was drawn, and no run's end."""

from __future__ import annotations

import itertools
import logging
import re
import warnings
from types import SimpleNamespace

import pytest
from toyrun import Space

import nat_plots
from nat_core import plugins
from nat_core.archive import Archive, Evaluation

POINTS = ((0.5, 1e6), (0.3, 4e6), (0.6, 5e6), (0.1, 9e6))  # all but the third are on the front


def archive(last, points=POINTS):
    """Measured one in an iteration, up to the last."""
    rows = enumerate(points[: last + 1])
    return Archive(("top1_error", "macs"), tuple(Evaluation((i, 0, 0, 0), y, i, 0) for i, y in rows))


@pytest.fixture
def run(tmp_path):
    return SimpleNamespace(folder=tmp_path, subject="toy on nothing", space=Space())


def title(run):
    (found,) = re.findall(r"<!-- toy on nothing: (\d+) architectures -->", (run.folder / "front.svg").read_text())
    return int(found)


def test_each_iteration_leaves_a_table_and_a_picture_of_all_that_was_measured(run):
    for last in range(len(POINTS)):
        nat_plots.on_iteration(run, archive(last))
        assert len((run.folder / "front.csv").read_text().splitlines()) == 1 + last + 1
        assert title(run) == last + 1
    assert sorted(f.name for f in run.folder.iterdir()) == ["front.csv", "front.svg"]


def test_a_run_that_goes_on_draws_only_what_no_picture_shows_yet(run):
    nat_plots.on_iteration(run, archive(2))
    picture = (run.folder / "front.svg").stat().st_ino
    for last in range(3):
        nat_plots.on_iteration(run, archive(last))
        assert (run.folder / "front.svg").stat().st_ino == picture
    nat_plots.on_iteration(run, archive(3))
    assert title(run) == 4


def test_the_end_is_drawn_whatever_is_there(run):
    (run.folder / "front.svg").write_text("<dc:description>iteration 99<")
    nat_plots.on_finish(run, archive(3))
    assert title(run) == 4


def test_a_picture_of_something_else_is_drawn_over(run):
    (run.folder / "front.svg").write_bytes(b"\xff\x00 no picture")
    nat_plots.on_iteration(run, archive(0))
    assert title(run) == 1


def test_the_front_is_a_staircase(run):
    """Between two points of the front the line is level, then upright: no network is promised where none was found."""
    nat_plots.on_finish(run, archive(3))
    text = (run.folder / "front.svg").read_text()
    line = max(re.findall(r'<path d="([^"]+)"[^>]*stroke: #0b6bcb', text), key=len)
    corners = [tuple(map(float, xy)) for xy in re.findall(r"[ML] ([\d.]+) ([\d.]+)", line)]
    assert len(corners) == 2 * 3 - 1
    turns = list(itertools.pairwise(corners))
    assert all(a[1] == b[1] and a[0] < b[0] for a, b in turns[::2])  # to the right: more macs, the same error
    assert all(a[0] == b[0] and a[1] < b[1] for a, b in turns[1::2])  # down, as SVG counts: less error


@pytest.mark.parametrize("hook", ["on_iteration", "on_finish"])
def test_a_picture_that_cannot_be_drawn_is_a_warning(run, caplog, hook):
    (run.folder / "front.svg").mkdir()
    (run.folder / "front.svg" / "full").touch()
    with caplog.at_level(logging.WARNING):
        plugins.registry().announce(hook, run=run, archive=archive(1))
    assert f"failed in {hook}" in caplog.text


def test_one_equal_picture_twice(run):
    nat_plots.on_finish(run, archive(3))
    before = (run.folder / "front.svg").read_bytes()
    nat_plots.on_finish(run, archive(3))
    assert (run.folder / "front.svg").read_bytes() == before


@pytest.mark.parametrize("name", ["日本", "été 日本\n\u0e01", "a_b $x$"])
def test_a_name_that_the_font_lacks_is_drawn_without_a_word(run, name):
    """Warnings are errors here: one would be printed for each glyph, each time that the run draws."""
    run.subject = f"toy on {name}"
    nat_plots.on_finish(run, archive(3))
    assert "architectures -->" in (run.folder / "front.svg").read_text()


def test_any_other_warning_of_matplotlib_is_heard(run, monkeypatch):
    def savefig(*_words, **_options):
        warnings.warn("constrained_layout not applied", UserWarning, stacklevel=1)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", savefig)
    with pytest.raises(UserWarning, match="constrained_layout not applied"):
        nat_plots.on_finish(run, archive(3))


def test_nothing_measured(run):
    nothing = Archive(("top1_error", "macs"), (Evaluation((0, 0, 0, 0), None, 0, 0, failure="no"),))
    nat_plots.on_iteration(run, nothing)
    assert title(run) == 0
