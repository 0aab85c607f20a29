"""From a space, data and a way to train to a supernet in a file: epoch by epoch, and resumable at any time.

FOLDER/
  pretrain.toml         what was asked for; plugins with versions; what the data were
  pretrain.jsonl        the journal, the truth
  weights/0007/supernet after epoch 7; the last two are kept, and either can be used
  supernet.safetensors  the result: nat run -s SPACE.weights=FOLDER/supernet.safetensors

An epoch is done once: its weights are on the disk before it is recorded, so a training that is killed and resumed gives
the weights that an undisturbed one gives. In the middle of an epoch there may be a checkpoint: see `checkpoints`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from nat_core import plugins
from nat_core.contracts import (
    Dataset,
    Fingerprinted,
    Pretrainer,
    Progress,
    SupernetSpace,
)
from nat_core.durable import fault, publish_text, sole_writer
from nat_core.epochs import learner, require_folder, require_same, write_result
from nat_core.errors import ConfigError
from nat_core.journal import Journal, read
from nat_core.parts import about_data, make, require_parts
from nat_core.weights import WeightStore

FORMAT = 1
JOURNAL, RESULT = "pretrain.jsonl", "supernet.safetensors"
_OURS = frozenset({"lock", "pretrain.toml", JOURNAL, "weights", RESULT})


@dataclass(frozen=True)
class PretrainConfig:
    """What is trained, on what, and how."""

    space: str
    data: str
    method: str
    seed: int = 0
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of the three, by name


@dataclass(frozen=True)
class Pretraining:
    """A training that is built."""

    folder: Path
    config: PretrainConfig
    versions: Mapping[str, str]
    data: Dataset
    space: SupernetSpace
    pretrainer: Pretrainer

    @property
    def result(self) -> Path:
        """The supernet, once all epochs are done."""
        return self.folder / RESULT


@dataclass(frozen=True)
class Epoch:
    """One that is done."""

    number: int  # from 0
    phase: str
    errors: Mapping[str, float]
    loss: float | None  # none where the training was stopped before it could be noted
    seconds: float


def build(config: PretrainConfig, folder: Path) -> Pretraining:
    """Check every option, load the data, build space and pretrainer. Raises `ConfigError` for what cannot be used."""
    registry = plugins.registry()
    space_offer = registry.find("search_spaces", config.space)
    data_offer = registry.find("datasets", config.data)
    method_offer = registry.find("pretrainers", config.method)
    offers = (space_offer, data_offer, method_offer)
    require_parts(config.options, offers)
    data: Dataset = make(config.options, data_offer, {"seed": config.seed})
    context = {"seed": config.seed} | about_data(data)
    space = make(config.options, space_offer, context)
    if not isinstance(space, SupernetSpace):
        raise ConfigError(f"the space {config.space} has no supernet to train")
    pretrainer: Pretrainer = make(config.options, method_offer, context, space, data)
    return Pretraining(folder, config, {f"{o.kind}.{o.name}": o.where for o in offers}, data, space, pretrainer)


def pretrain(training: Pretraining, progress: Progress) -> Iterator[Epoch]:
    """Train to the end, epoch by epoch, from where the folder stands; then write the result.

    Raises `StateError` for a folder whose training was another one, `ResourceError` if another process holds it.
    """
    folder, pretrainer = training.folder, training.pretrainer
    require_folder(folder, _OURS, "pretraining")
    with sole_writer(folder):
        identity, file = _identity(training), folder / JOURNAL
        if file.exists() and (before := read(file)):
            require_same(folder, before[0], identity, "pretraining", FORMAT, "train in another folder")
        with Journal(file) as journal:
            if not journal.records:
                journal.append("pretraining", format=FORMAT, **identity)
            publish_text(folder / "pretrain.toml", _about(training, identity))
            learns = learner(pretrainer)
            store = WeightStore(folder / "weights", {"supernet": learns}, journal, identity=identity)
            nothing = np.empty((0, len(training.space.variables)), dtype=np.int64)
            for epoch in range(pretrainer.epochs):
                learns.losses.clear()
                store.advance(epoch, pretrainer.epochs - 1, nothing, progress)
                yield _measured(store, journal, training, epoch, learns.losses.get(epoch))
            _settle(training, journal, store)


def _measured(store: WeightStore, journal: Journal, training: Pretraining, epoch: int, loss: float | None) -> Epoch:
    """What an epoch came to: measured once, and recorded."""
    record = journal.first("epoch", epoch=epoch)
    if record is None:
        store.hold(epoch)
        record = journal.append("epoch", epoch=epoch, errors=dict(training.pretrainer.measure()), loss=loss)
    adapted = journal.first("adapted", iteration=epoch)
    seconds = 0.0 if adapted is None else adapted["seconds"]
    return Epoch(epoch, training.pretrainer.phase(epoch), record["errors"], record["loss"], seconds)


def _settle(training: Pretraining, journal: Journal, store: WeightStore) -> None:
    """Write the result, unless it is there as it was written."""
    result, written = training.result, journal.first("written")
    if written is not None and not fault(result, written["sha256"]):
        return
    store.hold(store.version)
    write_result(journal, result, training.pretrainer.save)


def _identity(training: Pretraining) -> dict[str, Any]:
    """What has to be the same when a training goes on."""
    found = [part.fingerprint for part in (training.data, training.space) if isinstance(part, Fingerprinted)]
    return {"config": asdict(training.config), "data": found, "plugins": dict(training.versions)}


def _about(training: Pretraining, identity: Mapping[str, Any]) -> str:
    tables = asdict(training.config) | {"plugins": identity["plugins"], "fingerprints": identity["data"]}
    classes = list(training.data.classes)
    return tomli_w.dumps(tables | {"context": {"image_size": training.data.image_size, "class_names": classes}})
