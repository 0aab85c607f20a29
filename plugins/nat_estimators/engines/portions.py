"""A batch in portions whose maps fit the processor's caches: what is at hand need not be fetched.

Each thread computes portions of its own. Threads that share a portion wait for each other at every layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]
Run = Callable[[Array], Array]  # pictures (n, 3, h, w) → logits (n, n_classes)


def portion(images: Tensor, pixels: int, threads: int = 1) -> int:
    """How many pictures of a batch (n, 3, h, w) a portion has: of equal ones, of so many pixels at most, the largest.

    As many portions for each of the threads, as far as there are pictures.
    """
    most = max(pixels // math.prod(images.shape[2:]), 1)
    portions = math.ceil(max(math.ceil(len(images) / most), 1) / threads) * threads
    return max(math.ceil(len(images) / portions), 1)


def in_portions(runs: Sequence[Run], size: int, *, padded: bool = False) -> Callable[[Tensor], Tensor]:
    """What gives the logits (n, n_classes) of any number of pictures, by those that compute a portion's: one a thread.

    `padded` where they take nothing smaller: the last portion is filled with zeros then.
    """
    idle = SimpleQueue[Run]()
    for run in runs:
        idle.put(run)

    def logits(part: Array) -> Array:
        missing = size - len(part) if padded else 0
        whole = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)]) if missing else part
        run = idle.get()
        try:
            return run(whole)[: len(part)]
        finally:
            idle.put(run)

    def forward(images: Tensor) -> Tensor:
        array = images.contiguous(memory_format=torch.contiguous_format).numpy()
        parts = [array[start : start + size] for start in range(0, max(len(array), 1), size)]
        threads = min(len(runs), len(parts))
        if threads == 1:
            return torch.from_numpy(np.concatenate([*map(logits, parts)]))
        with ThreadPoolExecutor(threads) as pool:
            return torch.from_numpy(np.concatenate([*pool.map(logits, parts)]))

    return forward
