"""docs/promises.md says what the tests say: every promise once, every test that it names there, the page as made."""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache

import promise_kit
import pytest
from promise_kit import COUNTS, ROOT, TABLE


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("promises_page", ROOT / "docs" / "promises.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def defined(file):
    """The tests of a file: they stand at its top, or in a class."""
    return set(re.findall(r"^ *def (\w+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))


def test_there_are_forty_and_each_says_where_it_stands():
    table = promise_kit.promises()
    assert list(table) == list(range(1, 41))
    for number, promise in table.items():
        assert promise.keys() <= {"number", "theme", "text", "state", "lacking", "tests"}
        assert promise.get("state", "kept") in {"kept", "partly", "later", "no object"}
        assert ("lacking" in promise) == (promise.get("state", "kept") != "kept"), number


def test_every_test_that_is_named_exists():
    for test in promise_kit.elsewhere():
        file, _, name = test.partition("::")
        assert name in defined(file), test


def test_every_promise_that_is_kept_has_a_test():
    marked = {
        int(n)
        for file in (ROOT / "tests").rglob("test_*.py")
        for numbers in re.findall(r"mark\.promise\(([\d, ]+)\)", file.read_text(encoding="utf-8"))
        for n in numbers.split(",")
    }
    listed = {n for numbers in promise_kit.elsewhere().values() for n in numbers}
    wanted = {n for n, p in promise_kit.promises().items() if p.get("state") not in {"later", "no object"}}
    assert wanted <= marked | listed


@pytest.mark.skipif(not COUNTS.exists(), reason="make promises was never run here")
def test_the_readme_has_the_figures_of_the_page(maker):
    """Each that it names, and no failure."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    (said,) = re.findall(r"each promise with its tests: (.*?), 0 differences\.", readme)
    totals = maker.totals(json.loads(COUNTS.read_text(encoding="utf-8")))
    assert all(figure in totals for figure in said.split(", ")), totals
    assert ": 0 differences." in totals


@pytest.mark.skipif(not COUNTS.exists(), reason="make promises was never run here")
def test_the_page_is_what_the_counts_make(maker):
    assert (ROOT / "docs" / "promises.md").read_text(encoding="utf-8") == maker.page(), "run: make promises"


@pytest.mark.skipif(not COUNTS.exists(), reason="make promises was never run here")
def test_the_counts_are_of_tests_that_are_there():
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))
    assert promise_kit.elsewhere().keys() <= counts.keys(), f"{TABLE.name} names tests that were never counted"
    for test, about in counts.items():
        assert about["result"] in {"passed", "skipped"}, test
        file, _, name = test.partition("::")
        assert name in defined(file), test


def test_counts_in_words(maker):
    found = {"cases": 3, "crashes": 1000, "of them torn among crashes": 400}
    assert maker.counted(found) == "1,000 crashes (of them 400 torn), 3 cases"
    assert maker.counted({}) == "0 cases"


def test_a_promise_without_an_object_says_so(maker):
    promise = {"number": 14, "text": "A loader.", "state": "no object", "lacking": "there is no loader"}
    assert maker.row(promise, {}) == "| 14 | A loader. *Nothing to keep: there is no loader.* |  |  | no object |"
    assert "| later |" in maker.row(promise | {"state": "later"}, {})
    assert "**no test**" in maker.row({"number": 1, "text": "A run."}, {})


class Report:
    def __init__(self, when, outcome="passed", nodeid="t::a[1]", **properties):
        self.when, self.outcome, self.nodeid = when, outcome, nodeid
        self.passed = outcome == "passed"
        self.user_properties = list({"promises": [1], **properties}.items())


def ran(counts, *calls):
    for outcome, properties in calls:
        counts.pytest_runtest_logreport(Report("setup"))
        counts.pytest_runtest_logreport(Report("call", outcome))
        counts.pytest_runtest_logreport(Report("teardown", **properties))


def test_counting(monkeypatch, tmp_path):
    counts = promise_kit.Counts(None)
    ran(counts, ("passed", {"cases": {"crashes": 3}}), ("passed", {"cases": {"crashes": 4}}))
    assert counts.found["t::a"] == {"promises": [1], "result": "passed", "cases": {"crashes": 7}}
    monkeypatch.setattr(promise_kit, "COUNTS", tmp_path / "counts.json")
    assert counts.stale() == ""
    (tmp_path / "counts.json").write_text(json.dumps(counts.found))
    assert counts.stale() == ""
    ran(counts, ("passed", {"cases": {"crashes": 1}}))
    assert counts.stale() == "t::a"
    few = promise_kit.Counts(None)
    assert few.stale() == ""  # a part of the tests says nothing about the page
    skipped = promise_kit.Counts(None)
    ran(skipped, ("skipped", {}))
    assert skipped.stale() == ""
    more = promise_kit.Counts(None)
    ran(more, ("passed", {"cases": {"crashes": 7}}))
    more.pytest_runtest_logreport(Report("call", nodeid="t::b"))
    assert more.stale() == "t::b"
