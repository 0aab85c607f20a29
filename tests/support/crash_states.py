"""What a killed process leaves, at every call to the disk: a process that is gone is what it wrote.

Forking a child for each crash point takes most of the time of such a test. Here the work is done once; at each call to
the disk the folder is noted as a kill would leave it, a write torn at every share. `tests/promises/test_crashes.py`
compares these states with what killed children leave.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from toyrun import Quiet

SHARES = (0, 1, 25, 50, 75, 99, 100)
State = dict[str, bytes | None]  # name → content, none for a folder


@dataclass(frozen=True)
class Crash:
    """A point at which a process may be killed, and what it leaves there."""

    call: int  # to the disk, from 1
    share: int  # percent of it that was done
    what: str
    state: State

    @property
    def torn(self) -> bool:
        """Whether a record or a file was cut in the middle."""
        return self.what == "write" and 0 < self.share < 100


class Noting(Quiet):
    """A disk that notes its folder at every call, before it and after; a write at each share."""

    def __init__(self, folder: Path):
        self.folder, self.crashes, self.calls = folder, list[Crash](), 0

    def _note(self, share: int, what: str):
        self.crashes.append(Crash(self.calls, share, what, state(self.folder)))

    def write(self, descriptor, data):
        self.calls += 1
        size, position = os.fstat(descriptor).st_size, os.lseek(descriptor, 0, os.SEEK_CUR)
        for share in SHARES:
            os.write(descriptor, data[: len(data) * share // 100])
            self._note(share, "write")
            if share < 100:
                os.ftruncate(descriptor, size)
                os.lseek(descriptor, position, os.SEEK_SET)
        return len(data)

    def _step(self, what: str, call: Callable[[], object]):
        self.calls += 1
        self._note(0, what)
        call()
        self._note(100, what)

    def fsync(self, _descriptor):
        self._step("fsync", lambda: None)

    def replace(self, source, target):
        self._step("replace", lambda: super(Noting, self).replace(source, target))

    def truncate(self, descriptor, size):
        self._step("truncate", lambda: super(Noting, self).truncate(descriptor, size))

    def unlink(self, file):
        self._step("unlink", lambda: super(Noting, self).unlink(file))


def state(folder: Path) -> State:
    """All that is in a folder; a folder before what it holds."""
    found: State = {}
    _gather(str(folder), "", found)
    return found


def _gather(folder: str, above: str, found: State) -> None:
    """Tens of thousands of times: a walk by `Path.rglob` would take most of the time of these tests."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.is_dir(follow_symlinks=False):
                found[above + entry.name] = None
                _gather(entry.path, f"{above}{entry.name}/", found)
            else:
                with open(entry.path, "rb", buffering=0) as stream:  # noqa: PTH123 - as above
                    found[above + entry.name] = stream.read()


def restore(state: State, folder: Path) -> Path:
    """A folder as it was."""
    for name, content in state.items():
        if content is None:
            os.makedirs(f"{folder}/{name}", exist_ok=True)  # noqa: PTH103 - as above
        else:
            with open(f"{folder}/{name}", "wb", buffering=0) as stream:  # noqa: PTH123 - as above
                stream.write(content)
    return folder


def crashes(work: Callable[[Path, Noting], object], folder: Path) -> Iterator[Crash]:
    """Every point at which the work in a folder can be killed."""
    disk = Noting(folder)
    work(folder, disk)
    yield from disk.crashes
