"""What a run folder tells: read once from its journal, and told by pages, figures and comparisons alike."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import median
from typing import Any

import numpy as np

from nat_core import config as configs
from nat_core import measures
from nat_core.archive import Archive
from nat_core.choosing import Choice, choose
from nat_core.config import RunConfig
from nat_core.contracts import SearchSpace
from nat_core.encoding import Architecture, Values
from nat_core.errors import NatError
from nat_core.journal import Record
from nat_core.ledger import notes, replay
from nat_core.pareto import hypervolume, reference_point
from nat_core.problem import Constraint
from nat_core.report.summary import Summary, feasible, summarise

_SECRET = re.compile(r"password|passwd|secret|token|api_?key|credential", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")


@dataclass(frozen=True)
class Prediction:
    """What was predicted of an architecture before an iteration measured it: all objectives."""

    iteration: int
    architecture: Architecture
    predicted: tuple[float, ...]
    measured: tuple[float, ...]


@dataclass(frozen=True)
class Story:
    """A run as far as it has come. Everything is derived, and nothing needs the data of the run."""

    name: str  # of its folder
    config: RunConfig
    tables: Mapping[str, Any]  # what stands behind the config in run.toml
    space: SearchSpace
    records: Sequence[Record]

    @property
    def subject(self) -> str:
        """What is searched, and on which data, in a few words."""
        return self.config.space if self.config.data is None else f"{self.config.space} on {self.config.data_name()}"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the objectives."""
        return self.config.objectives

    @cached_property
    def costly(self) -> tuple[str, ...]:
        """The objectives that are measured by estimators, and predicted by surrogates."""
        parts = self.tables.get("plugins", {})
        return tuple(n for n in self.names if f"estimators.{measures.part(self.config.measured_by(n))}" in parts)

    @cached_property
    def archives(self) -> list[Archive]:
        """One for each iteration; a single empty one before anything was proposed."""
        return list(replay(self.records, self.names))

    @property
    def archive(self) -> Archive:
        """As it stands now."""
        return self.archives[-1]

    @cached_property
    def summaries(self) -> list[Summary]:
        """One for each iteration."""
        said = {r["iteration"]: notes(r) for r in self.of("proposed")}
        return list(summarise(self.archives, self.costly, lambda i: said.get(i, {})))

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return any(True for _ in self.of("finished"))

    def of(self, kind: str) -> Iterator[Record]:
        """The records of a kind."""
        return (r for r in self.records if r["kind"] == kind)

    @cached_property
    def constraints(self) -> tuple[Constraint, ...]:
        """As the run was given them."""
        return tuple(map(Constraint.parse, self.config.constraints))

    @cached_property
    def tested(self) -> dict[Architecture, Mapping[str, float]]:
        """What the final front came to on the test split."""
        return {tuple(r["architecture"]): r["objectives"] for r in self.of("tested")}

    @cached_property
    def found(self) -> dict[Architecture, int]:
        """The iteration in which an architecture was proposed first; new weights have it measured again later."""
        first: dict[Architecture, int] = {}
        for r in self.of("proposed"):
            for a in r["architectures"]:
                first.setdefault(tuple(a), r["iteration"])
        return first

    @cached_property
    def knee(self) -> Choice | None:
        """The pick where moving on costs most; none where nothing is measured."""
        return choose(self.archive.front) if len(self.archive.front) else None

    @cached_property
    def predictions(self) -> list[Prediction]:
        """Of every proposal that was measured, in the order of the measurements."""
        said: dict[tuple[int, Architecture], list[float]] = {}
        for r in self.of("proposed"):
            for a, predicted in zip(r["architectures"], r["predicted"] or (), strict=False):
                said[r["iteration"], tuple(a)] = predicted
        return [
            Prediction(*key, tuple(said[key]), tuple(r["objectives"][name] for name in self.names))
            for r in self.of("measured")
            if (key := (r["iteration"], tuple(r["architecture"]))) in said
        ]

    def cohort(self, name: str) -> tuple[list[int], list[list[float]]]:
        """What the same networks came to with one version of the weights after the other.

        The versions, and a row of values for each architecture that was measured with the first of all and with the
        newest: a median over these shows what the adaptation did, and not which networks were chosen. Versions that
        some of them were not measured with are left out. Nothing, where there are no such architectures.
        """
        seen: dict[Architecture, dict[int, float]] = {}
        for r in self.of("measured"):
            seen.setdefault(tuple(r["architecture"]), {})[r["weights"]] = r["objectives"][name]
        versions = sorted(set(itertools.chain.from_iterable(seen.values())))
        same = [at for at in seen.values() if versions[0] in at and versions[-1] in at]
        shown = [v for v in versions if all(v in at for at in same)]
        return (shown, [[at[v] for v in shown] for at in same]) if len(versions) > 1 and same else ([], [])

    def losses(self, name: str) -> dict[int, list[float | None]]:
        """Iteration → the mean training loss of each epoch of its adaptation, where the estimator gave any.

        A loss that was no number is None. Older journals have none at all.
        """
        found = {r["iteration"]: list(r.get("losses", {}).get(name, ())) for r in self.of("adapted")}
        return {iteration: losses for iteration, losses in found.items() if losses}

    @cached_property
    def seconds(self) -> list[dict[str, float]]:
        """By iteration: seconds of adapting, measuring and searching."""
        spent = [{"adapt": 0.0, "measure": 0.0, "search": 0.0} for _ in self.archives]
        for r in self.records:
            if (i := r.get("iteration", len(spent))) >= len(spent):
                continue
            if r["kind"] == "proposed":
                spent[i]["search"] += sum(r.get("seconds", {}).values())
            elif r["kind"] == "adapted":
                spent[i]["adapt"] += r.get("seconds", 0.0)
            elif r["kind"] in {"measured", "failed"}:
                spent[i]["measure"] += r.get("seconds", 0.0)
        return [{part: round(value, 2) for part, value in row.items()} for row in spent]

    @cached_property
    def failures(self) -> list[tuple[str, list[str]]]:
        """Every reason why something was not measured, the most frequent first, and the architectures it befell."""
        befell: dict[str, dict[str, None]] = {}
        for r in self.of("failed"):
            befell.setdefault(r["reason"], {})[self.text(tuple(r["architecture"]))] = None
        counts = Counter({reason: len(names) for reason, names in befell.items()})
        return [(reason, list(befell[reason])) for reason, _ in counts.most_common()]

    def text(self, architecture: Architecture) -> str:
        """The short form of an architecture."""
        return str(self.space.describe(architecture)["architecture"])

    @cached_property
    def command(self) -> str:
        """The command line that starts this run anew: its words are what differs from the preset."""
        c = self.config
        words: dict[str, Any] = {"space": c.space, "data": c.data, "surrogate": c.surrogate, "optimizer": c.optimizer}
        words = {name: value for name, value in words.items() if value is not None} | {"seed": c.seed}
        layer = {**words, "objectives": list(c.objectives), "constraints": list(c.constraints)}
        try:
            usual = configs.resolve(c.preset, None, layer, ())
            if usual.estimator != c.estimator:
                words["estimator"] = layer["estimator"] = c.estimator
                usual = configs.resolve(c.preset, None, layer, ())
            known = usual.flat()
        except NatError:  # a part that is not installed here: nothing is known of what is usual
            words["estimator"], known = c.estimator, {}
        given = ["nat", "run", "--preset", c.preset]
        for name, value in words.items():
            given += [f"--{name}", str(value)]
        for option, values in (("--objective", c.objectives), ("--constraint", c.constraints)):
            given += itertools.chain.from_iterable((option, value) for value in values)
        for name, value in c.flat().items():
            if name.startswith(("search.", "options.")) and value is not None and known.get(name) != value:
                shown = "…" if is_secret(name) else _toml(value)
                given += ["-s", f"{name.removeprefix('options.')}={shown}"]
        return shlex.join(map(cleaned, given))

    def volumes(self, reference: Values | None = None) -> list[float]:
        """The hypervolume of each iteration; all share a reference point, that of the first sample by default."""
        return [
            _volume(s.front.F.tobytes(), (s.reference if reference is None else reference).tobytes())
            if s.reference is not None and feasible(s.front)
            else 0.0
            for s in self.summaries
        ]


def shared_reference(stories: Sequence[Story]) -> Values | None:
    """A reference point that is worse than whatever any of the runs measured to begin with."""
    first = [next((a.measured.F for a in s.archives if len(a.measured)), None) for s in stories]
    rows = [F for F in first if F is not None]
    return reference_point(np.vstack(rows)) if rows else None


@lru_cache(maxsize=4096)
def _volume(front: bytes, reference: bytes) -> float:
    """Of a front, kept: a page is written after every iteration, and those before do not change."""
    corner = np.frombuffer(reference)
    return hypervolume(np.frombuffer(front).reshape(-1, len(corner)), corner)


def medians(rows: Sequence[Sequence[float]]) -> list[float]:
    """The median of every column."""
    return [median(column) for column in zip(*rows, strict=True)]


def _toml(value: Any) -> str:
    """A value as `-s` takes it."""
    return (
        value if isinstance(value, str) and not _READ_AS_OTHER.search(value) else json.dumps(value, ensure_ascii=False)
    )


# Without quotes these would be read as numbers, dates, lists or truth values.
_READ_AS_OTHER = re.compile(r"^[\s\d+\-.\[{\"']|,|^(true|false|inf|nan)$|\s$|^$")


def cleaned(text: str) -> str:
    """A text without the user and password of a URL: a page is made to be given away."""
    return _IN_URL.sub("…@", text)


def is_secret(name: str) -> bool:
    """Whether an option is named as what nobody else should read."""
    return bool(_SECRET.search(name))
