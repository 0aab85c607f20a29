"""Files drawn from an archive after every iteration: `front.csv`, `front.svg`. A run goes on without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nat_core import hookimpl

if TYPE_CHECKING:
    from nat_core.archive import Archive
    from nat_core.run import Run


@hookimpl
def on_iteration(run: Run, archive: Archive) -> None:
    """Write the archive into the run folder: `front.csv`, and `front.svg` where that is not as far yet."""
    from nat_plots.files import draw_front, drawn, iteration, write_table

    write_table(run, archive)
    if drawn(run) < iteration(archive):  # one that goes on passes through what is drawn already
        draw_front(run, archive)


@hookimpl
def on_finish(run: Run, archive: Archive) -> None:
    """Draw the final archive and its front as `front.svg` into the run folder."""
    from nat_plots.files import draw_front

    draw_front(run, archive)
