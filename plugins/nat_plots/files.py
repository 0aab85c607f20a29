"""The archive as a table for a spreadsheet, and as a picture. Derived: both may be deleted."""

from __future__ import annotations

import csv
import io
import re
import warnings
from pathlib import Path

from nat_core.archive import Archive
from nat_core.durable import publish, publish_text
from nat_core.report.figure import write_ticks
from nat_core.run import Run


def write_table(run: Run, archive: Archive) -> None:
    """Every measured architecture with its objectives; `front` is 1 for those on the front."""
    on_front = archive.front.architectures
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["architecture", *archive.names, "front"])
    for e in archive.measured:
        name = run.space.describe(e.architecture)["architecture"]
        writer.writerow([name, *(e.objectives or ()), int(e.architecture in on_front)])
    publish_text(run.folder / "front.csv", text.getvalue())


def iteration(archive: Archive) -> int:
    """The newest iteration that measured something, −1 for none."""
    return max((e.iteration for e in archive), default=-1)


def drawn(run: Run) -> int:
    """The iteration that the picture in the run folder shows, −1 without one."""
    file = run.folder / "front.svg"
    try:
        said = re.search(rb"<dc:description>iteration (\d+)<", file.read_bytes())
    except FileNotFoundError:
        return -1
    return int(said[1]) if said else -1


def draw_front(run: Run, archive: Archive) -> None:
    """The first objective against each of the others, the front on top of the archive.

    The front of two objectives is a staircase: with so much of the second, this is the least of the first that was
    measured. A straight line between two points would promise networks there.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    first, *others = archive.names
    figure = Figure(figsize=(5.5 * len(others), 4.2), layout="constrained")
    axes = figure.subplots(1, len(others), squeeze=False)[0]
    measured, front = archive.measured.F, archive.front.F
    for axis, name in zip(axes, others, strict=True):
        column = archive.names.index(name)
        axis.scatter(measured[:, column], measured[:, 0], s=18, color="#b8c0cc", label="measured")
        order = front[:, column].argsort()
        style = "o-" if len(others) == 1 else "o"
        x, y = front[order, column], front[order, 0]
        axis.plot(x, y, style, drawstyle="steps-post", color="#0b6bcb", markersize=5, label="Pareto front")
        for ticks, objective in ((axis.xaxis, name), (axis.yaxis, first)):
            write_ticks(ticks, objective)
        axis.set_xlabel(f"{name} (lower is better)")
        axis.set_ylabel(f"{first} (lower is better)")
        axis.grid(alpha=0.25)
        axis.legend(frameon=False)
    title = f"{run.subject}: {len(archive.measured)} architectures"
    figure.suptitle(title, parse_math=False)  # a folder may be called $x$

    about = {"Date": None, "Title": str(run.subject), "Description": f"iteration {iteration(archive)}"}

    def save(file: Path) -> None:
        with mpl.rc_context({"svg.hashsalt": "nat"}), warnings.catch_warnings():
            # a folder may be called 日本, which the font may lack: a box in the title says so, each time it is drawn
            warnings.filterwarnings("ignore", r"Glyph \d+ \(.*\) missing from font", UserWarning)
            figure.savefig(file, format="svg", metadata=about)

    publish(run.folder / "front.svg", save)
