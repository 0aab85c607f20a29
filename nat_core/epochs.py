"""What trainings by epochs have in common, of a supernet as of one network: a folder of their own, and a learner.

An epoch is to the store of weights what an iteration is in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nat_core.contracts import Checkpoint, FineTuner, Pretrainer, Progress, ResumableFineTuner, ResumablePretrainer
from nat_core.durable import ASIDE, is_draft, publish
from nat_core.encoding import Encodings
from nat_core.errors import ConfigError, StateError
from nat_core.journal import Journal


@dataclass
class Epochs:
    """What trains by epochs, as the store of weights knows what learns."""

    trainer: Pretrainer | FineTuner
    losses: dict[int, float] = field(default_factory=dict)

    def adapt(self, X: Encodings, iteration: int, iterations: int, progress: Progress) -> None:
        """Train for an epoch."""
        del X, iterations
        self.losses[iteration] = float(self.trainer.train(iteration, progress))

    def save(self, file: Path) -> None:
        """Write what has been learnt."""
        self.trainer.save(file)

    def load(self, file: Path) -> None:
        """Read what `save` wrote."""
        self.trainer.load(file)


@dataclass
class ResumableEpochs(Epochs):
    """The same of what can go on in the middle of an epoch."""

    trainer: ResumablePretrainer | ResumableFineTuner

    def adapt_resumably(
        self, X: Encodings, iteration: int, iterations: int, progress: Progress, checkpoint: Checkpoint
    ) -> None:
        """Train for an epoch, or for the rest of one."""
        del X, iterations
        self.losses[iteration] = float(self.trainer.train_resumably(iteration, progress, checkpoint))


def learner(trainer: Pretrainer | FineTuner) -> Epochs:
    """What trains by epochs as a learner, resumable where it can go on in the middle of one."""
    if isinstance(trainer, ResumablePretrainer | ResumableFineTuner):
        return ResumableEpochs(trainer)
    return Epochs(trainer)


def require_folder(folder: Path, ours: Collection[str], what: str) -> None:
    """Raise `ConfigError` for a folder that holds other files than `ours`, and drafts of them."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; {what} needs a folder")
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    foreign = [name for name in names if name not in ours and name != ASIDE and not is_draft(name)]
    if foreign:
        raise ConfigError(f"{folder} holds other files, such as {foreign[0]}; choose an empty or a new folder")


def require_same(
    folder: Path, begun: Mapping[str, Any], now: Mapping[str, Any], kind: str, file_format: int, advice: str
) -> None:
    """Raise `StateError` where the first record of a journal is of another training than the one at hand."""
    if begun.get("kind") != kind or begun.get("format") != file_format:
        raise StateError(f"{folder} was made by another version of nat (this reads format {file_format})")
    for name, value in now.items():
        if begun.get(name) != value:
            raise StateError(
                f"{folder} cannot go on: its {name} changed since it began (was {begun.get(name)}, is {value}). "
                f"Nothing in it was touched; {advice}."
            )


def write_result(journal: Journal, result: Path, save: Callable[[Path], None], **about: Any) -> None:
    """Write what a training came to, and record it once; a damaged result is made again.

    Raises `StateError` where that does not come to the same.
    """
    written, found = journal.first("written"), publish(result, save)
    if written is None:
        journal.append("written", **about, sha256=found)
    elif found != written["sha256"]:
        raise StateError(f"{result} was damaged, and could not be made again: train in another folder")
