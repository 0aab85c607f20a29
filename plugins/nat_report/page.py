"""What a page is made of while a run goes on: its config and its journal, as `nat report` reads them later."""

from __future__ import annotations

from nat_core import config as configs
from nat_core import journal
from nat_core.archive import Archive
from nat_core.report.contents import run_contents
from nat_core.report.page import PAGE, render, write
from nat_core.report.story import Story
from nat_core.run import Run


def newest(archive: Archive) -> int:
    """The newest iteration that measured something, −1 for none."""
    return max((e.iteration for e in archive), default=-1)


def write_page(run: Run) -> None:
    """Put `report.html` in place. It is what `nat report` writes of the same folder, byte by byte."""
    config, tables = configs.reload(run.folder / "run.toml")
    records = journal.read(run.folder / "journal.jsonl")
    story = Story(run.folder.resolve().name, config, tables, run.space, records)
    write(run.folder / PAGE, render(run_contents(story)))
