"""Write `docs/promises.md` from the table of promises and the counts of the last `make promises`."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
TABLE = DOCS.parent / "tests" / "promises" / "promises.toml"
COUNTS = DOCS / "promises.json"
PAGE = DOCS / "promises.md"
NO_OBJECT = "no object"  # the state of a promise about something that nat does not have
Tests = Mapping[str, Mapping[str, Any]]  # test → promises, result, cases by kind

HEAD = """# Promises

<!-- made by docs/promises.py: do not edit -->

What a run survives, whom it lets in, and the tests that show it: forty promises, each with its tests and how many cases
they tried. `make promises` runs them and writes this page; a run of all tests fails where the page is out of date.
"""


def page() -> str:
    """The page, as it should be."""
    promises = tomllib.loads(TABLE.read_text(encoding="utf-8"))["promise"]
    tests: Tests = json.loads(COUNTS.read_text(encoding="utf-8"))
    parts = [HEAD, totals(tests), ""]
    for theme, members in groupby(promises, key=lambda p: p["theme"]):
        parts += [f"## {theme}", "", "| | promise | tests | cases | |", "|---|---|---|---|---|"]
        parts += [row(p, {t: about for t, about in tests.items() if p["number"] in about["promises"]}) for p in members]
        parts.append("")
    parts += ["## The tests", ""]
    for promise in promises:
        mine = [(t, about) for t, about in tests.items() if promise["number"] in about["promises"]]
        if mine:
            parts += [f"**{promise['number']}**", ""]
            parts += [f"- `{t}`: {counted(about['cases'])}, {about['result']}" for t, about in mine]
            parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def totals(tests: Tests) -> str:
    """All cases by kind, the largest first, and how many came out otherwise."""
    failed = sum(about["result"] == "failed" for about in tests.values())
    return f"**{sentence(tests)}: {failed} differences.** In {len(tests)} tests.\n"


def sentence(tests: Tests) -> str:
    """The figures of all tests, for the README too."""
    return counted(summed(about["cases"] for about in tests.values()))


def row(promise: Mapping[str, Any], tests: Tests) -> str:
    """A promise in its table."""
    state = promise.get("state", "kept")
    results = {about["result"] for about in tests.values()}
    without = state in {"later", NO_OBJECT}
    shown = "**failed**" if "failed" in results else state if tests or without else "**no test**"
    lead = "Nothing to keep" if state == NO_OBJECT else "Not yet"
    text = promise["text"] + (f" *{lead}: {promise['lacking']}.*" if "lacking" in promise else "")
    cases = counted(summed(about["cases"] for about in tests.values())) if tests else ""
    return f"| {promise['number']} | {text} | {len(tests) or ''} | {cases} | {shown} |"


def summed(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Counts of several tests together."""
    found = Counter[str]()
    for one in counts:
        found.update(one)
    return found


def counted(cases: Mapping[str, int]) -> str:
    """Such as `1,034 crashes (of them 412 torn), 12 cases`."""
    parts = {k.removeprefix("of them "): n for k, n in cases.items() if k.startswith("of them ")}
    whole = sorted(((k, n) for k, n in cases.items() if not k.startswith("of them ")), key=lambda c: (-c[1], c[0]))
    said = []
    for kind, n in whole:
        mine = [f"{m:,} {k.partition(' among ')[0]}" for k, m in parts.items() if k.partition(" among ")[2] == kind]
        said.append(f"{n:,} {kind}" + (f" (of them {', '.join(mine)})" if mine else ""))
    return ", ".join(said) or "0 cases"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
