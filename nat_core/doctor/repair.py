"""Mending a folder without destroying evidence: what is replaced is kept in `aside/0001/` first, under its own name.

Each change is recorded in `aside/repairs.jsonl`, a journal like that of a run, before it is made and after.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nat_core.doctor.folder import MANIFEST, Folder, drafts, examine, inner_folders, look
from nat_core.durable import ASIDE, append, on_disk, put_in_place, sync_folder
from nat_core.durable import sole_writer as held_alone
from nat_core.errors import StateError
from nat_core.journal import Journal

REPAIRS = "repairs.jsonl"


@dataclass(frozen=True)
class Change:
    """A file or folder that is to go aside, and the content that takes its place; none where nothing does."""

    what: str
    path: Path
    content: bytes | None = None


@dataclass(frozen=True)
class Step:
    """A change that was made."""

    what: str
    path: Path
    kept: Path | None  # where what stood there is now; none where nothing stood there

    def document(self) -> dict[str, str | None]:
        """As JSON."""
        return {"what": self.what, "path": str(self.path), "kept": None if self.kept is None else str(self.kept)}


def repair(path: Path) -> Iterator[Step]:
    """Mend what can be mended, and tell each step once it is taken. What `examine` still finds cannot be mended.

    Raises `StateError` for a folder without a journal, and `ResourceError` while a process is at work in it.
    """
    look(path)
    with held_alone(path):
        folder = look(path)
        if folder.content is None:
            raise StateError(f"{path} has lost its journal: restore {folder.kind.journal} from a copy")
        if changes := list(_changes(folder)):
            aside = path / ASIDE
            with on_disk(aside):
                aside.mkdir(exist_ok=True)
                sync_folder(path)
            with Journal(aside / REPAIRS) as journal:
                place = _new(aside)
                for change in changes:
                    yield _made(change, folder, place, journal)
    for inner in inner_folders(path):
        yield from repair(inner)


def _changes(folder: Folder) -> Iterator[Change]:
    """What there is to do, in an order in which each step leaves the folder no worse than before."""
    for draft in drafts(folder.path):
        yield Change("a draft that a killed process left", draft)
    if folder.content is not None and (folder.torn or folder.survey.damaged is not None):
        yield Change(_in_words(folder), folder.journal, folder.mended)
        yield from _ahead(folder)
    else:
        yield from _manifests(folder)
    for finding in examine(folder.path):
        stands = folder.path / finding.subject
        if finding.subject == folder.kind.about and finding.level == "fault" and stands.exists():
            yield Change("it is not what the journal says, or cannot be read", stands)
        if finding.subject == "result" and finding.level == "fault" and " --repair " in finding.remedy:
            result = folder.path / folder.result
            if result.exists():
                yield Change("it is not what was saved, and is made again", result)


def _in_words(folder: Folder) -> str:
    """What is done to a journal."""
    done = [f"one flipped bit turned back at byte {byte}" for byte in folder.bits]
    if excess := len(folder.content or b"") - len(folder.mended):
        done.append(f"cut {excess} bytes at byte {len(folder.mended)}: damaged or cut short, and what follows")
    return "; ".join(done)


def _ahead(folder: Folder) -> Iterator[Change]:
    """Weights that a shortened journal knows nothing of: they would be written over."""
    for version in sorted(set(folder.ever_recorded()) - folder.recorded().keys()):
        place = folder.path / "weights" / f"{version:04d}"
        if place.exists():
            yield Change("weights whose record is lost", place)


def _manifests(folder: Folder) -> Iterator[Change]:
    """Lists of sha256 that are not what the journal says."""
    for version, files in sorted(folder.recorded().items())[-2:]:
        file = folder.path / "weights" / f"{version:04d}" / MANIFEST
        wanted = json.dumps({"iteration": version, "sha256": files}).encode()
        if file.parent.is_dir() and (not file.exists() or file.read_bytes() != wanted):
            yield Change("the manifest, from the journal", file, wanted)


def _made(change: Change, folder: Folder, place: Path, journal: Journal) -> Step:
    """Make one change: recorded, what stood there kept, the new in place, recorded again."""
    name = change.path.relative_to(folder.path)
    stood = os.path.lexists(change.path)
    kept = place / name if stood else None
    about = {
        "what": change.what,
        "path": str(name),
        "kept": None if kept is None else str(kept.relative_to(folder.path)),
    }
    journal.append("begun", **about)
    with on_disk(change.path):
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            if change.content is None:
                change.path.replace(kept)
            else:
                _copy(change.path.read_bytes(), kept)
            sync_folder(kept.parent)
        if change.content is not None:
            _copy(change.content, change.path)
        sync_folder(change.path.parent)
    journal.append("done", **about)
    return Step(change.what, change.path, kept)


def _copy(content: bytes, to: Path) -> None:
    def write(draft: Path) -> None:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            append(descriptor, content)
        finally:
            os.close(descriptor)

    put_in_place(to, write)


def _new(aside: Path) -> Path:
    """A folder for this repair: the first number that is free."""
    taken = {p.name for p in aside.iterdir()}
    return aside / next(f"{i:04d}" for i in range(1, len(taken) + 2) if f"{i:04d}" not in taken)
