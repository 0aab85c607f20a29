"""A network of a run, taken out of the supernet with the weights that measured it.

What `nat finetune`, `nat evaluate` and `nat export` begin with. The run is only read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nat_core import config as configs
from nat_core.config import RunConfig
from nat_core.contracts import AdaptiveEstimator, Dataset, StaticNetwork, SubnetEstimator, SupernetSpace
from nat_core.durable import fault
from nat_core.encoding import Architecture
from nat_core.errors import ConfigError, StateError
from nat_core.journal import Record, read
from nat_core.run import BACK, Run, build, find_parts, require_pictures, require_unchanged
from nat_core.weights import INITIAL

log = logging.getLogger("nat_core")


@dataclass(frozen=True)
class Taken:
    """A run that is built, and one of its networks: `estimator.network(architecture)` gives it."""

    run: Run
    data: Dataset
    space: SupernetSpace
    architecture: Architecture
    estimator: SubnetEstimator
    weights: Mapping[str, Any]  # of the run: the iteration and the sha256 of the file
    measured: bool  # by the run, with these weights

    def network(self) -> StaticNetwork:
        """The network as the run measured it, recalibrated, in eval mode."""
        about, side = self.space.describe(self.architecture), self.space.input_shape(self.architecture)[1]
        return StaticNetwork(self.estimator.network(self.architecture), about, side, len(self.data.classes))


def take(
    saved: RunConfig,
    source: Path,
    architecture: Architecture,
    given: Mapping[str, Mapping[str, Any]],
    *,
    measured_only: bool = True,
    version: int | None = None,
    remedy: str = BACK,
) -> Taken:
    """The run of the config `saved` in the folder `source`, built, with the weights that measured an architecture.

    `given` are options of its parts that are to be others, such as the device. Without `measured_only` an architecture
    that the run has not measured gets the newest weights. `version` asks for the weights of an iteration instead of
    those that measured the architecture last. `remedy` says what to do where the pictures are gone. Raises as
    `build`.
    """
    records = read(source / "journal.jsonl")
    names = {configs.part_name(offer.name) for offer in find_parts(saved).offers()}
    changed = {part: values for part, values in given.items() if part in names}
    saved = saved.model_copy(update={"options": configs.merged_layers(saved.options, changed)})
    parts = find_parts(saved)
    if parts.data is None:
        raise ConfigError(f"the run in {source} measured no networks on pictures: there is none to take out of it")
    require_pictures(saved, source, remedy)
    run = build(parts, source)
    if run.data is None or not isinstance(run.space, SupernetSpace):
        raise ConfigError(f"the space {saved.space} has no supernet that networks could be taken out of")
    measured = _measured(records, run, architecture, required=measured_only)
    require_unchanged(run)
    name, estimator = _estimator(run)
    weights = _load(run, records, name, measured if version is None else version)
    with_these = measured is not None and weights["iteration"] in {measured, None}
    return Taken(run, run.data, run.space, architecture, estimator, weights, with_these)


def _measured(records: Iterable[Record], run: Run, architecture: Architecture, *, required: bool) -> int | None:
    """The version of the weights that an architecture was last measured with; none where it never was."""
    mine = [r for r in records if r["kind"] in {"measured", "failed"} and tuple(r["architecture"]) == architecture]
    if not mine and not required:
        return None
    if not mine:
        raise ConfigError(
            f"the run in {run.folder} has not measured {run.space.describe(architecture)['architecture']}: "
            f"`nat front {run.folder}` lists what it found"
        )
    if mine[-1]["kind"] == "failed":
        raise ConfigError(f"that architecture could not be measured: {mine[-1]['reason']}")
    version: int = mine[-1]["weights"]
    return version


def _estimator(run: Run) -> tuple[str, SubnetEstimator]:
    """What measured networks, and gives them away."""
    for name, estimator in run.problem.estimators.items():
        if isinstance(estimator, SubnetEstimator):
            return name, estimator
    listed = ", ".join(f"{name} by {run.config.measured_by(name)}" for name in run.problem.estimators)
    raise ConfigError(f"the run in {run.folder} has no network to train: nothing that it measured ({listed}) makes one")


def _load(run: Run, records: Iterable[Record], name: str, measured: int | None) -> dict[str, Any]:
    """Have an estimator hold the version of its weights that measured, or where that is no longer kept, a newer one.

    Where nothing was measured with any, it is the newest.
    """
    estimator = run.problem.estimators[name]
    files = {r["iteration"]: r["files"].get(name) for r in records if r["kind"] == "adapted"}
    if measured is None:
        measured = max(files, default=INITIAL)
    if measured == INITIAL or not isinstance(estimator, AdaptiveEstimator):
        return {"iteration": None, "sha256": None}
    faults = list[str]()
    for version in (measured, *(v for v in sorted(files, reverse=True) if v > measured)):
        file = run.folder / "weights" / f"{version:04d}" / name
        if wrong := fault(file, files.get(version)):
            faults.append(f"{file} {wrong}")
            continue
        if version != measured:
            log.warning(
                "the weights of iteration %d, which measured this network, are no longer kept: those of %d are used",
                measured,
                version,
            )
        estimator.load(file)
        return {"iteration": version, "sha256": files[version]}
    raise StateError(
        f"the weights of the run in {run.folder} cannot be used: {'; '.join(faults)}. Restore the folder weights from "
        "a copy"
    )
