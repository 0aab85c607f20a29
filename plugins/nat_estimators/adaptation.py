"""Adapting a supernet to data and archive: in each step one architecture, or a sandwich of several, learns a batch.

Each variable of the archive is taken as an independent categorical distribution, and every step draws one architecture
from their product (Lu et al., "Neural Architecture Transfer", 2021); or the archive's own architectures are trained.
One cosine runs over the whole search.
"""

from __future__ import annotations

from torch import nn

from nat_core.contracts import Augmentation, Checkpoint, Progress, SupernetSpace
from nat_core.encoding import Encodings
from nat_core.seeding import rng
from nat_estimators.augmentation import Augmenter
from nat_estimators.batches import Batches
from nat_estimators.drawing import lessons
from nat_estimators.schedule import Schedule, require
from nat_estimators.training import Course, Training

__all__ = ["Schedule", "adapt", "require"]


def adapt(
    supernet: nn.Module,
    space: SupernetSpace,
    train: Batches,
    how: Augmentation,
    X: Encodings,
    schedule: Schedule,
    iteration: int,
    iterations: int,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """Train the supernet in place for one iteration; the mean loss of each epoch.

    The same weights, X and iteration give the same result.

    With an average of the weights, the average is what is measured and saved, and what the next iteration begins from:
    so the weights are the whole state, as without it. In the middle of an iteration they are not: a checkpoint
    holds the rest too.
    """
    purpose = f"adapt {iteration}"
    steps, alone = schedule.steps(iteration, len(train)), schedule.alone(iteration, len(train))
    course = Course(
        lessons=lessons(X, space, schedule, steps, rng(schedule.seed, purpose), alone),
        side=lambda architecture: schedule.side(space.input_shape(architecture)[1]),
        pictures=Augmenter(train, how, schedule.recipe, train.n_classes),
        n_images=len(train),
        rate=lambda step: schedule.rate(iteration, step, iterations, len(train)),
        purpose=purpose,
    )
    return Training(supernet, schedule, train.labels.device).follow(course, progress, checkpoint)
