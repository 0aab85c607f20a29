"""Where the time of a `quick` run goes, by part, and the engine's own share of it.

The engine is everything but adapting the supernet and measuring subnets: surrogate, optimizer, journal, weights on the
disk, and whatever else there is. What is timed is the search, from the folder's opening to the front's test.

    python benchmarks/overhead.py [SETTING ...]        such as search.iterations=2
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from nat_core import config as configs
from nat_core.run import build, find_parts, finish, iterate, opened


def main(settings: list[str]) -> None:
    """Run once and print a table."""
    run_config = configs.resolve("quick", None, {}, settings)
    with tempfile.TemporaryDirectory() as folder:
        run = build(find_parts(run_config), Path(folder) / "run")
        start = time.perf_counter()
        with opened(run, lambda _what, _done, _total: None) as ledger:
            *_, archive = iterate(run, ledger)
            finish(run, ledger, archive)
            total = time.perf_counter() - start
            parts = shares(ledger.journal.records, ledger.journal.seconds)
    work = parts["adaptation"] + parts["evaluation"]
    parts["other"] = total - sum(parts.values())
    print("| part | seconds | share |")
    print("|---|---|---|")
    for part, seconds in parts.items():
        print(f"| {part} | {seconds:.2f} | {seconds / total:.2%} |")
    print(f"| **engine's own** | {total - work:.2f} | **{(total - work) / total:.2%}** |")


def shares(records: list[dict[str, object]], journal: float) -> dict[str, float]:
    """The seconds that a journal's records hold, by part."""
    parts = dict.fromkeys(("adaptation", "evaluation", "surrogate", "optimizer"), 0.0)
    parts |= {"weights on disk": 0.0, "journal": journal}
    for record in records:
        if record["kind"] == "adapted":
            parts["adaptation"] += record["seconds"]  # type: ignore[operator]
            parts["weights on disk"] += record["saving"]  # type: ignore[operator]
        elif record["kind"] in {"measured", "failed", "tested"}:
            parts["evaluation"] += record["seconds"]  # type: ignore[operator]
        elif record["kind"] == "proposed":
            for part, seconds in record["seconds"].items():  # type: ignore[attr-defined]
                parts[part] += seconds
    return parts


if __name__ == "__main__":
    main(sys.argv[1:])
