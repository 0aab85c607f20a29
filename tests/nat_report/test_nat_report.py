"""`report.html`: there after each iteration, never behind what it told, what `nat report` writes, and no run's end."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace

import pytest
from toyrun import Space, Toy

import nat_report.page
from nat_core import config as configs
from nat_core import journal, plugins
from nat_core.config import RunConfig
from nat_core.report import page
from nat_core.report.contents import run_contents
from nat_core.report.story import Story
from nat_report.page import Pace

CONFIG = RunConfig(space="toy", data=None, objectives=("distance", "size"))
TABLES = {"plugins": {"estimators.distance": "toy 1"}, "context": {}, "fingerprints": {}}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(nat_report.page, "PACE", Pace())
    folder = tmp_path / "toy-run"
    folder.mkdir()
    (folder / "run.toml").write_text(configs.dump(CONFIG, **TABLES))
    return SimpleNamespace(folder=folder, space=Space())


def test_each_iteration_is_told(run):
    told = []
    for archive in Toy().archives(run.folder):
        nat_report.on_iteration(run, archive)
        told.append(page.told(run.folder / "report.html"))
    assert told == [0, 1, 2]


def test_a_run_that_goes_on_tells_only_what_is_not_told_yet(run):
    for archive in Toy().archives(run.folder):
        nat_report.on_iteration(run, archive)
    before = (run.folder / "report.html").stat().st_ino
    for archive in Toy().archives(run.folder):
        nat_report.on_iteration(run, archive)
    assert (run.folder / "report.html").stat().st_ino == before


def test_the_end_is_what_nat_report_writes(run):
    (run.folder / "report.html").write_text('<meta name="nat-iteration" content="99">')
    Toy().run(run.folder)
    nat_report.on_finish(run)
    records = journal.read(run.folder / "journal.jsonl")
    _, tables = configs.reload(run.folder / "run.toml")
    later = Story("toy-run", CONFIG, tables, Space(), records)
    assert (run.folder / "report.html").read_bytes() == page.render(run_contents(later)).encode()


@pytest.mark.parametrize("hook", ["on_iteration", "on_finish"])
def test_a_page_that_cannot_be_written_is_a_warning(run, caplog, hook):
    archive = Toy().run(run.folder)
    (run.folder / "report.html").mkdir()
    others = SimpleNamespace(**vars(run), subject="toy on nothing")
    with caplog.at_level(logging.WARNING):
        plugins.registry().announce(hook, run=others, archive=archive)
    assert f"nat-core:nat_report failed in {hook}" in caplog.text
    assert "is a folder" in caplog.text


def test_failures_stand_in_the_page(run):
    def fault(architecture):
        if architecture[0] == 3:  # the largest, which every search begins with
            raise ValueError("three is <none>")

    Toy(fault=fault).run(run.folder)
    nat_report.on_finish(run)
    assert "three is \\u003cnone\\u003e" in (run.folder / "report.html").read_text()


def test_a_page_that_takes_long_waits_for_a_later_iteration():
    pace = Pace(cost=2.0, ended=time.monotonic() - 10)
    assert not pace.allows()
    assert Pace(cost=2.0, ended=time.monotonic() - 30).allows()
    assert Pace(cost=0.5, ended=time.monotonic()).allows()
    with pace.noted():
        pass
    assert pace.allows()
