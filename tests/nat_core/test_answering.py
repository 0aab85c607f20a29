"""What is answered of an architecture when an estimator fails."""

from __future__ import annotations

import pytest

from nat_core.answering import answer
from nat_core.contracts import Task
from nat_core.encoding import Variable
from nat_core.problem import Problem


class Space:
    variables = (Variable("v", (0, 1)),)

    def canonicalize(self, X):
        return X


class OutOfMemoryError(RuntimeError):
    """As PyTorch calls it, without a word."""


@pytest.mark.parametrize(
    ("error", "exhausted"),
    [
        (MemoryError(), True),
        (OutOfMemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: not enough"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("no memory of it"), False),
    ],
)
@pytest.mark.parametrize("chained", [False, True])
def test_memory_that_runs_out_is_recognised_in_every_wording(error, exhausted, chained):
    """So that workers try the network again alone: any other failure is final."""

    def estimator(_X):
        if chained:
            raise RuntimeError("the kernel failed") from error
        raise error

    found = answer(Problem(Space(), ("error",), {"error": estimator}, {}, ()), Task((0,), {}))
    assert found.exhausted == exhausted
    assert found.reasons.keys() == {"error"}
