"""How far a long phase has come: `weights/0003.unfinished/top1_error` belongs to iteration 3, until that is done.

The file is the sha256 of what follows, a line of JSON that says which phase it belongs to, and the learner's own bytes.
It saves time and decides nothing, so it is written only when that costs little, and one that is damaged, or that
belongs to anything else, is left alone as if it were not there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nat_core.durable import DISK, Disk, on_disk, put_in_place, write_all
from nat_core.errors import ResourceError

log = logging.getLogger("nat_core")

FORMAT = 1
PATIENCE = 60.0  # seconds at least from one to the next, and before the first
SHARE = 0.02  # of the time may go into them, counting from the second: what the first one costs is not known before
_DIGITS = 64  # of a sha256


class CheckpointFile:
    """A `Checkpoint` in one file, replaced as a whole. `about` says what it belongs to, in JSON."""

    def __init__(self, file: Path, about: Mapping[str, Any], disk: Disk = DISK) -> None:
        self.before = 0.0  # seconds that the phase had taken, in processes that are gone, when it was kept
        self._file = file
        self._about = {"format": FORMAT, **about}
        self._disk = disk
        self._begun = self._last = time.monotonic()
        self._cost = self._spent = 0.0  # seconds that the last one took, and all of them
        self._refused = False

    def load(self) -> bytes | None:
        """What was kept of this very phase; otherwise None, and a warning if there was something else."""
        try:
            content = self._file.read_bytes()
            header, state = _opened(content)
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._ignore(f"cannot be read: {error.strerror}")
        except ValueError:
            return self._ignore("is damaged")
        if other := [name for name, value in self._about.items() if header["about"].get(name) != value]:
            return self._ignore(f"is of another phase: its {' and '.join(other)} changed")
        self.before = float(header["seconds"])
        log.warning("%s: going on at step %s of %s", self._file, f"{header['done']:,}", f"{header['total']:,}")
        return state

    def _ignore(self, why: str) -> bytes | None:
        log.warning("%s %s: it is left out, and the phase begins anew", self._file, why)
        return None

    def offer(self, state: Callable[[], bytes], done: int, total: int) -> None:
        """Keep a state, if there has been none for a while, and all of them together still cost little."""
        start = time.monotonic()
        if start - self._last < PATIENCE or self._spent + self._cost > SHARE * (start - self._begun):
            return
        header = {"about": self._about, "done": done, "total": total, "seconds": self.before + start - self._begun}
        try:
            self._write(json.dumps(header).encode() + b"\n", state())
        except (ResourceError, MemoryError) as error:
            if not self._refused:
                log.warning("no checkpoint in %s for now: %s. The training goes on.", self._file, _reason(error))
            self._refused = True
        else:
            self._refused = False
        self._last = time.monotonic()
        self._cost = self._last - start
        self._spent += self._cost

    def _write(self, header: bytes, state: bytes) -> None:
        with on_disk(self._file):
            self._file.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(header)
        digest.update(state)

        def write(draft: Path) -> None:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                for part in (digest.hexdigest().encode() + b"\n", header, state):
                    write_all(descriptor, part, self._disk)
            finally:
                os.close(descriptor)

        put_in_place(self._file, write, self._disk)


def _opened(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the state. Raises `ValueError` unless they are what was written."""
    body = memoryview(content)[_DIGITS + 1 :]
    if content[: _DIGITS + 1] != hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise ValueError
    end = content.index(b"\n", _DIGITS + 1)
    header: dict[str, Any] = json.loads(content[_DIGITS + 1 : end])
    return header, content[end + 1 :]


def _reason(error: Exception) -> str:
    refusal = error.__cause__
    return str(refusal.strerror) if isinstance(refusal, OSError) else "out of memory"
