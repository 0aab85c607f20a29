"""From a config and a folder to a search: start it, resume it, replay it.

runs/digits-mbv3-20261122-1/
  run.toml           the resolved config; plugins with versions; what the data and the space were
  journal.jsonl      the truth
  weights/           what the estimators learnt, by iteration; and how far the present one has come
  front.csv, front.svg   derived by listeners; may be deleted
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nat_core import config as configs
from nat_core import measures, options, plugins
from nat_core.archive import Archive
from nat_core.config import NO_EXECUTOR, NO_SURROGATE, TOP1_ERROR, RunConfig, part_name
from nat_core.contracts import (
    AdaptiveEstimator,
    CostModel,
    Dataset,
    DirectOptimizer,
    Estimator,
    Executor,
    Fingerprinted,
    Optimizer,
    Progress,
    SearchSpace,
    Surrogate,
    Undisturbed,
)
from nat_core.durable import is_draft, publish_text, require_room, sole_writer
from nat_core.encoding import Architecture
from nat_core.errors import ConfigError, PluginError, StateError
from nat_core.feasibility import require_feasible
from nat_core.journal import Journal, Record, read
from nat_core.ledger import Ledger
from nat_core.parts import about_data, factory, make, require_options
from nat_core.plugins import Offer
from nat_core.problem import Constraint, Problem
from nat_core.search import Plan, search
from nat_core.tracking import Followed
from nat_core.weights import WeightStore

log = logging.getLogger("nat_core")

FORMAT = 1
BACK = "move them back, or put a link there"
_RECORD = 4096  # bytes at most that a network takes in the journal, all its measurements together
_FILES = 10  # beside the weights
_ANEW = "`nat resume {folder}` goes on with what it was; or start a new run in another folder."
_REMEDIES = {
    "config": _ANEW,
    "space": _ANEW,
    "data": "Put back what it was, or start a new run in another folder. `nat resume {folder} --accept data` goes on "
    "all the same; what was measured before stays as it is.",
    "plugins": "`nat resume {folder} --accept plugins` goes on all the same.",
}


@dataclass(frozen=True)
class Parts:
    """The plugins of a run, found and their options checked, before anything is built."""

    config: RunConfig
    space: Offer
    data: Offer | None  # none where nothing is measured on pictures
    surrogate: Offer | None  # none where the optimizer searches on measurements alone
    optimizer: Offer
    estimators: Mapping[str, Offer]
    costs: Mapping[str, Offer]
    constraints: tuple[Constraint, ...]
    trackers: Mapping[str, Offer] = field(default_factory=dict)
    executor: Offer | None = None  # none: the process of the run measures itself

    def offers(self) -> tuple[Offer, ...]:
        """All that decide what the run finds."""
        some = (self.space, self.data, self.surrogate, self.optimizer, *self.estimators.values(), *self.costs.values())
        return tuple(offer for offer in some if offer is not None)

    def versions(self) -> dict[str, str]:
        """Kind and name → distribution and version."""
        return {f"{o.kind}.{o.name}": o.where for o in self.offers()}


@dataclass(frozen=True)
class Run:
    """A run that is built: what listeners are given."""

    folder: Path
    config: RunConfig
    parts: Parts
    data: Dataset | None
    problem: Problem
    surrogate: Surrogate | None
    optimizer: Optimizer
    plan: Plan
    trackers: Mapping[str, Followed] = field(default_factory=dict)
    executor: Executor | None = None  # none: this process measures itself
    strict: bool = False  # whether the first failure of a plugin ends it

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.problem.space

    @property
    def subject(self) -> str:
        """What is searched, and on which data, in a few words."""
        return self.config.space if self.data is None else f"{self.config.space} on {self.config.data_name()}"


def find_parts(config: RunConfig) -> Parts:
    """Every plugin that the config names, its options checked. Raises `ConfigError`; touches no data."""
    registry = plugins.registry()
    constraints = tuple(map(measures.constraint, config.constraints))
    columns = {"objectives": tuple(map(measures.column, config.objectives))}
    config = config.model_copy(update=columns | {"constraints": tuple(map(measures.canonical, config.constraints))})
    names = tuple(dict.fromkeys(config.objectives))
    if len(names) < 2:
        raise ConfigError(
            f"the objectives are {', '.join(config.objectives)}: a front needs two different ones at least"
        )
    measured = {n: _measure(registry, config, n) for n in names}
    estimators = {n: offer for n, offer in measured.items() if offer.kind == "estimators"}
    constrained = dict.fromkeys(c.name for c in constraints if c.name not in measured)
    costs = {n: offer for n, offer in measured.items() if n not in estimators}
    costs |= {n: _constrained(n) for n in constrained}
    _require_data_where_needed(config, estimators)
    parts = Parts(
        config,
        registry.find("search_spaces", config.space),
        None if config.data is None else registry.find("datasets", config.data),
        None if config.surrogate == NO_SURROGATE else registry.find("surrogates", config.surrogate),
        registry.find("optimizers", config.optimizer),
        estimators,
        costs,
        constraints,
        {name: registry.find("trackers", name) for name in config.followed_by()},
        None if config.executor == NO_EXECUTOR else registry.find("executors", config.executor),
    )
    elsewhere = () if parts.executor is None else (parts.executor,)
    require_options(config.options, (*parts.offers(), *parts.trackers.values(), *elsewhere))
    return parts


def _measure(registry: plugins.Registry, config: RunConfig, objective: str) -> Offer:
    """The estimator or the cost model of an objective."""
    if objective == TOP1_ERROR:
        return registry.find("estimators", config.estimator)
    return measures.measure(objective, "estimators", "cost_models").offer


def _constrained(name: str) -> Offer:
    """The cost model of a constraint that is no objective."""
    with contextlib.suppress(PluginError):
        found = measures.measure(name, "cost_models", "estimators").offer
        if found.kind == "estimators":
            raise ConfigError(
                f"{name} is measured, one architecture at a time: to bound it, make it an objective too, with "
                f"--objective {found.name}"
            )
    return measures.measure(name, "cost_models").offer


def _require_data_where_needed(config: RunConfig, estimators: Mapping[str, Offer]) -> None:
    """Raise `ConfigError` for data that nothing looks at, and for an estimator that has none to look at."""
    on_data = [name for name, offer in estimators.items() if options.takes_data(offer.factory)]
    if on_data and config.data is None:
        raise ConfigError(f"{' and '.join(on_data)} cannot be measured without data: choose some, as --data digits")
    if config.data is not None and not on_data:
        by = ", ".join(f"{name} by {offer.name}" for name, offer in estimators.items()) or "all are costs"
        raise ConfigError(
            f"the data are {config.data!r}, and no objective of this run is measured on any ({by}): leave --data out"
        )


def trackers(parts: Parts) -> dict[str, Followed]:
    """The trackers of a run, before anything is loaded. Raises `ConfigError` where a package is not installed."""
    return {name: Followed(name, make(parts.config.options, offer, {})) for name, offer in parts.trackers.items()}


def build(parts: Parts, folder: Path, trackers: Mapping[str, Followed] | None = None, *, strict: bool = False) -> Run:
    """Load the data and build every part. Raises `ConfigError` for unusable data or constraints nothing can meet."""
    config = parts.config
    data: Dataset | None = None if parts.data is None else make(config.options, parts.data, {"seed": config.seed})
    context: dict[str, Any] = {"seed": config.seed}
    if data is not None:
        context |= about_data(data)
    space: SearchSpace = make(config.options, parts.space, context)
    costs: dict[str, CostModel] = {n: make(config.options, o, context, space) for n, o in parts.costs.items()}
    cheap = Problem(space, config.objectives, {}, costs, parts.constraints)
    require_feasible(cheap)
    surrogate: Surrogate | None = (
        None if parts.surrogate is None else make(config.options, parts.surrogate, context, space)
    )
    optimizer: Optimizer = make(config.options, parts.optimizer, context, space)
    if surrogate is None and not isinstance(optimizer, DirectOptimizer):
        raise ConfigError(
            f"without a surrogate the optimizer has to search on measurements alone, and {config.optimizer} cannot; "
            f"these can: {', '.join(_direct_optimizers(space)) or 'none of those installed'}"
        )
    estimators: dict[str, Estimator] = {
        n: make(config.options, o, context, space, *([data] if options.takes_data(o.factory) else []))
        for n, o in parts.estimators.items()
    }
    problem = Problem(space, config.objectives, estimators, costs, parts.constraints)
    plan = Plan(**config.search.model_dump())
    executor: Executor | None = None if parts.executor is None else make(config.options, parts.executor, {})
    if executor is not None:
        _require_undisturbed(executor, config.executor, estimators)
    return Run(folder, config, parts, data, problem, surrogate, optimizer, plan, trackers or {}, executor, strict)


def _require_undisturbed(executor: Executor, name: str, estimators: Mapping[str, Estimator]) -> None:
    """Raise `ConfigError` where several architectures at a time would spoil what is measured of each."""
    alone = [n for n, e in estimators.items() if isinstance(e, Undisturbed) and e.undisturbed]
    if alone and executor.width > 1:
        raise ConfigError(
            f"{' and '.join(alone)} would be measured {executor.width} at a time by the executor {name}, and each slow "
            f"the others: set -s {part_name(name)}.workers=1, or leave --executor out"
        )


def _direct_optimizers(space: SearchSpace) -> Iterator[str]:
    """The names of the optimizers that can do without a surrogate, as far as their defaults can be tried."""
    for name, offer in plugins.registry().of("optimizers").items():
        with contextlib.suppress(Exception):  # a plugin may raise anything
            if isinstance(factory(offer)(space), DirectOptimizer):
                yield name


def build_space(config: RunConfig, offer: Offer, tables: Mapping[str, Any]) -> SearchSpace:
    """The space of a run folder alone, without its data."""
    space: SearchSpace = make(config.options, offer, {"seed": config.seed, **tables.get("context", {})})
    return space


def build_cost(config: RunConfig, offer: Offer, space: SearchSpace, tables: Mapping[str, Any]) -> CostModel:
    """A cost model for a space of a run folder, one of the run's own or any other."""
    cost: CostModel = make(config.options, offer, {"seed": config.seed, **tables.get("context", {})}, space)
    return cost


def new_folder(config: RunConfig, under: Path = Path("runs")) -> Path:
    """A folder that does not exist yet, named by data (if any), space and day."""
    names = (config.data_name(), part_name(config.space)) if config.data else (part_name(config.space),)
    stem = f"{'-'.join(map(_safe, names))}-{datetime.now().astimezone():%Y%m%d}"
    taken = {path.name for path in under.glob(f"{stem}-*")}
    return under / f"{stem}-{next(i for i in range(1, len(taken) + 2) if f'{stem}-{i}' not in taken)}"


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in name).strip("_")[:40] or "data"


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run."""
    return (folder / "run.toml").exists() or (folder / "journal.jsonl").exists()


def others_in(folder: Path) -> list[str]:
    """The names of what no start of a run leaves in a folder, in their order."""
    return sorted(p.name for p in folder.iterdir() if not _ours(p.name))


def gone(config: RunConfig) -> Path | None:
    """The folder of pictures that a run is on, where there is none of that name any more."""
    if config.data is None or part_name(config.data) != "folder":
        return None
    place = Path(os.path.expanduser(config.options["folder"]["path"]))  # noqa: PTH111 - Path's own raises on ~nobody
    return None if place.exists() else place


def require_pictures(config: RunConfig, folder: Path, remedy: str = BACK) -> None:
    """Raise `ConfigError` where the folder of pictures that a run began with is gone."""
    if (place := gone(config)) is not None:
        raise ConfigError(f"the run in {folder} expects its pictures in {place}, and there is no such folder: {remedy}")


@contextlib.contextmanager
def opened(run: Run, progress: Progress, accept: frozenset[str] = frozenset()) -> Iterator[Ledger]:
    """Hold the run folder, begin its journal or check that it is this run's, and give the ledger.

    Raises `ResourceError` if another process holds it, `StateError` if config, data, space or plugins changed.
    """
    require_free(run.folder)
    plan = run.plan
    networks = plan.initial + plan.iterations * plan.batch
    require_room(run.folder, networks * _RECORD, _FILES, "the records and figures of this run")
    with sole_writer(run.folder):
        identity, file, accepted = identity_of(run), run.folder / "journal.jsonl", set[str]()
        before = read(file) if file.exists() else []
        if not before and any((run.folder / name).exists() for name in ("run.toml", "weights")):
            raise StateError(
                f"{run.folder} has lost its journal; restore {file.name} from a copy, or use another folder"
            )
        if before:  # refuse before anything is changed, a torn tail included
            accepted = _require_same(run.folder, _recognised_by(before), identity, accept, _fingerprints(run))
        with Journal(file) as journal:
            if not journal.records:
                journal.append("begun", format=FORMAT, **identity, fingerprints=_fingerprints(run))
            elif accepted:
                changed = {name: identity[name] for name in sorted(accepted)}
                journal.append("accepted", **changed, fingerprints=_fingerprints(run))
            if not (run.folder / "run.toml").exists():
                publish_text(run.folder / "run.toml", _about(run, identity))
            adaptive = {n: e for n, e in run.problem.estimators.items() if isinstance(e, AdaptiveEstimator)}
            weights = WeightStore(run.folder / "weights", adaptive, journal, identity=identity)
            here = contextlib.nullcontext()
            with here if run.executor is None else run.executor.crew(recipe(run, identity)) as crew:
                yield Ledger(run.problem, journal, weights, progress, crew, run.strict)


def recipe(run: Run, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What `nat_core.working.take_up` makes the parts of a run from in another process: plain JSON."""
    same = {name: identity[name] for name in ("space", "data", "plugins")}
    return {"config": run.config.deciding().model_dump(mode="json"), "identity": same}


def require_unchanged(run: Run) -> None:
    """Raise `StateError` where the space or the data are not what the run in this folder went on with.

    Networks do not depend on what else values are looked up in: a latency table may have changed.
    """
    known, now = _recognised_by(read(run.folder / "journal.jsonl")), _fingerprints(run)
    accept = {"config", "plugins"}
    if isinstance(noted := known.get("fingerprints"), Mapping):  # older journals lack them
        accept |= {"data"} if all(noted.get(part) == now.get(part) for part in ("data", "space")) else set()
    _require_same(run.folder, known, identity_of(run), frozenset(accept), now)


def _recognised_by(records: Sequence[Record]) -> Mapping[str, Any]:
    """The record of a run's beginning, with what was accepted since in place of what it began with."""
    begun: dict[str, Any] = dict(records[0]) if records else {}
    for record in records:
        if record["kind"] == "accepted":
            begun |= {name: record[name] for name in ("data", "plugins", "fingerprints") if name in record}
    return begun


def _about(run: Run, identity: Mapping[str, Any]) -> str:
    """The text of `run.toml`: the config, and what a reader of the folder would ask."""
    found = {name: identity[name] for name in ("space", "data") if identity[name] is not None}
    fingerprints = found | {"machine": _machine()}
    return configs.dump(run.config, plugins=run.parts.versions(), context=_context(run), fingerprints=fingerprints)


def iterate(run: Run, ledger: Ledger) -> Iterator[Archive]:
    """The search, each archive announced to the listeners."""
    registry = plugins.registry()
    for archive in search(run.problem, run.surrogate, run.optimizer, run.plan, run.config.seed, ledger):
        registry.announce("on_iteration", strict=run.strict, run=run, archive=archive)
        yield archive


def finish(run: Run, ledger: Ledger, archive: Archive) -> dict[Architecture, dict[str, float]]:
    """Measure the final front on the test split, once, and tell the listeners."""
    tested = ledger.test(archive.front)
    if ledger.journal.first("finished") is None:
        ledger.journal.append("finished", evaluations=len(archive), journal_seconds=round(ledger.journal.seconds, 4))
    plugins.registry().announce("on_finish", strict=run.strict, run=run, archive=archive)
    return tested


def require_free(folder: Path) -> None:
    """Raise `ConfigError` for what can neither begin a run nor go on with one: a file, or a folder of other files."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; a run needs a folder")
    if folder.is_dir() and not is_run(folder) and others_in(folder):
        raise ConfigError(f"{folder} holds other files and no run; choose an empty or a new folder")


def _ours(name: str) -> bool:
    """Whether a file may be what a start that was cut short has left."""
    return name == "lock" or is_draft(name)


def identity_of(run: Run) -> dict[str, Any]:
    """What has to be the same when a run goes on; some of it is read from files."""
    variables = [[v.name, [str(c) for c in v.choices]] for v in run.space.variables]
    space = hashlib.sha256(json.dumps(variables).encode()).hexdigest()
    return {
        "config": run.config.flat(),
        "space": space,
        "data": _measured_on(run),
        "plugins": run.parts.versions(),
    }


def _fingerprints(run: Run) -> dict[str, str]:
    """Part → fingerprint: of the data, and of what values are looked up in."""
    parts = {"data": run.data, "space": run.space, **run.problem.estimators, **run.problem.costs}
    return {name: part.fingerprint for name, part in parts.items() if isinstance(part, Fingerprinted)}


def _measured_on(run: Run) -> str | None:
    """sha256 of the data, and of the files that values are looked up in; none where there is neither."""
    found = "\n".join(dict.fromkeys(_fingerprints(run).values()))
    if not found or found.isalnum():  # none, or the sha256 of one alone
        return found or None
    return hashlib.sha256(found.encode()).hexdigest()


def _context(run: Run) -> dict[str, Any]:
    """What parts are told of the data."""
    if run.data is None:
        return {}
    return about_data(run.data) | {"class_names": list(run.data.classes)}


def _machine() -> dict[str, Any]:
    """Where the run began: floating-point sums may differ elsewhere."""
    return {"platform": platform.platform(), "processors": os.cpu_count() or 0, "python": platform.python_version()}


def _require_same(
    folder: Path,
    begun: Mapping[str, Any],
    now: Mapping[str, Any],
    accept: frozenset[str],
    fingerprints: Mapping[str, str],
) -> set[str]:
    """What changed and is accepted. Raises `StateError` for what is not."""
    if begun.get("kind") != "begun" or begun.get("format") != FORMAT:
        raise StateError(
            f"{folder} was made by another version of nat (journal format {begun.get('format')!r}; this reads {FORMAT})"
        )
    if isinstance(config := begun.get("config"), Mapping):  # what an older journal lacks was as the default is
        begun = {**begun, "config": {**RunConfig().flat(), **config}}
    changed = {name for name in ("config", "space", "data", "plugins") if begun.get(name) != now[name]}
    for name in sorted(changed - accept):
        detail = _difference(begun.get(name), now[name])
        if name == "data" and isinstance(parts := begun.get("fingerprints"), Mapping):  # older journals lack them
            detail = _difference(*(_shortened(each) for each in (parts, fingerprints))) or detail
        raise StateError(
            f"{folder} cannot go on: its {name} changed since it began ({detail}). Nothing in it was touched. "
            + _REMEDIES[name].format(folder=folder)
        )
    return changed


def _shortened(fingerprints: Mapping[str, Any]) -> dict[str, str]:
    """Fingerprints as a person compares them: what they say in words is whole."""
    return {name: re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", str(text)) for name, text in fingerprints.items()}


def _difference(before: Any, now: Any) -> str:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
        return "; ".join(f"{k} was {before.get(k, 'absent')}, is {now.get(k, 'absent')}" for k in keys)
    return f"sha256 was {str(before)[:12]}…, is {str(now)[:12]}…"
