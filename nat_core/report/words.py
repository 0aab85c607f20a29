"""What objectives are called, and what they are counted in, where a person reads them."""

from __future__ import annotations

import re

_UNITS = {"latency": "ms", "measured": "ms", "memory": "bytes", "ms": "ms", "bytes": "bytes"}
_WORDS = {"macs": "MACs", "params": "parameters"}


def label(name: str) -> str:
    """`top-1 error` for `top1_error`, `latency on note10` for `latency_ms@note10`: its unit is said by `unit`."""
    stem, _, instance = name.partition("@")
    plain = re.sub(r"_(ms|bytes)$", "", stem)
    words = _WORDS.get(plain, re.sub(r"^top(\d+)_", r"top-\1 ", plain).replace("_", " "))
    return f"{words} on {instance}" if instance else words


def per_cent(share: float, digits: int = 2) -> str:
    """`4.46 %` for 0.0446."""
    return f"{100 * share:.{digits}f} %"


def unit(name: str) -> str:
    """What a value is counted in: `%` for an error, which is 0 … 1; empty for a plain number."""
    stem = name.partition("@")[0]
    if stem.endswith("_error"):
        return "%"
    return _UNITS.get(stem) or _UNITS.get(stem.rpartition("_")[2], "")
