"""A folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from nat_core.durable import DISK, Disk, sync_folder, write_all
from nat_core.errors import ConfigError, ResourceError

ABOUT = "model.json"
KIND = "nat export"


def require_free(out: Path, *, force: bool) -> None:
    """Raise `ConfigError` for a place that holds something that must not be replaced, or that no folder can take."""
    if out.name in {"", ".."}:  # a folder takes its place by a rename, beside which another stands until then
        raise ConfigError(f"--out {str(out)!r} gives no name: name the folder, such as {out / 'exported'}")
    with _writing(out):
        if out.is_symlink() or (out.exists() and not out.is_dir()):
            raise ConfigError(f"{out} is no folder; choose a new one with --out")
        names = sorted(p.name for p in out.iterdir()) if out.is_dir() else []
    if not names:
        return
    if not _is_export(out):
        raise ConfigError(f"{out} holds other files, such as {names[0]}; choose an empty or a new folder with --out")
    if not force:
        raise ConfigError(f"{out} holds an exported network already; --force replaces it, --out chooses another folder")


def _is_export(out: Path) -> bool:
    """Whether a folder holds what was exported before, and nothing else."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # a model.json of somebody else
        about = json.loads((out / ABOUT).read_text(encoding="utf-8"))
        known = {ABOUT, "README.md", "classes.txt", "classify.py", "__pycache__"}
        known |= set(about["files"])
        return bool(about["kind"] == KIND) and {p.name for p in out.iterdir()} <= known
    return False


@contextlib.contextmanager
def draft_of(out: Path) -> Iterator[Path]:
    """An empty folder beside `out`, which is gone afterwards unless it took that place."""
    draft = out.with_name(f".{out.name}.{os.getpid()}.draft")
    with _writing(out):
        shutil.rmtree(draft, ignore_errors=True)  # of a killed process that had this number, as in a container
        draft.mkdir(parents=True)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write(draft: Path, out: Path, contents: Mapping[str, bytes], disk: Disk = DISK) -> None:
    """Write files and wait until they are on the disk. Raises `ResourceError` where there is no room."""
    with _writing(out):
        for name, content in contents.items():
            descriptor = os.open(draft / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                write_all(descriptor, content, disk)
                disk.fsync(descriptor)
            finally:
                os.close(descriptor)


def put_in_place(draft: Path, out: Path, disk: Disk = DISK) -> None:
    """Give a draft its name, over an empty folder or an earlier export, which goes last.

    A process that is killed between the two renames leaves the earlier one beside its place, hidden, and whole.
    """
    require_free(out, force=True)
    before = out.with_name(f"{draft.name}.before")
    with _writing(out):
        sync_folder(draft, disk)
        if out.exists():
            disk.replace(out, before)
        try:
            disk.replace(draft, out)
        except BaseException:
            if before.exists():
                disk.replace(before, out)
            raise
        try:
            sync_folder(out.parent, disk)
        finally:
            shutil.rmtree(before, ignore_errors=True)


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"cannot write {out}: {error.strerror or error}. Nothing was left there; free the space, mend the "
            "permission, or choose another folder with --out"
        ) from error
