"""Progressive shrinking: kernels become elastic first, then depths, then expansions (Cai et al., 2020, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from nat_core.encoding import Encodings

if TYPE_CHECKING:
    from nat_mbv3.space import MobileNetV3Space


def phases(space: MobileNetV3Space) -> Iterator[tuple[str, Callable[[int, np.random.Generator], Encodings]]]:
    """A name, and what samples rows of the space: all kernels at once, depths and expansions one choice at a time."""
    part = replace(space, kernels=space.kernels[-1:], depths=space.depths[-1:], expands=space.expands[-1:])
    if len(space.kernels) > 1:
        part = replace(part, kernels=space.kernels)
        yield "kernels", partial(_sample, space, part)
    for i in reversed(range(len(space.depths) - 1)):
        part = replace(part, depths=space.depths[i:])
        yield f"depths from {space.depths[i]}", partial(_sample, space, part)
    for i in reversed(range(len(space.expands) - 1)):
        part = replace(part, expands=space.expands[i:])
        yield f"expansions from {space.expands[i]}", partial(_sample, space, part)


def _sample(space: MobileNetV3Space, part: MobileNetV3Space, n: int, rng: np.random.Generator) -> Encodings:
    """Rows of a part, in the choices of the whole, (n, 22)."""
    return space.widened(part.sample(n, rng), part)
