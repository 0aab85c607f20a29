"""A plugin of a toy space whose estimator does what it is told to: kill its process, hang, stop, print nonsense.

Orders are files in a folder: one named by an architecture, or `third` for every third one, says what to do and how many
times: `kill 1`. It is obeyed in workers alone, so that the run itself may be compared with.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
from toyrun import VARIABLES, Space

from nat_core import hookimpl
from nat_core.contracts import Measurement, Rehearsal
from nat_core.encoding import as_architectures

IN_WORKER = "nat_executors.worker" in " ".join(sys.orig_argv)


def obey(orders: Path, architecture: tuple[int, ...]) -> object:
    """Do what is ordered; what to answer instead of a value, if that is."""
    name = "".join(map(str, architecture))
    third = [orders / "third"] if int(name, 4) % 3 == 0 else []
    file = next((f for f in (orders / name, *third, orders / "all") if f.exists()), None)
    if file is None or not IN_WORKER:
        return None
    what, _, times = file.read_text().partition(" ")
    tried = orders / f"{name}.tried"
    with tried.open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    if times and len(tried.read_text().splitlines()) > int(times):
        return None
    return DEEDS[what](orders)


def leave(_orders: Path) -> None:
    sys.stderr.write("I leave\n")
    sys.stderr.flush()
    os._exit(3)


def refuse(_orders: Path) -> None:
    raise ValueError("I will not")


def talk(_orders: Path) -> None:
    sys.stdout.write('{"kind": "answer", "number": 0, "answer": {}}\n')
    sys.stdout.flush()
    os.write(1, b"nonsense\n")
    sys.stdin.read()


def crowd(orders: Path) -> None:
    """Memory for one at a time."""
    try:
        (orders / "memory").touch(exist_ok=False)
    except FileExistsError:
        raise MemoryError from None
    time.sleep(0.05)
    (orders / "memory").unlink()


def fork(orders: Path) -> None:
    """Leave a child behind, which holds all pipes."""
    if not (child := os.fork()):
        time.sleep(1000)
    (orders / f"{child}.child").touch()
    os.kill(os.getpid(), signal.SIGKILL)


DEEDS = {
    "crowd": crowd,
    "fork": fork,
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "hold": lambda _: re.match(r"(a+)+$", "a" * 64 + "b"),  # for ever, and no other thread gets on meanwhile
    "hang": lambda _: time.sleep(1000),
    "slow": lambda _: time.sleep(1.3),
    "pause": lambda _: time.sleep(0.1),
    "doze": lambda _: time.sleep(0.25),
    "exit": leave,
    "leave": lambda _: sys.exit(7),
    "raise": refuse,
    "wrong": lambda _: "a word",
    "print": talk,
}


class Distance:
    """Squared distance to a moving centre, which is what it learns."""

    def __init__(self, orders: Path) -> None:
        self.orders, self.centre = orders, np.zeros(len(VARIABLES))

    def __call__(self, X):
        (architecture,) = as_architectures(X)
        if (answer := obey(self.orders, architecture)) is not None:
            return answer
        return [Measurement(float(((np.array(architecture) - self.centre) ** 2).sum()))]

    def test(self, X):
        return [Measurement(2 * self(X)[0].value)]

    def adapt(self, X, iteration, iterations, progress):
        progress("adapt", 0, 1)
        self.centre = np.sin(self.centre + X.mean(axis=0)) + X[-1] / 3 + iteration / max(iterations, 1)

    def save(self, file: Path) -> None:
        file.write_bytes(self.centre.tobytes())

    def load(self, file: Path) -> None:
        self.centre = np.frombuffer(file.read_bytes())

    def rehearse(self, iterations):
        return Rehearsal((0.0,) * (iterations + 1), 0.0)


def no_room(orders: Path) -> bool:
    """Whether no worker may begin, or none after the first."""
    if (orders / "one").exists():
        with contextlib.suppress(FileExistsError):
            (orders / "first").touch(exist_ok=False)
            return False
    return (orders / "one").exists() or (orders / "birth").exists()


def distance(space, *, orders: str):
    del space
    if IN_WORKER and no_room(Path(orders)):
        sys.stderr.write("there is no room for me\n")
        sys.stderr.flush()
        os._exit(9)
    return Distance(Path(orders))


@hookimpl
def register_search_spaces():
    return {"toy_grid": Space}


@hookimpl
def register_estimators():
    return {"toy_distance": distance}


@hookimpl
def register_cost_models():
    return {"toy_size": lambda space: lambda X: X.sum(axis=1).astype(float)}  # noqa: ARG005 - a factory is given it
