"""What the estimators of a run learnt, version by version: `weights/0003/top1_error` belongs to iteration 3.

A version counts only when the journal holds the sha256 of its files, and is verified whenever it is read; the manifest
beside the files is for other tools. A new version is on the disk, and recorded, before an old one goes; the last two
are kept. If the newest is damaged, it is put aside and made again from the one before, and must come out the same.

A learner that can go on in the middle of an iteration has a checkpoint there while it learns: see `checkpoints`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nat_core.checkpoints import CheckpointFile
from nat_core.contracts import Learner, Progress, ResumableLearner
from nat_core.durable import DISK, Disk, fault, on_disk, publish, publish_text, sync_folder
from nat_core.encoding import Encodings
from nat_core.errors import StateError
from nat_core.journal import Journal
from nat_core.room import require_room_for_weights

log = logging.getLogger("nat_core")

INITIAL = -1  # the version before any adaptation
_UNSURE = -2  # what is in memory while it changes
_UNFINISHED = ".unfinished"  # ends the name of a folder of checkpoints


class WeightStore:
    """What learns in a run, mostly adaptive estimators, and the versions of what they learnt."""

    def __init__(
        self,
        folder: Path,
        estimators: Mapping[str, Learner],
        journal: Journal,
        disk: Disk = DISK,
        identity: Mapping[str, Any] | None = None,  # what else the weights depend on, as JSON
    ) -> None:
        self.folder = folder
        self.version = INITIAL  # that the search is at
        self._held = INITIAL  # that the estimators have in memory
        self._estimators = dict(estimators)
        self._journal = journal
        self._disk = disk
        self._identity = {name: _digest(json.dumps(value).encode()) for name, value in (identity or {}).items()}
        self._inputs: dict[int, tuple[int, Encodings]] = {}

    def advance(self, iteration: int, iterations: int, X: Encodings, progress: Progress) -> None:
        """Go to the version of an iteration: adapt to X, unless that is recorded."""
        self._inputs[iteration] = (iterations, X)
        if self._estimators and self._journal.first("adapted", iteration=iteration) is None:
            self.hold(self.version)
            self._require_room(iteration)
            start = time.perf_counter()
            before, losses = self._adapt(iteration, progress)
            adapted = time.perf_counter()
            files = self._save(iteration)
            seconds, saving = round(before + adapted - start, 4), round(time.perf_counter() - adapted, 4)
            done = {"files": files, "losses": losses, "seconds": seconds, "saving": saving}
            self._journal.append("adapted", iteration=iteration, **done)
            self._forget(iteration - 1)
        self._forget_unfinished(iteration)
        self.version = iteration if self._estimators else INITIAL

    def _require_room(self, iteration: int) -> None:
        """Raise `ResourceError` where the weights of an iteration would not fit, before they are learnt."""
        known = None if self.version == INITIAL else self._version(self.version)
        require_room_for_weights(self.folder, iteration, self._estimators, self._disk, known)

    def hold(self, version: int) -> None:
        """Have a version in memory: load it, or make it again if its files are damaged."""
        version = version if self._estimators else INITIAL
        if self._held == version:
            return
        fault = self._fault(version)
        if not fault:
            self._held = _UNSURE
            for name, estimator in self._estimators.items():
                estimator.load(self._version(version) / name)
            self._held = version
            return
        log.warning("weights of iteration %d: %s; making them again from iteration %d", version, fault, version - 1)
        if version not in self._inputs or (version > 0 and self._fault(version - 1)):
            raise StateError(
                f"the weights of iteration {version} in {self.folder} cannot be used ({fault}), nor can those before"
            )
        self._put_aside(version)
        self.hold(version - 1)
        self._adapt(version, _silent)
        self._save(version)
        if fault := self._fault(version):
            raise StateError(f"the weights of iteration {version} in {self.folder} could not be made again: {fault}")
        self._forget_unfinished(version)

    def files(self, version: int) -> dict[str, tuple[Path, str]]:
        """The files of a version, and their sha256: what another process takes it from."""
        recorded = self._journal.first("adapted", iteration=version) if self._estimators else None
        files: Mapping[str, str] = {} if recorded is None else recorded["files"]
        return {name: ((self._version(version) / name).absolute(), digest) for name, digest in files.items()}

    def _adapt(self, iteration: int, progress: Progress) -> tuple[float, dict[str, list[float | None]]]:
        """Adapt from the version in memory; the seconds of it that earlier processes had spent, and the losses."""
        iterations, X = self._inputs[iteration]
        self._held, before, losses = _UNSURE, 0.0, dict[str, list[float | None]]()
        for name, estimator in self._estimators.items():
            if isinstance(estimator, ResumableLearner):
                checkpoint = self._checkpoint(iteration, name)
                said = estimator.adapt_resumably(X.copy(), iteration, iterations, progress, checkpoint)
                before += checkpoint.before
            else:
                said = estimator.adapt(X.copy(), iteration, iterations, progress)
            if said is not None:
                losses[name] = _recordable(name, said)
        self._held = iteration
        return before, losses

    def _checkpoint(self, iteration: int, name: str) -> CheckpointFile:
        """Where a learner keeps how far it has come in an iteration."""
        (iterations, X), begun = self._inputs[iteration], self._journal.first("adapted", iteration=iteration - 1)
        about = {
            **self._identity,
            "iteration": [iteration, iterations],
            "architectures": [list(X.shape), _digest(X.tobytes())],
            "first weights": None if begun is None else begun["files"].get(name),
        }
        return CheckpointFile(self._unfinished(iteration) / name, about, self._disk)

    def _save(self, iteration: int) -> dict[str, str]:
        """Publish the version in memory; the sha256 of each file."""
        folder = self._version(iteration)
        with on_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for above in (folder.parent, folder.parent.parent):
                sync_folder(above, self._disk)
        files = {name: publish(folder / name, e.save, self._disk) for name, e in self._estimators.items()}
        publish_text(folder / "manifest.json", json.dumps({"iteration": iteration, "sha256": files}), self._disk)
        return files

    def _fault(self, version: int) -> str:
        """Why a version on the disk cannot be used; empty if it can."""
        if version == INITIAL:
            return "" if self._held == INITIAL else "the initial weights are no longer in memory"
        recorded = self._journal.first("adapted", iteration=version)
        for name in self._estimators:
            file = self._version(version) / name
            if wrong := fault(file, None if recorded is None else recorded["files"].get(name)):
                return f"{file.name} {wrong}"
        return ""

    def _put_aside(self, version: int) -> None:
        folder = self._version(version)
        aside = folder.with_name(f"{folder.name}.damaged")
        if folder.exists() and not aside.exists():
            with on_disk(folder):
                self._disk.replace(folder, aside)

    def _forget(self, before: int) -> None:
        """Remove the versions before one; the newer ones are verified by then."""
        for folder in self.folder.glob("[0-9]" * 4):
            if int(folder.name) < before:
                self._remove(folder)

    def _remove(self, folder: Path) -> None:
        """Remove a version. One that cannot be removed is in nobody's way: the next iteration tries again."""
        try:
            for file in folder.iterdir():
                self._disk.unlink(file)
            folder.rmdir()
        except OSError as error:
            log.warning("cannot remove the old weights %s: %s", folder, error.strerror)

    def _forget_unfinished(self, up_to: int) -> None:
        """Remove the checkpoints up to a version; what they led to is on the disk. A later one may yet be of use."""
        for folder in self.folder.glob("[0-9]" * 4 + _UNFINISHED):
            if int(folder.name.removesuffix(_UNFINISHED)) <= up_to:
                self._remove(folder)

    def _version(self, version: int) -> Path:
        return self.folder / f"{version:04d}"

    def _unfinished(self, version: int) -> Path:
        return self.folder / f"{version:04d}{_UNFINISHED}"


def _recordable(name: str, losses: Sequence[float]) -> list[float | None]:
    """The losses as a record holds them: what is no number is null. A plugin that gives anything else loses no run."""
    try:
        return [loss if math.isfinite(loss) else None for loss in map(float, losses)]
    except (TypeError, ValueError) as error:
        log.warning("the losses of %s are left out, for they are no numbers: %s", name, error)
        return []


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _silent(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""
