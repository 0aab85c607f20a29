"""What this process may use of its machine, and whether it has used it up."""

from __future__ import annotations

import os

_SIGNS = (
    "out of memory",  # CUDA, HIP, MPS
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator",
    "can't allocate memory",
    "Storage size calculation overflowed",  # more than any machine can have
)


def cores() -> int:
    """The processor cores that this process may use: those it is bound to, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, is a failed allocation: torch has several ways to say so."""
    while error is not None:
        by_type = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's: not imported
        if by_type or any(sign in str(error) for sign in _SIGNS):
            return True
        error = error.__cause__ or error.__context__
    return False
