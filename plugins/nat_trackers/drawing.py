"""The front of an iteration as a picture, small enough for the page of a tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nat_core.contracts import TrackedIteration
from nat_core.report.figure import write_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(found: TrackedIteration) -> Figure:
    """The first objective against each of the others: what was measured, and the front on top of it."""
    from matplotlib.figure import Figure

    first, *others = found.names
    drawn = Figure(figsize=(4.8 * len(others), 3.6), dpi=100, layout="constrained")
    for axis, name in zip(drawn.subplots(1, len(others), squeeze=False)[0], others, strict=True):
        column = found.names.index(name)
        axis.scatter(found.measured[:, column], found.measured[:, 0], s=16, color="#b8c0cc", label="measured")
        axis.scatter(found.front[:, column], found.front[:, 0], s=26, color="#0072b2", label="Pareto front")
        for ticks, objective in ((axis.xaxis, name), (axis.yaxis, first)):
            write_ticks(ticks, objective)
        axis.set_xlabel(f"{name} (lower is better)")
        axis.set_ylabel(f"{first} (lower is better)")
        axis.grid(alpha=0.25)
        axis.legend(frameon=False)
    drawn.suptitle(f"iteration {found.iteration}: {len(found.measured)} architectures", fontsize=10)
    return drawn
