"""Where to compute, by the word that an option has for it, and with how many threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from nat_core.errors import ConfigError


def device_named(name: str, part: str) -> torch.device:
    """`cpu`, `cuda`, `cuda:1`, `mps`, or `auto`: cuda where there is one.

    Raises `ConfigError` for one that cannot be used here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:  # which lists every kind that PyTorch was ever built for
        raise _unusable(name, part, "PyTorch knows no such device") from None
    try:
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise _unusable(name, part, reason.rstrip(".")) from None
    return device


def _unusable(name: str, part: str, reason: str) -> ConfigError:
    """The refusal of a device, with those that are here."""
    here = ["auto", "cpu"]
    if torch.cuda.is_available():
        here += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        here.append("mps")
    return ConfigError(
        f"{part}.device is {name!r}, which cannot be used here ({reason}): accepted are {', '.join(here)}"
    )


@contextlib.contextmanager
def threads_of(wanted: int) -> Iterator[None]:
    """Compute with so many threads inside; 0: with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
