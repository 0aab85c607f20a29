"""The hooks. A plugin is a module with some of these functions, marked `@hookimpl`, named by an entry point.

    [project.entry-points.nat_core]
    nat_mine = "nat_mine"

`register_*` hooks return names and factories, and nothing else. A factory is any callable; its signature is the schema
of its options, and its body the place for heavy imports. A parameter named `seed`, `classes` or `image_size` that the
user does not set is filled in by the run: the run's seed, and the number of classes and the picture side of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from nat_core.archive import Archive
    from nat_core.run import Run

hookspec = pluggy.HookspecMarker("nat_core")
hookimpl = pluggy.HookimplMarker("nat_core")

Factory = Callable[..., Any]


@hookspec
def register_search_spaces() -> Mapping[str, Factory]:
    """Search spaces by name. A factory takes `(**options)` and returns a `SearchSpace`."""
    raise NotImplementedError


@hookspec
def register_surrogates() -> Mapping[str, Factory]:
    """Surrogates by name. A factory takes `(space, **options)` and returns a `Surrogate`."""
    raise NotImplementedError


@hookspec
def register_optimizers() -> Mapping[str, Factory]:
    """Optimizers by name. A factory takes `(space, **options)` and returns an `Optimizer`."""
    raise NotImplementedError


@hookspec
def register_estimators() -> Mapping[str, Factory]:
    """Costly objectives by name. A factory returns an `Estimator`.

    It takes `(space, data, **options)`, or `(space, **options)` for one that needs no data.
    """
    raise NotImplementedError


@hookspec
def register_cost_models() -> Mapping[str, Factory]:
    """Cheap objectives by name. A factory takes `(space, **options)` and returns a `CostModel`."""
    raise NotImplementedError


@hookspec
def register_executors() -> Mapping[str, Factory]:
    """Where architectures are measured, for `nat run --executor`: `(**options)` → `Executor`."""
    raise NotImplementedError


@hookspec
def register_datasets() -> Mapping[str, Factory]:
    """Data sets by name. A factory takes `(**options)` and returns a `Dataset`."""
    raise NotImplementedError


@hookspec
def register_baselines() -> Mapping[str, Factory]:
    """Whole searches that use no part of ours, for `nat bench`: `(space, **options)`, returns a `Baseline`."""
    raise NotImplementedError


@hookspec
def register_pretrainers() -> Mapping[str, Factory]:
    """Ways to train a supernet before any search, for `nat pretrain`: `(space, data, **options)` → `Pretrainer`."""
    raise NotImplementedError


@hookspec
def register_finetuners() -> Mapping[str, Factory]:
    """Ways to train one network of a run alone, for `nat finetune`: `(space, data, **options)` → `FineTuner`."""
    raise NotImplementedError


@hookspec
def register_evaluators() -> Mapping[str, Factory]:
    """What measures networks that stand alone, for `nat evaluate` and `nat finetune`: `(data, **options)`.

    A factory returns an `Evaluator`.
    """
    raise NotImplementedError


@hookspec
def register_engines() -> Mapping[str, Factory]:
    """What runs and times networks on a device, for `nat latency` and `measured`. A factory returns an `Engine`.

    It takes `(device, threads, **options)`.
    """
    raise NotImplementedError


@hookspec
def register_exporters() -> Mapping[str, Factory]:
    """Formats of files that a network can be used in without nat, for `nat export`: `(**options)` → `Exporter`."""
    raise NotImplementedError


@hookspec
def register_trackers() -> Mapping[str, Factory]:
    """Programs that a run is followed in, for `nat run --tracker`: `(**options)` → `Tracker`."""
    raise NotImplementedError


@hookspec
def on_iteration(run: Run, archive: Archive) -> None:
    """Called after every iteration with the archive as it stands. An error is reported, and the run goes on."""


@hookspec
def on_finish(run: Run, archive: Archive) -> None:
    """Called once when a run is complete, with the final archive. An error is reported, and the run goes on."""
