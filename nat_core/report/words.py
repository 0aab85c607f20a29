"""What objectives are called, and what they are counted in, where a person reads them."""

from __future__ import annotations

import re

_UNITS = {"latency": "ms", "measured": "ms", "memory": "bytes", "ms": "ms", "bytes": "bytes"}
_WORDS = {"macs": "MACs", "params": "parameters"}


def label(name: str) -> str:
    """`top-1 error` for `top1_error`; a unit at the end of a name is said apart, by `unit`."""
    plain = re.sub(r"_(ms|bytes)$", "", name)
    return _WORDS.get(plain, re.sub(r"^top(\d+)_", r"top-\1 ", plain).replace("_", " "))


def unit(name: str) -> str:
    """What a value is counted in: `%` for an error, which is 0 … 1; empty for a plain number."""
    if name.endswith("_error"):
        return "%"
    return _UNITS.get(name.partition("@")[0]) or _UNITS.get(name.rpartition("_")[2], "")
