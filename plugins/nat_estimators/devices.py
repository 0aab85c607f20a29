"""Where to compute, by the word that an option has for it, and with how many threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from nat_core.errors import ConfigError


def device_named(name: str, part: str) -> torch.device:
    """`cpu`, `cuda`, or `auto`: cuda where there is one. Raises `ConfigError` for one that cannot be used here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ConfigError(
            f"{part}.device is {name!r}, which cannot be used here: {' '.join(str(error).split())}"
        ) from None
    return device


@contextlib.contextmanager
def threads_of(wanted: int) -> Iterator[None]:
    """Compute with so many threads inside; 0: with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
