"""Adapting a supernet to data and archive: one architecture a step, drawn from the archive's marginals.

Each variable of the archive is taken as an independent categorical distribution, and every step draws one architecture
from their product (Lu et al., "Neural Architecture Transfer", 2021). One cosine runs over the whole search.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nat_core.contracts import Augmentation, Progress, SupernetSpace
from nat_core.encoding import Architecture, Encodings, as_architectures, as_encodings
from nat_core.errors import ConfigError
from nat_core.seeding import rng
from nat_estimators.batches import Batches


@dataclass(frozen=True)
class Schedule:
    """How the supernet learns. Epochs are counted in training images seen, one architecture a step."""

    warmup_epochs: int
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    distillation: float
    seed: int
    largest: float = 0.0

    def __post_init__(self) -> None:
        require("warmup_epochs", self.warmup_epochs, at_least=0)
        require("epochs", self.epochs, at_least=0)
        require("batch_size", self.batch_size, at_least=2)
        require("learning_rate", self.learning_rate, at_least=0)
        require("momentum", self.momentum, at_least=0)
        require("weight_decay", self.weight_decay, at_least=0)
        require("label_smoothing", self.label_smoothing, at_least=0, at_most=1)
        require("distillation", self.distillation, at_least=0, at_most=1)
        require("seed", self.seed, at_least=0)
        require("largest", self.largest, at_least=0, at_most=1)

    def steps(self, iteration: int, n_images: int) -> int:
        """Steps in the adaptation of one iteration."""
        epochs = self.warmup_epochs if iteration == 0 else self.epochs
        return epochs * max(n_images // self.batch_size, 1)

    def rate(self, iteration: int, step: int, iterations: int, n_images: int) -> float:
        """The learning rate of a step: a short rise at the very beginning, then one cosine to 0 over the run."""
        before = sum(self.steps(i, n_images) for i in range(iteration)) + step
        total = sum(self.steps(i, n_images) for i in range(iterations + 1))
        rise = min((before + 1) / min(30, total), 1.0)
        return self.learning_rate * rise * (1 + math.cos(math.pi * before / total)) / 2


def require(name: str, value: float, *, at_least: float, at_most: float = math.inf) -> None:
    """Raise `ConfigError` for an option of top1_error that is outside its bounds, or no number."""
    if not at_least <= value <= at_most or math.isinf(value):
        most = "" if math.isinf(at_most) else f" and at most {at_most}"
        raise ConfigError(f"top1_error.{name} is {value}: it has to be at least {at_least}{most}")


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
) -> None:
    """Train the supernet in place for one iteration. The same weights, X and iteration give the same result."""
    stream = rng(schedule.seed, "adapt", iteration)
    n_steps = schedule.steps(iteration, len(train))
    optimizer = torch.optim.SGD(
        supernet.parameters(),
        lr=schedule.learning_rate,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
        nesterov=schedule.momentum > 0,
    )
    supernet.train()
    rows = shuffled(len(train), min(schedule.batch_size, len(train)), stream)
    for step, architecture in enumerate(drawn(X, space, n_steps, stream)):
        progress("adapt", step, n_steps)
        if schedule.largest and stream.random() < schedule.largest:
            architecture = _largest_alike(space, architecture)  # noqa: PLW2901 - what is drawn gives the resolution
        teacher = _largest_alike(space, architecture) if schedule.distillation else None
        batch = next(rows).to(train.labels.device)
        images = train.augmented(batch, space.input_shape(architecture)[1], how, stream)
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(iteration, step, iterations, len(train))
        loss_of(supernet, images, train.labels[batch], architecture, teacher, schedule).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    supernet.eval()


def loss_of(
    supernet: nn.Module,
    images: Tensor,
    labels: Tensor,
    architecture: Architecture,
    teacher: Architecture | None,
    schedule: Schedule,
) -> Tensor:
    """Cross-entropy with the labels, and with the teacher's output in the share that distillation has."""
    images = images.contiguous(memory_format=torch.channels_last)
    logits = supernet(images, architecture)
    hard = functional.cross_entropy(logits, labels, label_smoothing=schedule.label_smoothing)
    if teacher is None:
        return hard
    with torch.no_grad():
        target = supernet(images, teacher).softmax(1)
    soft = functional.cross_entropy(logits, target)
    return (1 - schedule.distillation) * hard + schedule.distillation * soft


def drawn(X: Encodings, space: SupernetSpace, n: int, rng: np.random.Generator) -> list[Architecture]:
    """`n` canonical architectures from the marginals of X: each variable drawn from its own column."""
    picked = rng.integers(0, len(X), size=(n, X.shape[1]))
    return as_architectures(space.canonicalize(X[picked, np.arange(X.shape[1])]))


def shuffled(n: int, batch_size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Row numbers, epoch after epoch in new orders, in batches of one size; an epoch's remainder is left out."""
    while True:
        order = torch.from_numpy(rng.permutation(n))
        yield from torch.split(order[: n // batch_size * batch_size], batch_size)


def _largest_alike(space: SupernetSpace, architecture: Architecture) -> Architecture:
    """The largest network for the same images, in the same of several supernets where the space has a width for each.

    Another width's network would share no weights with this one, so what is learnt here would not reach the teacher.
    """
    chosen = [
        choice if variable.name in {"resolution", "width"} else len(variable.choices) - 1
        for choice, variable in zip(architecture, space.variables, strict=True)
    ]
    return as_architectures(space.canonicalize(as_encodings([chosen], len(chosen))))[0]
