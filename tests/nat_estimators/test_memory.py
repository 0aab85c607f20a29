"""Memory that runs out while a supernet learns: every size it may suffice for, every wording, and once for real."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch

from nat_core.errors import ResourceError
from nat_core.machine import out_of_memory
from nat_estimators.drawing import Lesson
from nat_estimators.schedule import Schedule
from nat_estimators.training import LEAST, Course, Training

BATCH, STEPS = 64, 1
SCHEDULE = Schedule(1, 1, BATCH, 0.05, 0.9, 4e-5, 0.0, 0.0, 0)
WORDINGS = {
    "torch": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cuda": lambda: RuntimeError("CUDA error: out of memory"),
    "cublas": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "cudnn": lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "cpu": lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory"),
    "hip": lambda: RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
    "mps": lambda: RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 1 MB)"),
    "python": MemoryError,
    "overflow": lambda: RuntimeError("Storage size calculation overflowed with sizes=[64, 3, 3000000000, 3000000000]"),
    "chained": lambda: chained(RuntimeError("CUDA error: out of memory")),
}


def chained(cause: Exception) -> RuntimeError:
    """An error that another one was raised for."""
    error = RuntimeError("the kernel failed")
    error.__cause__ = cause
    return error


class Net(torch.nn.Module):
    """A network that runs out of memory above a number of pictures."""

    def __init__(self, enough: int = BATCH, wording: str = "torch") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(12, 3)
        self.enough, self.wording = enough, wording

    def forward(self, images, _architecture):
        if len(images) > self.enough:
            error = WORDINGS[self.wording]()
            raise error
        return self.layer(images.flatten(1))


def learnt(net: Net) -> Training:
    """A step on random pictures, which are drawn from its own stream."""
    labels = torch.arange(BATCH) % 3

    def pictures(rows, _side, rng: np.random.Generator):
        return torch.from_numpy(rng.random((len(rows), 3, 2, 2), np.float32)), labels[rows]

    with torch.random.fork_rng():
        training = Training(net, SCHEDULE, torch.device("cpu"))
        course = Course([Lesson(((0,),))] * STEPS, lambda _: 2, pictures, BATCH, lambda _: 0.05, "test")
        training.follow(course, lambda *_: None)
    return training


@cache
def whole() -> Training:
    """Where memory suffices."""
    return learnt(Net())


@pytest.mark.promise(27)
@pytest.mark.parametrize("wording", WORDINGS)
def test_it_may_suffice_for_any_number_of_pictures(wording, cases):
    """What is computed at once is halved until it fits, and what is learnt is what the whole batch teaches."""
    for enough in range(LEAST, BATCH):
        training = learnt(Net(enough, wording))
        assert training.at_once == next(n for n in (32, 16, 8, 4, 2) if n <= enough)
        for p, q in zip(training.supernet.parameters(), whole().supernet.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7)
        cases["sizes that memory suffices for"] += 1


@pytest.mark.promise(27)
@pytest.mark.parametrize("wording", WORDINGS)
def test_where_it_suffices_for_none_that_is_said(wording):
    with pytest.raises(ResourceError, match="memory does not suffice to train on 2 pictures at once"):
        learnt(Net(1, wording))


def test_other_errors_are_not_taken_for_it():
    assert not out_of_memory(RuntimeError("shapes differ"))
    assert not out_of_memory(chained(RuntimeError("shapes differ")))


REAL = """
import logging, resource, sys
import numpy as np, torch
from nat_estimators.drawing import Lesson
from nat_estimators.schedule import Schedule
from nat_estimators.training import Course, Training

logging.basicConfig(stream=sys.stdout, format="%(message)s")
torch.set_num_threads(1)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.widen, self.last = torch.nn.Conv2d(3, 64, 1), torch.nn.Linear(64, 3)

    def forward(self, images, _architecture):
        return self.last(self.widen(images).relu().mean((2, 3)))  # 64 pictures: 256 MiB for a map, and again for it

def learnt(batch):
    def pictures(rows, _side, rng):
        return torch.from_numpy(rng.random((len(rows), 3, 128, 128), np.float32)), torch.arange(64)[rows] % 3

    training = Training(Net(), Schedule(1, 1, 64, 0.05, 0.9, 4e-5, 0.0, 0.0, 0), torch.device("cpu"))
    training.at_once = batch
    training.follow(Course([Lesson(((0,),))], lambda _: 128, pictures, 64, lambda _: 0.05, "test"), lambda *_: None)
    return training

expected = learnt(4)
used = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 2**20,) * 2)
found = learnt(64)
for p, q in zip(found.supernet.parameters(), expected.supernet.parameters()):
    torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)
print("at once", found.at_once)
"""


@pytest.mark.promise(27)
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="looks into procfs")  # noqa: PTH110
def test_a_process_that_really_has_no_more(cases):
    """A ceiling of the operating system: what fits is found, and teaches the same."""
    words = [sys.executable, "-W", "error", "-c", REAL]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    *warned, last = done.stdout.splitlines()
    assert int(last.removeprefix("at once ")) < 64
    assert all(line.startswith("out of memory in steps 0 … 0: now ") for line in warned)
    assert warned
    cases["ceilings of the operating system"] += 1
