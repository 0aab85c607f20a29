"""Memory that one layer frees is there for the next."""

from __future__ import annotations

import contextlib
import ctypes
from functools import lru_cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST = 1 << 30  # bytes


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Have glibc keep large blocks instead of giving each back to the system. Whether it is glibc, and will.

    By default every map of more than 32 MB is fresh memory, which the system clears page by page: at batches of 128
    pictures of 192 pixels that is about half of the time. What a process holds stays at its peak in exchange.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library, or none
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
    return False
