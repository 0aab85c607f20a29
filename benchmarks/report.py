"""The page of a run with 1,000 evaluations: its size, and how long a headless Chromium takes to open it.

python benchmarks/report.py [--opens 5]: the run is made up in the space mbv3 with three objectives; opening ends when
the page is loaded and two frames are drawn.
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

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--opens", type=int, default=5)
opens = parser.parse_args().opens
made = story(1000, 20, ("top1_error", "macs", "params"), MobileNetV3Space(resolutions=tuple(range(192, 257, 4))))
run_contents(made)  # imports, and what is asked once
start = time.perf_counter()
text = render(run_contents(made))
print(f"made in {time.perf_counter() - start:.2f} s, {len(text.encode()) / 1e6:.2f} MB")
if found() is None:
    sys.exit("no Chromium here: apt-get install chromium")
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "report.html"
    file.write_text(text, encoding="utf-8")
    with Browser(Path(folder) / "profile") as browser:
        times = sorted(browser.open(file) for _ in range(opens))
        assert browser.requests() == []
print(f"opened in {statistics.median(times):.2f} s ({times[0]:.2f} to {times[-1]:.2f} s over {opens} openings)")
