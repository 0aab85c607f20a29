"""The tracker `tensorboard`: event files in a folder, by torch's writer.

An iteration is written as a whole, with the scalar `archive/measured` last. One without it was cut short: a process
that goes on declares everything from there on void, as TensorBoard provides for, and writes it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nat_core.contracts import TrackedIteration
from nat_core.extras import needed
from nat_trackers.drawing import figure
from nat_trackers.following import table

_LAST = "archive/measured"
_PARAMETERS = "run/parameters"


class TensorBoard:
    """Curves, the front as text and as a picture, and the run's parameters."""

    def __init__(self, folder: str | None) -> None:
        needed("tensorboard", "the tracker tensorboard", "tensorboard")
        self.folder = folder
        self._writer: Any = None

    def begin(self, folder: Path, name: str, parameters: Mapping[str, str]) -> list[int]:
        """The iterations that the event files of a run hold as a whole."""
        place = folder / "tensorboard" if self.folder is None else Path(self.folder).expanduser() / name
        self._close()
        steps, begun = _written(place)
        done = [step for step in sorted(steps) if _LAST in steps[step]]
        first = next((step for step in range(len(steps) + 1) if step not in done), 0)
        done = [step for step in done if step < first]
        self._writer = needed("torch.utils.tensorboard", "the tracker tensorboard", "tensorboard").SummaryWriter(
            str(place), purge_step=first if begun else None
        )
        if not begun or first == 0:
            self._writer.add_text(_PARAMETERS, _listed(parameters), 0)
            self._writer.flush()
        return done

    def note(self, found: TrackedIteration) -> None:
        """Write an iteration, and wait until it is in the file."""
        writer, step = self._writer, found.iteration
        if len(found.front):
            writer.add_text("front/architectures", table(found.names, found.architectures, found.front), step)
            writer.add_image("front/picture", _pixels(found), step, dataformats="HWC")
        for tag, value in sorted(found.scalars.items(), key=lambda item: item[0] == _LAST):
            writer.add_scalar(tag, value, step)
        writer.flush()

    def finish(self) -> None:
        """Close the file."""
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _written(place: Path) -> tuple[dict[int, set[str]], bool]:
    """The tags of every step that the event files of a folder hold, as TensorBoard would show them."""
    steps: dict[int, set[str]] = {}
    files = sorted(place.glob("events.out.tfevents.*"))
    for event in _events(files):
        if event.HasField("session_log"):
            steps = {step: tags for step, tags in steps.items() if step < event.step}
        for value in event.summary.value:
            steps.setdefault(int(event.step), set()).add(value.tag)
    return steps, bool(files)


def _events(files: list[Path]) -> Iterator[Any]:
    loader = needed(
        "tensorboard.backend.event_processing.event_file_loader", "the tracker tensorboard", "tensorboard"
    ).LegacyEventFileLoader
    for file in files:
        yield from loader(str(file)).Load()


def _pixels(found: TrackedIteration) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The picture of a front, (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure(found))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3]


def _listed(parameters: Mapping[str, str]) -> str:
    """Parameters as a table in Markdown."""
    rows = (f"| {name} | `{value.replace('|', '/')}` |" for name, value in parameters.items())
    return "\n".join(["| parameter | value |", "| --- | --- |", *rows])
