"""How long a supernet learns, how fast, and by which rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nat_core.errors import ConfigError, unknown

DRAWS = ("marginals", "archive")
PRECISIONS = ("fp32", "bf16", "fp16")
_BOUNDS = {
    "warmup_epochs": (0, math.inf),
    "epochs": (0, math.inf),
    "batch_size": (2, math.inf),
    "learning_rate": (0, math.inf),
    "momentum": (0, math.inf),
    "weight_decay": (0, math.inf),
    "label_smoothing": (0, 1),
    "distillation": (0, 1),
    "seed": (0, math.inf),
    "largest": (0, 1),
    "largest_first": (0, 1),
    "training_side": (0, 1),
    "whole_space": (0, 1),
    "sandwich": (0, math.inf),
    "ema": (0, 1),
    "rollbacks": (0, math.inf),
    "randaugment": (0, 30),
    "mixup": (0, math.inf),
    "cutmix": (0, math.inf),
    "mixed": (0, 1),
}


def require(name: str, value: float, *, at_least: float, at_most: float = math.inf, part: str = "top1_error") -> None:
    """Raise `ConfigError` for an option that is outside its bounds, or no number."""
    if not at_least <= value <= at_most or math.isinf(value):
        most = "" if math.isinf(at_most) else f" and at most {at_most}"
        raise ConfigError(f"{part}.{name} is {value}: it has to be at least {at_least}{most}")


def require_one_of(name: str, value: str, known: Sequence[str], part: str) -> None:
    """Raise `ConfigError` for an option that is no known word."""
    if value not in known:
        raise ConfigError(f"{part}.{name}: {unknown('word', value, known)}")


@dataclass(frozen=True)
class Recipe:
    """What is done to training pictures beyond a random crop and a mirror; all zero: nothing."""

    randaugment: int = 0  # magnitude of two operations on each picture, 0 … 30 (Cubuk et al., 2020)
    mixup: float = 0.0  # alpha (Zhang et al., 2018)
    cutmix: float = 0.0  # alpha (Yun et al., 2019)
    mixed: float = 0.5  # share of the steps whose pictures are mixed, by either


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
    largest_first: float = 0.0  # share of the warm-up
    training_side: float = 1.0  # of the side that a network is measured at
    whole_space: float = 0.0  # share of the drawn networks
    part: str = "top1_error"  # whose options these are, in a message

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self.recipe if hasattr(self.recipe, name) else self, name)
            require(name, value, at_least=least, at_most=most, part=self.part)
        require_one_of("draw", self.draw, DRAWS, self.part)
        require_one_of("training_precision", self.precision, PRECISIONS, self.part)

    def steps(self, iteration: int, n_images: int) -> int:
        """Steps in the adaptation of one iteration."""
        epochs = self.warmup_epochs if iteration == 0 else self.epochs
        return epochs * max(n_images // self.batch_size, 1)

    def alone(self, iteration: int, n_images: int) -> int:
        """Steps at the beginning of an iteration in which the largest network learns alone."""
        return round(self.largest_first * self.steps(iteration, n_images)) if iteration == 0 else 0

    def side(self, measured: int) -> int:
        """The side of the pictures that a network learns from, where it is measured at another: a multiple of 8.

        A random crop shows things larger than the whole picture does, so a network that is trained on smaller pictures
        than it is used on meets them at the size it knows, and learns more for the same compute (Touvron et al.,
        "Fixing the train-test resolution discrepancy", 2019).
        """
        if self.training_side == 1:
            return measured
        return min(max(8 * round(self.training_side * measured / 8), 8), measured)

    def rate(self, iteration: int, step: int, iterations: int, n_images: int) -> float:
        """The learning rate of a step: a short rise at the very beginning, then one cosine to 0 over the run."""
        before = sum(self.steps(i, n_images) for i in range(iteration)) + step
        return self.learning_rate * share(before, sum(self.steps(i, n_images) for i in range(iterations + 1)))


def share(step: int, total: int) -> float:
    """The part of the learning rate that step 0 … `total` - 1 has: 30 steps of rise into one cosine to 0."""
    return min((step + 1) / min(30, total), 1.0) * (1 + math.cos(math.pi * step / total)) / 2
