"""Room for weights, asked for before each of them is learnt: a disk that fills up after hours costs those hours.

How large they are is found out by a trial: before the first iteration everything that learns is saved, and loaded
again, so that what cannot be saved here is known at once too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from nat_core.contracts import Learner
from nat_core.durable import DISK, Disk, on_disk, require_room

KEPT = 2  # versions; a new one is on the disk before the oldest of them goes
SPARE = 1.2  # of what is needed: the journal, figures, and whatever else writes there
_BESIDE = 3  # files of a version beside its weights: the manifest, a draft, and the folder


def require_room_for_weights(
    folder: Path, iteration: int, learners: Mapping[str, Learner], disk: Disk = DISK, known: Path | None = None
) -> None:
    """Raise `ResourceError` where the versions up to `KEPT` and a new one do not fit. `known` holds an earlier one."""
    if known is None:
        size = _trial(folder, learners.values(), disk)
    else:
        size = sum(file.stat().st_size for file in known.glob("*") if file.name in learners)
    missing = max(1, KEPT + 1 - len(list(folder.glob("[0-9]" * 4))))
    require_room(
        folder,
        missing * size * SPARE,
        missing * (len(learners) + _BESIDE),
        f"the weights of iteration {iteration} and of those after it",
        disk,
    )


def _trial(folder: Path, learners: Iterable[Learner], disk: Disk) -> int:
    """The bytes of what the learners save. Each has loaded it again by then."""
    size, draft = 0, folder / ".trial.draft"
    with on_disk(draft):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for learner in learners:
                disk.unlink(draft)  # of a process that was killed
                learner.save(draft)
                size += draft.stat().st_size
                learner.load(draft)
        finally:
            with contextlib.suppress(OSError):
                disk.unlink(draft)
    return size
