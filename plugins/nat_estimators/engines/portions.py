"""A batch in portions whose maps fit the processor's caches: what is at hand need not be fetched."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]


def portion(images: Tensor, pixels: int) -> int:
    """How many pictures of a batch (n, 3, h, w) a portion has, of so many pixels at most: in the fewest equal ones."""
    most = max(pixels // math.prod(images.shape[2:]), 1)
    portions = max(math.ceil(len(images) / most), 1)
    return max(math.ceil(len(images) / portions), 1)


def in_portions(run: Callable[[Array], Array], size: int, *, padded: bool = False) -> Callable[[Tensor], Tensor]:
    """What gives the logits (n, n_classes) of any number of pictures, by something that computes those of a portion.

    `padded` where that takes nothing smaller: the last portion is filled with zeros then.
    """

    def forward(images: Tensor) -> Tensor:
        array = images.contiguous(memory_format=torch.contiguous_format).numpy()
        logits = []
        for start in range(0, max(len(array), 1), size):
            part = array[start : start + size]
            missing = size - len(part) if padded else 0
            whole = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)]) if missing else part
            logits.append(run(whole)[: len(part)])
        return torch.from_numpy(np.concatenate(logits))

    return forward
