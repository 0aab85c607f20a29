"""The page of a run with 1,000 evaluations: its size, and how long a headless Chromium takes to open it.

python benchmarks/report.py [--evaluations 1000] [--opens 5]: the run is made up in the space mbv3 with three
objectives; opening ends when the page is loaded and two frames are drawn.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from nat_core.report.contents import run_contents
from nat_core.report.page import render
from nat_mbv3.space import MobileNetV3Space

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from browser import Browser, found
from stories import story


def main() -> None:
    """Make the page, open it, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--opens", type=int, default=5)
    given = parser.parse_args()
    if found() is None:
        sys.exit("no Chromium here: apt-get install chromium")
    space = MobileNetV3Space(resolutions=tuple(range(192, 257, 4)))
    made = story(given.evaluations, 20, ("top1_error", "macs", "params"), space)
    run_contents(made)  # imports, and what is asked once
    start = time.perf_counter()
    text = render(run_contents(made))
    making = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        file.write_text(text, encoding="utf-8")
        with Browser(Path(folder) / "profile") as browser:
            times = sorted(browser.open(file) for _ in range(given.opens))
    print("| evaluations | size, MB | making it, s | opening it, s (median) | fastest | slowest |")
    print("|---|---|---|---|---|---|")
    numbers = len(text.encode()) / 1e6, making, statistics.median(times), times[0], times[-1]
    print(f"| {given.evaluations:,} |", *(f"{value:.2f} |" for value in numbers))


if __name__ == "__main__":
    main()
