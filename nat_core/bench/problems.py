"""What is compared, and on what: problem files and contestants.

A problem file is a run file with a table `[bench]`:

    space = "nas-bench-macro"
    objectives = ["top1_error", "macs"]

    [options.nas-bench-macro]
    table = "nas-bench-macro_cifar10.json"

    [bench]
    evaluations = [100, 150]
    reference = 1.01                                  # on the scale of low … high as 0 … 1
    best = 0.92287                                    # hypervolume of the best known front on that scale

    [bench.low]
    top1_error = 0.0687
    macs = 7713280

    [bench.high]
    top1_error = 0.5464
    macs = 105660928
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nat_core import config as configs
from nat_core import options, plugins
from nat_core.config import Layer, RunConfig, part_name
from nat_core.errors import ConfigError, unknown
from nat_core.plugins import Offer
from nat_core.report.words import per_cent
from nat_core.run import find_parts


class BenchConfig(BaseModel):
    """The table `[bench]`: how a problem is scored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("", description="of the problem; the file's own where it is not set")
    low: dict[str, float] = Field(description="the value of each objective that becomes 0")
    high: dict[str, float] = Field(description="the value of each objective that becomes 1")
    reference: float = Field(1.0, gt=0, le=100, description="of every objective, on that scale")
    best: float | None = Field(None, gt=0, description="hypervolume of the best known front, on that scale")
    evaluations: tuple[int, ...] = Field((100, 150), min_length=1, description="after which the searches are compared")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low.keys() != self.high.keys():
            raise ValueError(f"low is set for {', '.join(self.low)}, and high for {', '.join(self.high)}")
        for name, low in self.low.items():
            if not (math.isfinite(low) and math.isfinite(self.high[name]) and low < self.high[name]):
                raise ValueError(f"low.{name} is {low:g} and high.{name} is {self.high[name]:g}: low has to be less")
        if min(self.evaluations) < 1:
            raise ValueError(f"evaluations are {', '.join(map(str, self.evaluations))}: each has to be 1 at least")
        return self


@dataclass(frozen=True, eq=False)
class Contestant:
    """A search of ours, an optimizer with a surrogate; or a baseline."""

    name: str
    parts: Mapping[str, str]  # `optimizer` and `surrogate`, or `baseline`
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # its own, by part

    @property
    def baseline(self) -> str | None:
        """The name of the baseline, if it is one."""
        return self.parts.get("baseline")


@dataclass(frozen=True, eq=False)
class Task:
    """A problem of the bench."""

    name: str
    values: Layer  # of the run file, without `[bench]`
    settings: Mapping[str, Mapping[str, Any]]  # options of parts from the command line
    words: Layer  # what else the command line says
    bench: BenchConfig
    objectives: tuple[str, ...]

    def config(self, contestant: Contestant, seed: int) -> RunConfig:
        """The run that a contestant makes. For a baseline, that of the problem: it has its space and objectives."""
        ours = {kind: name for kind, name in contestant.parts.items() if kind != "baseline"}
        layer = configs.merged_layers(self.values, self.words | ours | {"seed": seed})
        named = _resolve(_without(layer, "options"), self.name)
        given = configs.merged_layers(
            configs.merged_layers(layer.get("options", {}), self.settings), contestant.options
        )
        layer["options"] = {part: values for part, values in given.items() if part in named.parts()}
        return _resolve(layer, self.name)

    def options_of(self, contestant: Contestant) -> dict[str, Any]:
        """The options of a baseline."""
        part = part_name(contestant.baseline or "")
        return {**self.settings.get(part, {}), **contestant.options.get(part, {})}


@dataclass(frozen=True, eq=False)
class Cell:
    """One search of a bench."""

    task: Task
    contestant: Contestant
    seed: int
    evaluations: int
    fail: float = 0.0  # the share of architectures whose measurement is made to fail

    @cached_property
    def config(self) -> RunConfig:
        """The run that it makes."""
        return self.task.config(self.contestant, self.seed)

    @cached_property
    def key(self) -> str:
        """What the same cell of a later bench is recognised by."""
        parts = find_parts(self.config)
        facts = [parts.config.flat(), parts.versions(), dict(self.contestant.parts), self.evaluations, self.fail]
        if self.contestant.baseline:
            offer, given = baseline(self.task, self.contestant)
            facts += [offer.where, given]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    def __str__(self) -> str:
        failing = f", {per_cent(self.fail, 0)} failing" if self.fail else ""
        return f"{self.task.name}: {self.contestant.name}{failing}, seed {self.seed}"


def load(file: Path, settings: Sequence[str], evaluations: Sequence[int] = (), preset: str | None = None) -> Task:
    """A problem file, with the settings of the command line on top. Raises `ConfigError` for what it cannot mean."""
    values = configs.load(file)
    if "bench" not in values:
        raise ConfigError(f"{file} is no problem to bench: it has no table [bench] with low, high, reference")
    table = values.pop("bench")
    if evaluations:
        table = {**table, "evaluations": list(evaluations)} if isinstance(table, Mapping) else table
    layers = [configs.setting(text) for text in settings]
    given: dict[str, dict[str, Any]] = {}
    words: Layer = {} if preset is None else {"preset": preset}
    for layer in layers:
        given = configs.merged_layers(given, layer.pop("options", {}))
        words = configs.merged_layers(words, layer)
    bench = _scored(table, file)
    objectives = _resolve(_without(configs.merged_layers(values, words), "options"), str(file)).objectives
    if set(bench.low) != set(objectives):
        raise ConfigError(
            f"{file}: [bench] has low and high for {', '.join(bench.low)}, and the objectives are "
            f"{', '.join(objectives)}"
        )
    ordered = {"low": {n: bench.low[n] for n in objectives}, "high": {n: bench.high[n] for n in objectives}}
    bench = bench.model_copy(update=ordered | {"evaluations": tuple(sorted(set(bench.evaluations)))})
    return Task(bench.name or file.stem, values, given, words, bench, objectives)


def load_all(
    files: Sequence[Path], settings: Sequence[str], evaluations: Sequence[int] = (), preset: str | None = None
) -> tuple[Task, ...]:
    """Several problem files. Raises `ConfigError` for two problems of one name."""
    tasks = tuple(load(file, settings, evaluations, preset) for file in files)
    names = [task.name for task in tasks]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two problems are called {doubled[0]!r}: give one of them another name in its table [bench]")
    return tasks


def contestants(
    task: Task, optimizers: Sequence[str], surrogates: Sequence[str], baselines: Sequence[str]
) -> tuple[Contestant, ...]:
    """Each optimizer with each surrogate, and the baselines; `name,option=value` sets options of one of them.

    Where one of the first two is not named, or nobody is, it is that of the run that a task's file describes.
    """
    found = list[Contestant]()
    if optimizers or surrogates or not baselines:
        usual = task.config(Contestant("", {}), 0)
        optimizers, surrogates = optimizers or (usual.optimizer,), surrogates or (usual.surrogate,)
    second = [_part(s) for s in surrogates]
    for optimizer, label, own in map(_part, optimizers):
        for surrogate, with_label, with_own in second:
            parts = {"optimizer": optimizer, "surrogate": surrogate}
            found.append(Contestant(f"{label} + {with_label}", parts, configs.merged_layers(own, with_own)))
    found += [Contestant(label, {"baseline": name}, own) for name, label, own in map(_part, baselines)]
    return tuple({c.name: c for c in found}.values())


def require_parts(tasks: Iterable[Task], contestants: Sequence[Contestant]) -> None:
    """Raise `ConfigError` for a part or an option that is unknown, before anything is measured."""
    for task in tasks:
        known = set[str]()
        for contestant in contestants:
            known |= set(find_parts(task.config(contestant, 0)).config.parts())
            if contestant.baseline:
                offer, _ = baseline(task, contestant)
                known.add(offer.name)
            if strange := sorted(set(contestant.options) - known):
                raise ConfigError(f"options are set for {strange[0]!r}: {unknown('part', strange[0], known)}")
        for part in task.settings:
            if part not in known:
                raise ConfigError(f"options are set for {part!r}: {unknown('part of this bench', part, known)}")


def baseline(task: Task, contestant: Contestant) -> tuple[Offer, dict[str, Any]]:
    """The plugin of a baseline, and its options, checked."""
    offer = plugins.registry().find("baselines", contestant.baseline or "")
    assert offer.factory is not None  # noqa: S101 - the registry finds working offers alone
    return offer, options.checked(offer.name, offer.factory, task.options_of(contestant))


def _part(text: str) -> tuple[str, str, Layer]:
    """`optuna,sampler=tpe`: the part, its name among the contestants, and its options."""
    name, *given = [word.strip() for word in text.split(",")]
    own: Layer = {}
    for word in given:
        if not name or "=" not in word:
            raise ConfigError(f"cannot read {text!r}: write name,option=value, such as optuna,sampler=tpe")
        own = configs.merged_layers(own, configs.setting(f"{part_name(name)}.{word}").get("options", {}))
    return name, ",".join([name, *given]), own


def _scored(table: object, file: Path) -> BenchConfig:
    try:
        return BenchConfig.model_validate(table)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, ('bench', *e['loc'])))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{file}: {'; '.join(faults)}") from None


def _resolve(layer: Layer, where: str) -> RunConfig:
    try:
        return configs.resolve(None, None, layer, ())
    except ConfigError as error:
        raise type(error)(f"{where}: {error}") from None


def _without(layer: Layer, name: str) -> Layer:
    return {key: value for key, value in layer.items() if key != name}
