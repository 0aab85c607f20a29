"""Training a supernet before any search: by sandwiches from the first epoch, or by progressive shrinking.

An epoch is an adaptation to the whole space instead of an archive. The momentum of SGD begins anew in each, so that the
weights are the whole state, and a training can go on from any epoch; within one, a checkpoint holds the rest too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nat_core.contracts import Checkpoint, Progress, ShrinkingSpace, SupernetSpace
from nat_core.encoding import Architecture, Encodings, as_architectures, as_encodings
from nat_core.errors import ConfigError
from nat_core.seeding import rng
from nat_estimators.accuracy import Top1Error
from nat_estimators.augmentation import Augmenter
from nat_estimators.drawing import RESOLUTION, Lesson, largest_alike, like, sandwiches
from nat_estimators.schedule import require, share
from nat_estimators.training import Course, Training

Sample = Callable[[int, np.random.Generator], Encodings]
Teach = Callable[[list[Architecture], SupernetSpace], Sequence[Lesson]]  # rows of all steps → a lesson a step


@dataclass(frozen=True)
class Phase:
    """Epochs over which the learning rate falls once."""

    name: str
    epochs: int
    sample: Sample
    teach: Teach
    rows: int  # that a step is taught with
    pace: float = 1.0  # of the learning rate


class SupernetTraining:
    """A pretrainer: phases of epochs on the supernet of an estimator, which measures and keeps it."""

    def __init__(self, estimator: Top1Error, phases: Sequence[Phase]) -> None:
        self.estimator = estimator
        self.space = estimator.space
        self.phases = [phase for phase in phases if phase.epochs]
        if not self.phases:
            raise ConfigError("pretraining needs one epoch at least, and every phase has none")

    @property
    def epochs(self) -> int:
        """Of all phases."""
        return sum(phase.epochs for phase in self.phases)

    def phase(self, epoch: int) -> str:
        """The name of the phase that an epoch belongs to."""
        return self._place(epoch)[0].name

    def _place(self, epoch: int) -> tuple[Phase, int]:
        """The phase of an epoch, and the epoch's number in it."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase, epoch
            epoch -= phase.epochs
        raise IndexError(epoch)

    def train(self, epoch: int, progress: Progress) -> float:
        """Train for an epoch; the mean loss."""
        return self._train(epoch, progress)

    def train_resumably(self, epoch: int, progress: Progress, checkpoint: Checkpoint) -> float:
        """As `train`, from what the checkpoint holds."""
        return self._train(epoch, progress, checkpoint)

    def _train(self, epoch: int, progress: Progress, checkpoint: Checkpoint | None = None) -> float:
        (phase, within), of, schedule = self._place(epoch), self.estimator, self.estimator.schedule
        purpose, n = f"pretrain {epoch}", len(of.train)
        steps = max(n // schedule.batch_size, 1)
        rows = as_architectures(phase.sample(steps * phase.rows, rng(schedule.seed, purpose)))
        top = schedule.learning_rate * phase.pace
        course = Course(
            lessons=list(phase.teach(rows, self.space)),
            side=lambda architecture: self.space.input_shape(architecture)[1],
            pictures=Augmenter(of.train, of.data.augmentation, schedule.recipe, of.train.n_classes),
            n_images=n,
            rate=lambda step: top * share(within * steps + step, phase.epochs * steps),
            purpose=purpose,
        )
        with of._threads():  # noqa: SLF001 - of one package
            (loss,) = Training(of.supernet, schedule, of.device).follow(course, progress, checkpoint)
        return loss

    def measure(self) -> Mapping[str, float]:
        """The errors of the largest and the smallest network of all widths, at the largest resolution."""
        n = len(self.space.variables)
        top = as_encodings([[len(variable.choices) - 1 for variable in self.space.variables]], n)
        (largest,) = as_architectures(self.space.canonicalize(top))
        corners = {"largest": largest, "smallest": like(self.space, (0,) * n, largest, {RESOLUTION})}
        found = self.estimator(as_encodings(list(corners.values()), n))
        return {name: m.value for name, m in zip(corners, found, strict=True) if not m.reason}

    def save(self, file: Path) -> None:
        """Write the supernet as safetensors."""
        self.estimator.save(file)

    def load(self, file: Path) -> None:
        """Read what `save` wrote."""
        self.estimator.load(file)


def sandwich_phases(space: SupernetSpace, epochs: int, networks: int, distillation: float) -> list[Phase]:
    """One phase by the sandwich rule (Yu et al., "BigNAS", 2020): the largest network teaches in place."""
    require("epochs", epochs, at_least=1, part="sandwich")
    require("networks", networks, at_least=1, part="sandwich")

    def teach(rows: list[Architecture], space: SupernetSpace) -> list[Lesson]:
        return list(sandwiches(rows, space, networks, taught=distillation > 0))

    return [Phase("sandwich", epochs, space.sample, teach, networks)]


def shrinking_phases(
    space: SupernetSpace, largest_epochs: int, phase_epochs: int, networks: int, pace: float, distillation: float
) -> list[Phase]:
    """The largest network alone, then what the space says, taught by the largest one as it then is."""
    for name, value, least in (
        ("largest_epochs", largest_epochs, 0),
        ("phase_epochs", phase_epochs, 0),
        ("networks", networks, 1),
        ("pace", pace, 0),
    ):
        require(name, value, at_least=least, part="progressive")
    if not isinstance(space, ShrinkingSpace):
        raise ConfigError(
            f"progressive shrinking needs a space that says what shrinks in which order, and {type(space).__name__} "
            "does not: train it with --method sandwich"
        )

    def alone(rows: list[Architecture], space: SupernetSpace) -> list[Lesson]:
        return [Lesson((largest_alike(space, row),)) for row in rows]

    def together(rows: list[Architecture], space: SupernetSpace) -> list[Lesson]:
        groups = [rows[i : i + networks] for i in range(0, len(rows), networks)]
        return [_taught(group, space, taught=distillation > 0) for group in groups]

    later = [Phase(name, phase_epochs, sample, together, networks, pace) for name, sample in space.shrinking()]
    return [Phase("largest network", largest_epochs, space.sample, alone, 1), *later]


def _taught(rows: list[Architecture], space: SupernetSpace, *, taught: bool) -> Lesson:
    """Networks for the pictures of the first of them."""
    networks = dict.fromkeys(like(space, row, rows[0]) for row in rows)
    return Lesson(tuple(networks), largest_alike(space, rows[0]) if taught else None)
