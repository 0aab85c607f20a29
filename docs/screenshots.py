"""The pictures of the report and the terminal in these pages, made from a run folder: python docs/screenshots.py RUN.

Needs a Chromium. The pictures are as the page is: light, dark, on a phone; the terminal's is what `nat front` prints.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console

from nat_core.cli.saved import saved_front
from nat_core.cli.stories import saved_story
from nat_core.report.contents import run_contents
from nat_core.report.page import render
from nat_core.report.terminal import front_table

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests" / "support"))

from browser import Browser, found  # noqa: E402 - it lies with the tests

VIEWS = {  # file → width and height in CSS pixels, colour scheme
    "report.png": (1180, 1140, "light"),
    "report-dark.png": (1180, 1140, "dark"),
    "report-phone.png": (360, 760, "light"),
}
COLOURS = 128  # of a picture: small files that look the same


def pictures(run: Path, out: Path) -> None:
    """The page in each view, what is to be seen without scrolling."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(render(run_contents(saved_story(run))), encoding="utf-8")
        with Browser(Path(folder) / "profile") as browser:
            for name, (width, height, scheme) in VIEWS.items():
                browser.size(width, height)
                browser.media(scheme=scheme)
                browser.open(page)
                browser.picture(out / name, whole=False)
                with Image.open(out / name) as picture:
                    picture.convert("RGB").quantize(COLOURS).save(out / name, optimize=True)


def terminal(run: Path, out: Path) -> None:
    """`nat front` as a picture of text, without the fonts that rich would have fetched."""
    saved = saved_front(run)
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=84, file=nowhere, force_terminal=True)
        console.print(f"$ nat front {run.name}", highlight=False)
        console.print(front_table(saved.summary, saved.space, saved.tested, run))
        text = console.export_svg(title="nat", unique_id="nat")
    text = re.sub(r"@font-face \{.*?\}\s*", "", text, flags=re.DOTALL)
    (out / "terminal.svg").write_text(text.replace("Fira Code", "ui-monospace, Menlo, Consolas"), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/screenshots.py RUN")
    if found() is None:
        sys.exit("no Chromium here: apt-get install chromium")
    folder = Path(sys.argv[1])
    pictures(folder, DOCS)
    terminal(folder, DOCS)
