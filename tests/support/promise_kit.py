"""Which test keeps which promise, and how many cases it tried: the figures of docs/promises.md.

A test keeps a promise by `@pytest.mark.promise(17)`, or because `tests/promises/promises.toml` lists it. It counts its
cases with the fixture `cases`, by kind; one that does not is a case itself. `pytest -m promise --promises=FILE` runs
them all and writes what came of them; a run of the whole suite compares that with what the page was made from.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "promises" / "promises.toml"
COUNTS = ROOT / "docs" / "promises.json"
PLAIN = "cases"  # the kind of what is not counted by kind
_SLACK = 0.05  # of a count: crash points follow the calls to the disk, which another version may make a few more of
_WORST = ("passed", "skipped", "failed")


def promises() -> dict[int, dict]:
    """Every promise by its number, as the table has it."""
    return {p["number"]: p for p in tomllib.loads(TABLE.read_text(encoding="utf-8"))["promise"]}


def elsewhere() -> dict[str, set[int]]:
    """Test → the promises that list it."""
    found: dict[str, set[int]] = {}
    for number, promise in promises().items():
        for test in promise.get("tests", ()):
            found.setdefault(test, set()).add(number)
    return found


def pytest_addoption(parser):
    parser.addoption("--promises", metavar="FILE", help="write what came of the tests that keep promises")


def pytest_configure(config):
    config.addinivalue_line("markers", "promise(*numbers): keeps these promises of docs/promises.md")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Counts(config.getoption("--promises")), "promise counts")


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marks
def pytest_collection_modifyitems(items):
    table = elsewhere()
    for item in items:
        if numbers := table.get(base(item.nodeid)):
            item.add_marker(pytest.mark.promise(*sorted(numbers)))
        kept = {n for mark in item.iter_markers("promise") for n in mark.args}
        if kept:
            item.user_properties.append(("promises", sorted(kept)))


@pytest.fixture
def cases(request):
    """Counts cases by kind; `of them torn among crashes` is a part of another."""
    found = Counter()
    yield found
    request.node.user_properties.append(("cases", dict(found)))


def base(nodeid: str) -> str:
    """A test without its parameters."""
    return nodeid.partition("[")[0]


class Counts:
    """Gathers what came of each test, from all workers."""

    def __init__(self, file: str | None):
        self.file = file
        self.found: dict[str, dict] = {}
        self._counted: set[str] = set()

    def pytest_runtest_logreport(self, report):
        properties = dict(report.user_properties)
        if "promises" not in properties:
            return
        entry = self.found.setdefault(
            base(report.nodeid), {"promises": properties["promises"], "result": "passed", "cases": {}}
        )
        entry["result"] = max(entry["result"], report.outcome, key=_WORST.index)
        if report.when == "teardown":
            counted = properties.get("cases", {PLAIN: 1} if report.nodeid in self._counted else {})
            entry["cases"] = dict(sorted((Counter(entry["cases"]) + Counter(counted)).items()))
        elif report.when == "call" and report.passed:
            self._counted.add(report.nodeid)

    def pytest_sessionfinish(self, session):
        if self.file is not None:
            text = json.dumps(dict(sorted(self.found.items())), indent=1) + "\n"
            Path(self.file).write_text(text, encoding="utf-8")
        elif (stale := self.stale()) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            self.note = stale

    note = ""

    def pytest_terminal_summary(self, terminalreporter):
        if self.note:
            terminalreporter.write_line(f"docs/promises.md is out of date ({self.note}): make promises", red=True)

    def stale(self) -> str:
        """What differs from the counts of the page, where all of its tests were run; tests that were skipped do not."""
        if not COUNTS.exists():
            return ""
        known = json.loads(COUNTS.read_text(encoding="utf-8"))
        if not known.keys() <= self.found.keys():
            return ""
        return next((test for test, now in self.found.items() if _differs(known.get(test), now)), "")


def _differs(before: dict | None, now: dict) -> bool:
    if before is None or before["promises"] != now["promises"]:
        return True
    if "skipped" in {now["result"], before["result"]}:
        return False
    counts = [(before["cases"].get(k, 0), now["cases"].get(k, 0)) for k in before["cases"].keys() | now["cases"].keys()]
    far = any(abs(a - b) > _SLACK * a for a, b in counts)
    return before["result"] != now["result"] or far
