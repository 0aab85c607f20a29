"""The run as a page, `report.html`, written anew after every iteration. A run goes on without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nat_core import hookimpl

if TYPE_CHECKING:
    from nat_core.archive import Archive
    from nat_core.run import Run


@hookimpl
def on_iteration(run: Run, archive: Archive) -> None:
    """Write `report.html` into the run folder, where that is not as far yet."""
    from nat_core.report.page import PAGE, told
    from nat_report.page import PACE, newest, write_page

    if PACE.allows() and told(run.folder / PAGE) < newest(archive):  # what goes on passes through what is told already
        with PACE.noted():
            write_page(run)


@hookimpl
def on_finish(run: Run) -> None:
    """Write the page of the whole run, tests and all."""
    from nat_report.page import write_page

    write_page(run)
