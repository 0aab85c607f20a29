"""A run of the toy of `toy_worked`, its workers told what to do."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from command_line import Outcome, records, start
from in_process import here

from nat_core.ledger import replay

WORDS = (
    *("--space", "toy_grid", "--objective", "toy_distance", "--objective", "toy_size"),
    *("--surrogate", "none", "--optimizer", "random", "-s", "search.iterations=4", "-s", "search.initial=8"),
    *("-s", "search.batch=8", "-s", "search.remeasure=none"),
)


@dataclass
class Toy:
    """Runs in a folder, and orders to those who measure."""

    place: Path

    def order(self, what: str, architecture: str = "all") -> None:
        (self.place / "orders" / architecture).write_text(what)

    def words(self, folder: str, *more: object) -> tuple[object, ...]:
        orders = ("-s", f"toy_distance.orders={self.place / 'orders'}")
        return ("run", "--out", self.place / folder, "--json", *WORDS, *orders, *more)

    def run(self, folder: str, *more: object) -> Outcome:
        """In this process, with workers where that is said."""
        return here(*self.words(folder, *more))

    def start(self, folder: str, *more: object):
        """In a process of its own."""
        return start(*self.words(folder, *more), PYTHONPATH=os.pathsep.join(filter(None, sys.path)))

    def archive(self, folder: str):
        """What a run found: everything that its journal says, but for how long it took and how often it was tried."""
        found = [{k: v for k, v in r.items() if k != "attempts"} for r in records(self.place / folder)]
        *_, archive = replay(found, ("toy_distance", "toy_size"))
        return archive, sorted(map(str, found))

    def outcomes(self, folder: str):
        return [r for r in records(self.place / folder) if r["kind"] in {"measured", "failed"}]

    def tried(self) -> dict[str, list[str]]:
        """Architecture → the processes that met an order over it."""
        return {f.stem: f.read_text().split() for f in (self.place / "orders").glob("*.tried")}


def children(pid: int) -> set[int]:
    """The processes that a process has started and that are alive."""
    found = set[int]()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found |= set(map(int, task.read_text().split()))
    return {child for child in found if alive(child)}


def alive(pid: int) -> bool:
    """Whether a process is there, and more than a name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False
