"""The journal: an append-only file of records, the only truth of a run.

A record is a line of strict JSON whose last member is a checksum over the rest of the line and the checksum before it,
so that a damaged, missing, moved or foreign line is noticed. A record is on the disk before `append` returns. A last
line without its end, or with a page of zeros where a power loss took its content, is a write that was cut short: it is
cut off when the journal is opened for writing. Damage anywhere else stops the run: nothing is skipped, and no damaged
record is read as a different valid one.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from nat_core.durable import DISK, Disk, append, on_disk, sync_folder
from nat_core.errors import StateError
from nat_core.stopping import stop_if_asked

log = logging.getLogger("nat_core")

Record = dict[str, Any]
FORMAT = 1
_SEAL = len(',"crc":"00000000"}')


class Journal:
    """The records of a run, and the open file behind them. Use as a context manager."""

    def __init__(self, file: Path, disk: Disk = DISK) -> None:
        self.file = file
        self._disk = disk
        self.seconds = 0.0  # spent on appending
        self._torn = False  # an append failed, and may have left a part of its record
        with on_disk(file):
            self._descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            self.records, self._crc, self._size = _read(file)
            if not self._size:  # new, or its maker was killed before its name was on the disk
                with on_disk(file):
                    sync_folder(file.parent, disk)
            self._cut()
        except BaseException:
            self.close()
            raise

    def _cut(self) -> None:
        """Remove an unfinished last record."""
        with on_disk(self.file):
            excess = os.fstat(self._descriptor).st_size - self._size
            if not excess:
                return
            log.warning(
                "%s: cut %d bytes of an unfinished record at byte %d; it is made again", self.file, excess, self._size
            )
            self._disk.truncate(self._descriptor, self._size)
            self._disk.fsync(self._descriptor)

    def append(self, kind: str, **fields: Any) -> Record:
        """Add a record and give it as it will be read again; it is durable when this returns.

        Raises `ValueError` for a number that is not finite.
        """
        stop_if_asked()
        start = time.perf_counter()
        body, line, crc = _seal({"kind": kind, **fields}, self._crc)
        if self._torn:
            self._cut()
        self._torn = True
        with on_disk(self.file):
            append(self._descriptor, line, self._disk)
        self._torn = False
        self.seconds += time.perf_counter() - start
        self._size, self._crc = self._size + len(line), crc
        record: Record = json.loads(body)
        self.records.append(record)
        return record

    def find(self, kind: str, **fields: Any) -> Iterator[Record]:
        """The records of a kind with these fields, oldest first."""
        for record in self.records:
            if record["kind"] == kind and all(record.get(name) == value for name, value in fields.items()):
                yield record

    def first(self, kind: str, **fields: Any) -> Record | None:
        """The oldest of them, if there is one."""
        return next(self.find(kind, **fields), None)

    def close(self) -> None:
        """Release the file. Every record is on the disk already."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(file: Path) -> list[Record]:
    """The records of a journal that somebody else may be writing. Changes nothing."""
    return _read(file)[0]


def _seal(record: Record, previous: int) -> tuple[bytes, bytes, int]:
    """The record as JSON, the same as a line with its checksum, and the checksum."""
    body = json.dumps(record, allow_nan=False, ensure_ascii=True, separators=(",", ":")).encode()
    crc = zlib.crc32(body, previous)
    return body, body[:-1] + f',"crc":"{crc:08x}"}}\n'.encode(), crc


def _read(file: Path) -> tuple[list[Record], int, int]:
    """The records, the last checksum, and the size up to the end of the last complete line."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StateError(f"cannot read the journal {file}: {error.strerror}") from error
    found = survey(content)
    if found.damaged is not None:
        raise StateError(
            f"{file}, line {len(found.records) + 1} (byte {found.size}): the record is damaged, or not of this "
            f"journal. Nothing was changed. Restore the file from a copy; or `nat doctor {file.parent} --repair` puts "
            "it aside and keeps what stands before that byte, and what followed is measured again."
        )
    return found.records, found.crc, found.size


@dataclass(frozen=True)
class Survey:
    """How far the content of a journal can be trusted."""

    records: list[Record]
    crc: int  # the checksum of the last of them
    size: int  # bytes that they take: what follows is damaged, or a write that was cut short
    damaged: bytes | None = None  # the first line that is not what was written, where there is one


def survey(content: bytes) -> Survey:
    """The whole records at the beginning of a journal, and the line that ends them where that is damaged."""
    records, crc, position = list[Record](), 0, 0
    while (end := content.find(b"\n", position)) >= 0:
        line = content[position:end]
        if end + 1 == len(content) and b"\0" in line:
            break  # JSON has no zero byte: a page of the last write never reached the disk
        opened = unseal(line, crc)
        if opened is None:
            return Survey(records, crc, position, line)
        record, crc = opened
        records.append(record)
        position = end + 1
    return Survey(records, crc, position)


def unseal(line: bytes, previous: int) -> tuple[Record, int] | None:
    """The record in a line, and its checksum; none unless the line is what was written after that checksum."""
    body, seal = line[:-_SEAL] + b"}", line[-_SEAL:]
    crc = zlib.crc32(body, previous)
    if seal != f',"crc":"{crc:08x}"}}'.encode():
        return None
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):  # a checksum is no signature: anybody can compute it for anything
        return None
    return (record, crc) if isinstance(record, dict) and isinstance(record.get("kind"), str) else None
