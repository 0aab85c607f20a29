"""How long a supernet learns, how fast, and by which rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nat_core.errors import ConfigError, unknown

DRAWS = ("marginals", "archive")
PRECISIONS = ("fp32", "bf16", "fp16")


def require(name: str, value: float, *, at_least: float, at_most: float = math.inf, part: str = "top1_error") -> None:
    """Raise `ConfigError` for an option that is outside its bounds, or no number."""
    if not at_least <= value <= at_most or math.isinf(value):
        most = "" if math.isinf(at_most) else f" and at most {at_most}"
        raise ConfigError(f"{part}.{name} is {value}: it has to be at least {at_least}{most}")


def require_one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Raise `ConfigError` for an option of top1_error that is no known word."""
    if value not in known:
        raise ConfigError(f"top1_error.{name}: {unknown('word', value, known)}")


@dataclass(frozen=True)
class Recipe:
    """What is done to training pictures beyond a random crop and a mirror; all zero: nothing."""

    randaugment: int = 0  # magnitude of two operations on each picture, 0 … 30 (Cubuk et al., 2020)
    mixup: float = 0.0  # alpha (Zhang et al., 2018)
    cutmix: float = 0.0  # alpha (Yun et al., 2019)
    mixed: float = 0.5  # share of the steps whose pictures are mixed, by either

    def __post_init__(self) -> None:
        require("randaugment", self.randaugment, at_least=0, at_most=30)
        require("mixup", self.mixup, at_least=0)
        require("cutmix", self.cutmix, at_least=0)
        require("mixed", self.mixed, at_least=0, at_most=1)


@dataclass(frozen=True)
class Schedule:
    """How the supernet learns. Epochs are counted in training images seen, one batch of them a step."""

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
    draw: str = "marginals"
    sandwich: int = 0
    ema: float = 0.0
    precision: str = "fp32"
    rollbacks: int = 3
    recipe: Recipe = Recipe()

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
        require_one_of("draw", self.draw, DRAWS)
        require("sandwich", self.sandwich, at_least=0)
        require("ema", self.ema, at_least=0, at_most=1)
        require_one_of("training_precision", self.precision, PRECISIONS)
        require("rollbacks", self.rollbacks, at_least=0)

    def steps(self, iteration: int, n_images: int) -> int:
        """Steps in the adaptation of one iteration."""
        epochs = self.warmup_epochs if iteration == 0 else self.epochs
        return epochs * max(n_images // self.batch_size, 1)

    def rate(self, iteration: int, step: int, iterations: int, n_images: int) -> float:
        """The learning rate of a step: a short rise at the very beginning, then one cosine to 0 over the run."""
        before = sum(self.steps(i, n_images) for i in range(iteration)) + step
        return self.learning_rate * share(before, sum(self.steps(i, n_images) for i in range(iterations + 1)))


def share(step: int, total: int) -> float:
    """The part of the learning rate that step 0 … `total` - 1 has: 30 steps of rise into one cosine to 0."""
    return min((step + 1) / min(30, total), 1.0) * (1 + math.cos(math.pi * step / total)) / 2
