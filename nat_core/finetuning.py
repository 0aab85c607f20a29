"""One network of a run, taken out of the supernet and trained alone: epoch by epoch, and resumable at each.

RUN/finetuned/3f9c01d2a4b7/     named by a digest of the architecture
  network.safetensors    the result: the network trained, or as it was where that was no worse
  network.json           what it is, what it came from, and its errors before and after
  finetune.jsonl         the journal, the truth
  before.safetensors     the network as the run left it
  weights/0007/network   after epoch 7; the last two are kept, and either can be used

The run itself is read only. Whether training helped is decided on the validation split; the test split is looked at
once, when that is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nat_core import config as configs
from nat_core import plugins
from nat_core.config import RunConfig
from nat_core.contracts import (
    Dataset,
    Evaluator,
    FineTuner,
    Progress,
    Split,
    StaticNetwork,
    SupernetSpace,
)
from nat_core.durable import publish, publish_text, sole_writer
from nat_core.encoding import Architecture
from nat_core.epochs import learner, require_folder, require_same, write_result
from nat_core.errors import StateError
from nat_core.finetuned import ABOUT, FORMAT, RESULT, data_made_with, made_with, named_fault
from nat_core.journal import Journal, Record, read
from nat_core.parts import about_data, make, require_parts, shorthands
from nat_core.plugins import Offer
from nat_core.run import Run, find_parts
from nat_core.taking import take
from nat_core.weights import WeightStore

JOURNAL, BEFORE = "finetune.jsonl", "before.safetensors"
_OURS = frozenset({"lock", "weights", JOURNAL, RESULT, ABOUT, BEFORE})


@dataclass(frozen=True)
class FinetuneConfig:
    """How a network is trained and measured."""

    method: str = "finetune"
    evaluator: str = "errors"
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of these, and of the run's own parts


@dataclass(frozen=True)
class Finetuning:
    """A training that is built."""

    folder: Path
    config: FinetuneConfig
    versions: Mapping[str, str]
    run: Run
    data: Dataset
    space: SupernetSpace
    architecture: Architecture
    weights: Mapping[str, Any]  # of the run: the iteration and the sha256 of the file
    tuner: FineTuner
    evaluator: Evaluator

    @property
    def side(self) -> int:
        """Of the pictures that the network takes."""
        return self.space.input_shape(self.architecture)[1]

    @property
    def name(self) -> str:
        """The short text form of the architecture."""
        return str(self.space.describe(self.architecture)["architecture"])

    def measure(self, split: Split) -> dict[str, float]:
        """The errors of the network as it is now."""
        about, n_classes = self.space.describe(self.architecture), len(self.data.classes)
        return dict(self.evaluator(StaticNetwork(self.tuner.network, about, self.side, n_classes), split))


@dataclass(frozen=True)
class Epoch:
    """One that is done."""

    number: int  # from 0
    loss: float | None  # none where the training was stopped before it could be noted
    seconds: float


def offers(saved: RunConfig, config: FinetuneConfig) -> tuple[Offer, ...]:
    """The fine-tuner, the evaluator, and the estimators and other parts of the run."""
    registry = plugins.registry()
    own = registry.find("finetuners", config.method), registry.find("evaluators", config.evaluator)
    return *own, *find_parts(saved).offers()


def with_words(saved: RunConfig, config: FinetuneConfig, words: Mapping[str, str | None]) -> FinetuneConfig:
    """The config with words such as `--device cuda`, for whatever computes. What is set by name stays."""
    computing = [o for o in offers(saved, config) if o.kind in {"finetuners", "evaluators", "estimators"}]
    chosen: configs.Layer = {}
    for text in shorthands(words, computing):
        chosen = configs.merged_layers(chosen, configs.setting(text)["options"])
    return replace(config, options=configs.merged_layers(chosen, config.options))


def build(
    saved: RunConfig, source: Path, architecture: Architecture, config: FinetuneConfig, out: Path | None
) -> Finetuning:
    """Build what a run of the config `saved` in the folder `source` was made of, with the weights of its network.

    Raises `ConfigError` for an architecture that the run has not measured, and for a run without a supernet;
    `StateError` where the data changed, or the weights are gone.
    """
    found = offers(saved, config)
    require_parts(configs.merged_layers(saved.options, config.options), found)
    folder = out or source / "finetuned" / digest(architecture)
    taken = take(saved, source, architecture, config.options, version=_begun_with(folder))
    run, data, space = taken.run, taken.data, taken.space
    context = {"seed": saved.seed} | about_data(data)
    tuner: FineTuner = make(config.options, found[0], context, space, data)
    evaluator: Evaluator = make(config.options, found[1], context, data)
    tuner.begin(architecture, taken.estimator.network)
    versions = {f"{o.kind}.{o.name}": o.where for o in found}
    return Finetuning(folder, config, versions, run, data, space, architecture, taken.weights, tuner, evaluator)


def digest(architecture: Architecture) -> str:
    """Of an architecture: a name for a folder."""
    return hashlib.sha256(json.dumps(list(architecture)).encode()).hexdigest()[:12]


def _begun_with(folder: Path) -> int | None:
    """The iteration of the run whose weights a training began with; none where it has not begun.

    A run that goes on measures the network again, with newer weights: the training goes on with those it has.
    """
    file = folder / JOURNAL
    records = read(file) if file.exists() else []
    begun: int | None = records[0].get("weights", {}).get("iteration") if records else None
    return begun


def finetune(training: Finetuning, progress: Progress, *, test: bool = False) -> Iterator[Epoch]:
    """Train to the end, epoch by epoch, from where the folder stands; then write the result.

    With `test` the result is measured on the test split, once in the life of the folder. Raises `StateError` for a
    folder whose training was another one, `ResourceError` if another process holds it.
    """
    folder, tuner = training.folder, training.tuner
    require_folder(folder, _OURS, "fine-tuning")
    with sole_writer(folder):
        identity, file = _identity(training), folder / JOURNAL
        if file.exists() and (records := read(file)):
            identity = {name: value for name, value in identity.items() if name != "data" or name in records[0]}
            require_same(folder, records[0], identity, "finetuning", FORMAT, "choose another folder with --out")
        with Journal(file) as journal:
            if not journal.records:
                journal.append("finetuning", format=FORMAT, **identity)
            _keep_before(training, journal)
            learns = learner(tuner)
            store = WeightStore(folder / "weights", {"network": learns}, journal, identity=identity)
            nothing = np.empty((0, len(training.space.variables)), dtype=np.int64)
            for epoch in range(tuner.epochs):
                learns.losses.clear()
                store.advance(epoch, tuner.epochs - 1, nothing, progress)
                yield _noted(journal, epoch, learns.losses.get(epoch))
            _settle(training, journal, store)
            if test and journal.first("tested") is None:
                tuner.load(training.folder / RESULT)
                journal.append("tested", errors=training.measure(training.data.test))
            publish_text(folder / ABOUT, json.dumps(_document(training, journal), indent=2, allow_nan=False) + "\n")


def _keep_before(training: Finetuning, journal: Journal) -> None:
    """The network as it is taken out of the run, and its errors; or as it was when that was done."""
    file, known = training.folder / BEFORE, journal.first("before")
    if known is None:
        errors = training.measure(training.data.val)
        journal.append("before", errors=errors, sha256=publish(file, training.tuner.save))
    elif wrong := named_fault(file, known["sha256"]):
        raise StateError(f"{wrong}: restore it from a copy, or train in another folder")
    else:
        training.tuner.load(file)


def _noted(journal: Journal, epoch: int, loss: float | None) -> Epoch:
    """What an epoch came to, recorded once."""
    record = journal.first("epoch", epoch=epoch)
    if record is None:
        record = journal.append("epoch", epoch=epoch, loss=loss)
    adapted = journal.first("adapted", iteration=epoch)
    return Epoch(epoch, record["loss"], 0.0 if adapted is None else adapted["seconds"])


def _settle(training: Finetuning, journal: Journal, store: WeightStore) -> None:
    """Write the better of the network before and after."""
    result, written = training.folder / RESULT, journal.first("written")
    if written is not None and not named_fault(result, written["sha256"]):
        return
    store.hold(store.version)
    before = _known(journal, "before")["errors"]
    after = training.measure(training.data.val) if written is None else written["errors"]
    better = _deciding(after) < _deciding(before)
    if not better:
        training.tuner.load(training.folder / BEFORE)
    write_result(journal, result, training.tuner.save, errors=after, kept="after" if better else "before")


def _known(journal: Journal, kind: str) -> Record:
    record = journal.first(kind)
    assert record is not None  # noqa: S101 - it was appended before
    return record


def _deciding(errors: Mapping[str, float]) -> float:
    """The first of the errors."""
    return next(iter(errors.values()))


def _document(training: Finetuning, journal: Journal) -> dict[str, Any]:
    """What a user of the network would ask."""
    data, before, written = training.data, _known(journal, "before"), _known(journal, "written")
    tested, run = journal.first("tested"), training.run
    return {
        "format": FORMAT,
        "space": run.config.space,
        "space_options": made_with(run.config, run.parts.space, about_data(data)),
        "network": dict(training.space.describe(training.architecture)),
        "input": [3, training.side, training.side],
        "classes": list(data.classes),
        "mean": [float(m) for m in data.mean],
        "std": [float(s) for s in data.std],
        "run": str(run.folder.absolute()),
        "data": run.config.data,
        "data_options": {} if run.parts.data is None else data_made_with(run.config, run.parts.data),
        "data_fingerprint": data.fingerprint,
        "run_weights": dict(training.weights),
        "errors": {"before": before["errors"], "after": written["errors"]},
        "kept": written["kept"],
        "test": None if tested is None else tested["errors"],
        "method": training.config.method,
        "options": training.config.options,
        "plugins": dict(training.versions),
        "weights": {"file": RESULT, "sha256": written["sha256"]},
    }


def _identity(training: Finetuning) -> dict[str, Any]:
    """What has to be the same when a training goes on; older journals lack the data."""
    return {
        "config": asdict(training.config),
        "architecture": list(training.architecture),
        "weights": dict(training.weights),
        "data": training.data.fingerprint,
        "plugins": dict(training.versions),
    }
