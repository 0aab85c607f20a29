"""Files drawn from an archive: `front.csv` after every iteration, `front.svg` when a run is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nat_core import hookimpl

if TYPE_CHECKING:
    from nat_core.archive import Archive
    from nat_core.run import Run


@hookimpl
def on_iteration(run: Run, archive: Archive) -> None:
    """Write the archive as `front.csv` into the run folder."""
    from nat_plots.files import write_table

    write_table(run, archive)


@hookimpl
def on_finish(run: Run, archive: Archive) -> None:
    """Draw the archive and its front as `front.svg` into the run folder."""
    from nat_plots.files import draw_front

    draw_front(run, archive)
