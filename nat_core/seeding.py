"""Random streams named by what they are for.

A stream depends on the seed of the run, its purpose and the iteration: never on what was drawn before. That is why a
run that is killed and resumed draws what an undisturbed run draws.
"""

from __future__ import annotations

import zlib

import numpy as np


def rng(seed: int, purpose: str, iteration: int = 0) -> np.random.Generator:
    """The generator for one purpose in one iteration of a run."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), iteration]))
