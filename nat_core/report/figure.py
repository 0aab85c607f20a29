"""Figures for a paper, by matplotlib: equal runs give equal files, and text stays text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nat_core.durable import publish
from nat_core.errors import ConfigError, unknown
from nat_core.report.story import Story, shared_reference
from nat_core.report.words import label, unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "pdf", "png")
# Okabe and Ito's colours, which people with any colour vision tell apart; shapes say the same without colour.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_SHAPES = ("o", "s", "^", "D", "v", "P")
_STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.color": "#e1e5ea",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "nat",
}


def require_format(out: Path, formats: Sequence[str] = FORMATS) -> str:
    """The ending of a file. Raises `ConfigError` for one that nothing can be drawn as."""
    ending = out.suffix.lower().removeprefix(".")
    if ending not in formats:
        raise ConfigError(f"cannot draw {out}: its name has to end in {' or '.join(f'.{f}' for f in formats)}")
    return ending


def figure(kind: str, stories: Sequence[Story], x: str | None, y: str | None, width: float = 85.0) -> Figure:
    """A figure of some runs, `width` millimetres wide. Raises `ConfigError` for what the runs do not have."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    for story in stories:
        if not len(story.archive.measured):
            raise ConfigError(f"{story.name} has no measured architecture yet: there is nothing to draw")
    inches = width / 25.4
    with mpl.rc_context(_STYLE):
        drawn = Figure(figsize=(inches, inches * 0.75), layout="constrained")
        axes = drawn.subplots()
        if kind == "hypervolume":
            _hypervolume(axes, stories)
        elif kind == "predicted":
            _predicted(axes, stories, y)
        else:
            _fronts(axes, stories, x, y)
        if len(stories) > 1:
            axes.legend(axes.get_lines(), [_text(story.name) for story in stories])  # a name may begin with _
    return drawn


def save(drawn: Figure, out: Path) -> None:
    """Put a figure in place, whole or not at all. Nothing in it says when or where it was made."""
    import matplotlib as mpl

    ending = require_format(out)
    about: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[ending]
    if not out.parent.is_dir():
        raise ConfigError(f"cannot write {out}: there is no folder {out.parent}")

    def write(draft: Path) -> None:
        with mpl.rc_context(_STYLE):
            drawn.savefig(draft, format=ending, metadata=about, dpi=300)

    publish(out, write)


def _objective(story: Story, name: str | None, default: int) -> int:
    if name is None:
        return default
    if name not in story.names:
        raise ConfigError(unknown(f"objective of {story.name}", name, story.names))
    return story.names.index(name)


def _fronts(axes: Any, stories: Sequence[Story], x: str | None, y: str | None) -> None:
    """Front over archive; a staircase where two objectives are all there are."""
    first = stories[0].names
    names = first[_objective(stories[0], x, 1)], first[_objective(stories[0], y, 0)]
    if names[0] == names[1]:
        raise ConfigError(f"both axes would be {names[0]}: give two of {', '.join(first)} with --x and --y")
    for n, story in enumerate(stories):
        column, row = (_objective(story, name, 0) for name in names)
        colour, shape = _COLOURS[n % len(_COLOURS)], _SHAPES[n % len(_SHAPES)]
        measured, front = story.archive.measured.F, story.archive.front.F
        cloud = "#b8c0cc" if len(stories) == 1 else colour
        axes.scatter(measured[:, column], measured[:, row], s=5, color=cloud, alpha=0.6, linewidths=0)
        order = np.lexsort((-front[:, row], front[:, column]))
        staircase = len(story.names) == 2
        axes.plot(
            *(front[order, column], front[order, row]),
            marker=shape,
            linestyle="-" if staircase else "none",
            drawstyle="steps-post",
            linewidth=1.0,
            markersize=3.2,
            color=colour,
            label=_text(story.name),
        )
    _written(axes.xaxis, names[0])
    _written(axes.yaxis, names[1])


def _hypervolume(axes: Any, stories: Sequence[Story]) -> None:
    if any(story.names != stories[0].names for story in stories):
        each = "; ".join(f"{s.name} has {', '.join(s.names)}" for s in stories)
        raise ConfigError(f"a hypervolume needs runs with the same objectives: {each}")
    reference = shared_reference(stories)
    for n, story in enumerate(stories):
        counts = [s.architectures for s in story.summaries]
        style = {"color": _COLOURS[n % len(_COLOURS)], "marker": _SHAPES[n % len(_SHAPES)]}
        axes.plot(counts, story.volumes(reference), label=_text(story.name), linewidth=1.0, markersize=3.2, **style)
    axes.set_xlabel("architectures measured")
    axes.set_ylabel("hypervolume")


def _predicted(axes: Any, stories: Sequence[Story], name: str | None) -> None:
    if len(stories) > 1:
        raise ConfigError(f"predictions are drawn of one run at a time, and {len(stories)} are given")
    (story,) = stories
    costly = [name] if name else list(story.costly[:1])
    if not story.predictions or not costly:
        raise ConfigError(f"{story.name} has no predictions: nothing was proposed by a surrogate and measured")
    column = _objective(story, costly[0], 0)
    predicted = np.array([p.predicted[column] for p in story.predictions])
    measured = np.array([p.measured[column] for p in story.predictions])
    low, high = min(predicted.min(), measured.min()), max(predicted.max(), measured.max())
    axes.plot([low, high], [low, high], "--", color="#56606c", linewidth=0.8)
    axes.plot(predicted, measured, "o", color=_COLOURS[0], markersize=3.2)
    _written(axes.xaxis, costly[0], "predicted ")
    _written(axes.yaxis, costly[0], "measured ")


def write_ticks(axis: Any, name: str) -> None:
    """On an axis of matplotlib, per cent for an error, and a count with its prefix."""
    from matplotlib.ticker import EngFormatter, PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0, symbol=" %") if unit(name) == "%" else EngFormatter())


def _written(axis: Any, name: str, before: str = "") -> None:
    """Ticks and label."""
    counted = unit(name)
    write_ticks(axis, name)
    axis.set_label_text(_text(f"{before}{label(name)}" + (f" ({counted})" if counted not in {"", "%"} else "")))


def _text(text: str) -> str:
    """Text that matplotlib shows as it is, and does not read as mathematics."""
    return text.replace("$", r"\$")
