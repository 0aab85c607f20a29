"""Which picture goes to which split: decided by its content and a seed, never by file order or by other files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from nat_core.errors import ConfigError


def carve(contents: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """The split of every picture of one class, given the hashes of their contents; what is not carved stays `train`.

    Pictures are ranked by a hash of seed and content, so a picture that comes or goes moves others by rounding alone,
    and copies of a picture never part. Each share is of the distinct pictures, and at least one.
    """
    ranked = sorted(set(contents), key=lambda content: _rank(content, seed))
    split = dict.fromkeys(ranked, "train")
    start = 0
    for name, share in shares.items():
        stop = start + max(1, round(share * len(ranked)))
        split.update(dict.fromkeys(ranked[start:stop], name))
        start = stop
    return [split[content] for content in contents]


def check_seed(split_seed: int) -> None:
    """Negative seeds are refused everywhere in nat."""
    if split_seed < 0:
        raise ConfigError(f"split_seed={split_seed} is negative: any whole number from 0 on is accepted.")


def _rank(content: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {content}".encode()).digest()
