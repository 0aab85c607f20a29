"""Training pictures by a recipe, and the same for the same generator: torchvision's transforms draw inside a fork."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nat_core.contracts import Augmentation
from nat_estimators.batches import Batches
from nat_estimators.schedule import Recipe


@dataclass(frozen=True)
class Augmenter:
    """A batch of a split: cropped, mirrored, and by the recipe changed in colour and shape, and mixed."""

    train: Batches
    how: Augmentation
    recipe: Recipe
    n_classes: int

    def __call__(self, rows: Tensor, side: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Pictures (n, 3, side, side) in channels-last, and labels: classes (n,), or shares (n, n_classes)."""
        images, labels = self.train.cropped(rows, side, self.how, rng), self.train.labels[rows]
        if self.recipe.randaugment:
            images = self._changed(images, rng)
        images = self.train.normalised(images).contiguous(memory_format=torch.channels_last)
        alphas = [alpha for alpha in (self.recipe.mixup, self.recipe.cutmix) if alpha]
        if not alphas or rng.random() >= self.recipe.mixed:
            return images, labels
        from torchvision.transforms import v2  # a second to import, for who asks for it

        mixing = v2.MixUp if self.recipe.mixup and (len(alphas) == 1 or rng.random() < 0.5) else v2.CutMix
        alpha = self.recipe.mixup if mixing is v2.MixUp else self.recipe.cutmix
        with seeded(rng):
            images, labels = mixing(alpha=alpha, num_classes=self.n_classes)(images, labels)
        return images.contiguous(memory_format=torch.channels_last), labels

    def _changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """RandAugment, each picture by operations of its own; what they uncover has the mean colour."""
        from torchvision.transforms import v2

        fill = (self.train.mean.flatten() * 255).tolist()
        change = v2.RandAugment(magnitude=self.recipe.randaugment, fill=fill)
        with seeded(rng):
            changed = [change(image) for image in images.round().clamp(0, 255).to(torch.uint8)]
        return torch.stack(changed).float()


@contextlib.contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Have torch draw from a stream of this generator inside, and as before outside."""
    seed = int(rng.integers(2**63))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU as well
        yield
