"""`nat latency build`: every operator of a space timed on a device, alone and inside networks, as a table.

What was timed stands in a journal beside the table, record by record, and is not timed again after an interruption.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import BuildableOperators, Engine, Progress, SearchSpace
from nat_core.durable import on_disk, publish_text
from nat_core.encoding import Architecture, Encodings, as_architectures, everything
from nat_core.errors import ConfigError, ResourceError, StateError
from nat_core.journal import Journal
from nat_core.latency.fitting import Fit, fit, words
from nat_core.latency.measuring import PLACES, Candidate, Effort, Reference, Timing, measure, reference
from nat_core.latency.operators import reachable
from nat_core.latency.tables import LatencyTable, devices, text_of
from nat_core.seeding import rng

if TYPE_CHECKING:
    from torch import nn

FORMAT = 2  # of the journal
_POOL = 3000  # networks that the design is chosen from
ALONE, NETWORK = "alone", "network"


@dataclass(frozen=True)
class Plan:
    """What is going to be timed."""

    space: BuildableOperators
    operators: tuple[int, ...]  # reachable ones, as indices
    rows: Encodings  # (n_networks, n_variables): in which every operator occurs several times
    hosts: Mapping[int, Architecture]  # a network that has it, by operator

    def counts(self) -> NDArray[np.float64]:
        """How often each operator is in each network, (n_networks, n_operators)."""
        layers = self.space.layers(self.rows)
        return np.stack([(layers == i).sum(axis=1) for i in self.operators], axis=1).astype(np.float64)

    def name(self, operator: int) -> str:
        """Of an operator."""
        return self.space.operators[operator].name

    def references(self) -> list[Architecture]:
        """Networks of the design from small to large, by the operators' own costs: one for each place in memory."""
        layers = self.space.layers(self.rows)
        macs = np.array([*(operator.macs for operator in self.space.operators), 0])
        order = np.argsort(macs[layers].sum(axis=1), kind="stable")
        shares = (np.arange(PLACES) + 0.5) / PLACES
        return as_architectures(self.rows[order[(shares * len(order)).astype(np.int64)]])


def plan(space: SearchSpace, occurrences: int, seed: int) -> Plan:
    """Every operator at least once, and (as far as networks like these are drawn) `occurrences` times.

    Raises `ConfigError` for a space whose operators cannot be made.
    """
    if not isinstance(space, BuildableOperators):
        raise ConfigError(
            f"{type(space).__name__} is no space whose operators can be timed: it needs operators, layers and sequence"
        )
    operators = tuple(reachable(space))
    pool = np.unique(space.sample(_POOL, rng(seed, "latency design")), axis=0)
    layers = space.layers(pool)
    chosen, counts = list[int](), np.zeros(len(space.operators) + 1)
    hosts: dict[int, Architecture] = {}
    while len(chosen) < len(pool):
        need = np.maximum(occurrences - counts, 0.0)
        need[-1] = 0.0  # of an empty slot
        gain = (need[layers] / (1.0 + counts[layers])).sum(axis=1)
        gain[chosen] = -1.0
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        chosen.append(best)
        live = layers[best][layers[best] >= 0]
        np.add.at(counts, live, 1.0)
        for i in live.tolist():
            hosts.setdefault(i, as_architectures(pool[[best]])[0])
    missing = [i for i in operators if i not in hosts]
    return Plan(space, operators, *_with_rare(space, pool[chosen], missing, hosts, seed))


def _with_rare(
    space: BuildableOperators, rows: Encodings, missing: Sequence[int], hosts: dict[int, Architecture], seed: int
) -> tuple[Encodings, dict[int, Architecture]]:
    """Further networks for operators that the pool has not shown: of a small space all networks are looked at."""
    generator, found, listed = rng(seed, "latency design, rare"), [rows], everything(space.variables)
    for _ in range(64 if listed is None else 1):
        missing = [i for i in missing if i not in hosts]
        if not missing:
            break
        drawn = space.sample(4096, generator) if listed is None else space.canonicalize(listed)
        layers = space.layers(drawn)
        for i in missing:
            where = np.flatnonzero((layers == i).any(axis=1))
            if i not in hosts and len(where):
                found.append(drawn[where[:1]])
                for j in layers[where[0]][layers[where[0]] >= 0].tolist():
                    hosts.setdefault(j, as_architectures(drawn[where[:1]])[0])
    lacking = [space.operators[i].name for i in missing if i not in hosts]
    if lacking:
        raise ConfigError(
            f"no network with {lacking[0]} was drawn again, nor with {len(lacking) - 1} others: try another --seed"
        )
    return np.vstack(found), hosts


@dataclass(frozen=True)
class Build:
    """A table that is being made."""

    plan: Plan
    engine: Engine
    file: Path
    name: str  # of the device in the file
    identity: Mapping[str, Any]  # what has to be the same when the build goes on
    effort: Effort
    batch: int
    seed: int

    @property
    def journal(self) -> Path:
        """What has been timed so far."""
        return self.file.with_name(f"{self.file.name}.journal")


def require_new(file: Path, name: str) -> None:
    """Raise `ConfigError` where the file holds something else, or this device already."""
    if not file.parent.is_dir():
        raise ConfigError(f"the folder {file.parent} of --out is not there")
    if file.exists() and name in devices(file):
        raise ConfigError(f"{file} has a table of {name} already: give another --name or another file")


def build(work: Build, progress: Progress) -> LatencyTable:
    """Time what is missing, fit, and write the table.

    Raises `StateError` where the journal is of another build, and `ResourceError` where that build is still going on.
    """
    require_new(work.file, work.name)
    with _sole_builder(work.journal):
        return _build(work, progress)


@contextmanager
def _sole_builder(journal: Path) -> Iterator[None]:
    """Hold the journal: records of two processes would follow each other's, and none of them could be read."""
    with on_disk(journal):
        descriptor = os.open(journal, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ResourceError(
                f"cannot lock {journal}: {error.strerror}. If another process builds this table, wait for it to end, "
                "or choose another --out"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _build(work: Build, progress: Progress) -> LatencyTable:
    require_new(work.file, work.name)  # once more: whoever held the journal may have written it
    with Journal(work.journal) as journal:
        begun = journal.first("begun")
        if begun is None:
            begun = journal.append("begun", format=FORMAT, **work.identity)
        changed = sorted(k for k, v in {"format": FORMAT, **work.identity}.items() if begun.get(k) != v)
        if changed:
            raise StateError(
                f"{work.journal} is of a build with another {', '.join(changed)}: give another --out, or move it away"
            )
        done = {
            (r["stage"], r["name"]): Timing(r["ms"], r["spread"], r["rounds"], r["pace"]) for r in journal.find("timed")
        }
        start, beside = time.monotonic(), _reference(work, journal)
        for stage, blocks in (
            (ALONE, operator_blocks(work.plan, work.effort.block, work.batch)),
            (NETWORK, network_blocks(work.plan, work.effort.block, work.batch)),
        ):
            _time(work, journal, done, stage, blocks, beside, progress)
        seconds = round(sum(r["seconds"] for r in journal.find("timed")), 1)
    table = _table(work, done, beside, seconds or time.monotonic() - start)
    tables = devices(work.file) if work.file.exists() else {}
    publish_text(work.file, text_of({**tables, work.name: table}))
    work.journal.unlink()
    return table


def _reference(work: Build, journal: Journal) -> Reference:
    """Networks of the plan, and what they took when the build began."""
    known = journal.first("reference")
    found = reference(
        work.engine,
        [network_candidate(work.plan.space, a, work.batch) for a in work.plan.references()],
        work.effort,
        None if known is None else known["ms"],
    )
    if known is None:
        journal.append("reference", ms=list(found.ms))
    return found


def _time(
    work: Build,
    journal: Journal,
    done: dict[tuple[str, str], Timing],
    stage: str,
    blocks: Iterator[list[Candidate]],
    beside: Reference,
    progress: Progress,
) -> None:
    total = len(work.plan.operators) if stage == ALONE else len(work.plan.rows)
    what = "operators" if stage == ALONE else "networks"
    for number, block in enumerate(blocks):
        waiting = [c for c in block if (stage, c.name) not in done]
        if waiting:
            start = time.monotonic()
            found = measure(work.engine, waiting, work.effort, rng(work.seed, f"latency {stage}", number), beside)
            seconds = (time.monotonic() - start) / len(found)
            for name, timing in found.items():
                journal.append("timed", stage=stage, name=name, seconds=round(seconds, 4), **asdict(timing))
                done[stage, name] = timing
        progress(what, sum(s == stage for s, _ in done), total)


def operator_blocks(plan: Plan, size: int, batch: int) -> Iterator[list[Candidate]]:
    """The operators, each cut from the network that hosts it, neighbours in one network together."""
    order = sorted(plan.operators, key=lambda i: plan.hosts[i])
    parts = lru_cache(maxsize=1)(lambda host: _parts(plan, host, batch))  # neighbours are of one host

    def operator(i: int) -> Candidate:
        return Candidate(plan.name(i), lambda: parts(plan.hosts[i])[i])

    for start in range(0, len(order), size):
        yield [operator(i) for i in order[start : start + size]]


def _parts(plan: Plan, host: Architecture, batch: int) -> dict[int, tuple[nn.Module, tuple[int, ...]]]:
    """The operators of a network, each with the shape of what it is given there."""
    import torch

    layers, found = plan.space.layers(np.array([host]))[0], dict[int, tuple[Any, tuple[int, ...]]]()
    x = torch.zeros(batch, *plan.space.input_shape(host))
    with torch.no_grad():
        for i, module in zip(layers[layers >= 0].tolist(), plan.space.sequence(host), strict=True):
            found.setdefault(i, (module, tuple(x.shape)))
            x = module(x)
    return found


def network_blocks(plan: Plan, size: int, batch: int) -> Iterator[list[Candidate]]:
    """The networks of the design, in the order in which they were chosen."""
    architectures = as_architectures(plan.rows)
    for start in range(0, len(architectures), size):
        yield [network_candidate(plan.space, a, batch) for a in architectures[start : start + size]]


def network_candidate(space: BuildableOperators, architecture: Architecture, batch: int) -> Candidate:
    """A whole network, to be timed."""

    def make() -> tuple[nn.Module, tuple[int, ...]]:
        return space.sequence(architecture), (batch, *space.input_shape(architecture))

    return Candidate(text_form(space, architecture), make)


def text_form(space: SearchSpace, architecture: Architecture) -> str:
    """The short text of an architecture."""
    return str(space.describe(architecture)["architecture"])


def _table(work: Build, done: Mapping[tuple[str, str], Timing], beside: Reference, seconds: float) -> LatencyTable:
    plan, batch = work.plan, work.batch
    names = [plan.name(i) for i in plan.operators]
    architectures = [text_form(plan.space, a) for a in as_architectures(plan.rows)]
    alone = np.array([done[ALONE, name].ms for name in names])
    networks = np.array([done[NETWORK, name].ms for name in architectures])
    found: Fit = fit(plan.counts(), networks, alone, words(names))
    # As fast as the device was while networks were timed: what references took at first is of the first seconds.
    pace = float(np.median([done[NETWORK, name].pace for name in architectures]))
    about = {
        **work.engine.about,
        "batch": str(batch),
        "space": str(work.identity["space"]),
        "built": datetime.now(UTC).strftime("%Y-%m-%d"),
        "minutes": f"{seconds / 60:.1f}",
        "operators_alone": str(len(names)),
        "networks": str(len(architectures)),
        "expected_error": f"{found.error:.4f}",
        "reference": " ".join(text_form(plan.space, a) for a in plan.references()),
        "reference_ms": " ".join(f"{pace * ms:.6g}" for ms in beside.ms),
    }
    times, spreads = (dict(zip(names, (pace * v).tolist(), strict=True)) for v in (found.times, found.spreads))
    return LatencyTable(times, about, spreads)
