"""Whether an error means that memory ran out: torch has several ways to say so."""

from __future__ import annotations

import torch

_SIGNS = (
    "out of memory",  # CUDA, HIP, MPS
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator",
    "can't allocate memory",
)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, is a failed allocation."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in str(error) for sign in _SIGNS):
            return True
        error = error.__cause__ or error.__context__
    return False
