"""Imports packages in a process of their own and says what came of it: `python -m nat_core.doctor.probe torch`.

A package that is broken may end the process that imports it, or never come back from it. This one may be spared.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import signal
import subprocess
import sys
from typing import Any

PATIENCE = 120.0  # seconds for an import: a cold disk is slow


def ask(what: str) -> dict[str, Any]:
    """What `main` prints of a word, from a process of its own; `error` where that process did not live to say it."""
    command = [sys.executable, "-m", "nat_core.doctor.probe", what]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)  # noqa: S603
    except subprocess.TimeoutExpired:
        return {"error": f"importing it took longer than {PATIENCE:.0f} s"}
    if done.returncode < 0:
        return {"error": f"importing it ended the process with {signal.Signals(-done.returncode).name}"}
    with contextlib.suppress(ValueError, IndexError):
        answer = json.loads(done.stdout.splitlines()[-1])
        if isinstance(answer, dict):
            return answer
    return {"error": (done.stderr.strip().splitlines() or [f"it ended with exit code {done.returncode}"])[-1]}


def main(what: str) -> dict[str, Any]:
    """`torch`: its pair, GPUs and threads. Anything else: modules to import, joined by commas."""
    try:
        return _torch() if what == "torch" else _modules(what.split(","))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a broken package may raise anything
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _modules(names: list[str]) -> dict[str, Any]:
    for name in names:
        importlib.import_module(name)
    return {}


def _torch() -> dict[str, Any]:
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5)  # compiled: there in a matching pair alone
    return {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "pair": kept.tolist() == [0],
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "gpus": [_gpu(i) for i in range(torch.cuda.device_count())],
    }


def _gpu(index: int) -> dict[str, Any]:
    """A GPU, and what it answers to a sum."""
    import torch

    properties = torch.cuda.get_device_properties(index)
    about: dict[str, Any] = {"name": properties.name, "capability": f"{properties.major}.{properties.minor}"}
    try:
        total = float(torch.ones(1000, device=f"cuda:{index}").sum())
        free, memory = torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        return {**about, "error": str(error).strip().splitlines()[0]}
    return {**about, "works": total == 1000.0, "free": free, "memory": memory}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))  # noqa: T201 - read by ask()
