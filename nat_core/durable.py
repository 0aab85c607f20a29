"""Every durable write of a run goes through here, so that a test can kill or fail each single step.

A file is published by a temporary file beside it, fsync, rename, and fsync of the folder: a reader sees the old or the
new content, never a mix. An `OSError` becomes a `ResourceError` that names the path; what was durable stays so.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from nat_core.errors import ResourceError
from nat_core.stopping import stop_if_asked


class Disk:
    """The system calls behind a durable write, one method each."""

    def write(self, descriptor: int, data: bytes) -> int:
        """As `os.write`: may write less than it was given."""
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        """Wait until a file's content, or a folder's entries, are on the disk."""
        os.fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Give a file its final name, over any file that has it."""
        source.replace(target)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(descriptor, size)

    def unlink(self, file: Path) -> None:
        """Remove a file that may be gone already."""
        file.unlink(missing_ok=True)

    def left(self, folder: Path) -> tuple[int, float]:
        """Bytes and files that still fit where a folder is; some file systems have any number of files."""
        state = os.statvfs(folder)
        return state.f_bavail * state.f_frsize, state.f_favail if state.f_files else math.inf


DISK = Disk()
ASIDE = "aside"  # the folder in a run folder for what a repair replaced


def append(descriptor: int, data: bytes, disk: Disk = DISK) -> None:
    """Add to the end of an open file, and wait until it is on the disk."""
    write_all(descriptor, data, disk)
    disk.fsync(descriptor)


def write_all(descriptor: int, data: bytes, disk: Disk = DISK) -> None:
    """Write all of it to an open file."""
    done = 0
    while done < len(data):
        done += disk.write(descriptor, data[done:])


def publish(file: Path, write: Callable[[Path], None], disk: Disk = DISK) -> str:
    """Have `write` make a file, put it in place atomically, and return the sha256 of its content."""
    digests = list[str]()

    def noting(draft: Path) -> None:
        write(draft)
        with draft.open("rb") as stream:
            digests.append(sha256(stream))

    put_in_place(file, noting, disk)
    return digests[0]


def put_in_place(file: Path, write: Callable[[Path], None], disk: Disk = DISK) -> None:
    """Have `write` make a file, and give it its name once it is on the disk: whoever looks sees the old or the new."""
    stop_if_asked()
    draft = file.with_name(f".{file.name}.draft")
    with on_disk(file):
        try:
            disk.unlink(draft)  # of a process that was killed
            write(draft)
            with draft.open("rb") as stream:
                disk.fsync(stream.fileno())
            disk.replace(draft, file)
            sync_folder(file.parent, disk)
        except BaseException:
            with contextlib.suppress(OSError):
                disk.unlink(draft)
            raise


def publish_text(file: Path, text: str, disk: Disk = DISK) -> str:
    """Put a text file in place atomically."""

    def write(draft: Path) -> None:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            append(descriptor, text.encode(), disk)
        finally:
            os.close(descriptor)

    return publish(file, write, disk)


def sync_folder(folder: Path, disk: Disk = DISK) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        disk.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(stream: BinaryIO) -> str:
    """Of an open file, from its beginning."""
    stream.seek(0)
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Turn a refusal of the operating system into a message that says where."""
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"cannot write {path}: {error.strerror or error}. What was recorded before is intact; "
            "free the space or mend the permission, and go on with `nat resume`."
        ) from error


def require_room(folder: Path, size: float, files: int, what: str, disk: Disk = DISK) -> None:
    """Raise `ResourceError` where so many bytes or files do not fit: before hours of work, and not after them."""
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    with on_disk(there):
        free, more = disk.left(there)
    if free < size or more < files:
        raise ResourceError(
            f"{what} need {size / 1e6:,.1f} MB and {files} files, and {there} has {free / 1e6:,.1f} MB and "
            f"{more:,.0f} files left. What was recorded before is intact; make room there and give the same command "
            "again, or choose a folder on another disk."
        )


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold a run folder: a second process gets a `ResourceError` at once; a dead holder's lock is free at once."""
    with on_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
            raise ResourceError(
                f"{folder} is in use by {holder}; wait for it to end, or choose another folder"
            ) from None
        except OSError as error:
            raise ResourceError(f"cannot lock {folder}: {error.strerror}; its file system may have no locks") from error
        with on_disk(folder):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_draft(name: str) -> bool:
    """Whether a file may be what a write that was cut short has left."""
    return name.startswith(".") and name.endswith(".draft")


def fault(file: Path, recorded: str | None) -> str:
    """What is wrong with a file whose sha256 was recorded, to be said after its name; empty if nothing is."""
    try:
        with file.open("rb") as stream:
            found = sha256(stream)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError as error:  # a name with a zero byte, from a journal that somebody else made
        return f"cannot be read: {error}"
    return "" if found == recorded else "is not what was saved"
