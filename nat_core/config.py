"""The run file: what a run is made of, in layers. Later layers win: preset, FILE, the words of the command line.

space = "mbv3"
data = "digits"                  # a data set's name, or a folder of pictures
estimator = "top1_error"         # what measures the objective top1_error
surrogate = "rbf"
optimizer = "nsga3"
objectives = ["top1_error", "macs"]
constraints = ["macs<=20e6"]
seed = 0

[search]
iterations = 6

[options.mbv3]                   # options of a part, by its name
widths = [1.0]
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nat_core import measures, options, plugins
from nat_core.errors import ConfigError, PluginError, StateError, unknown

PRESETS = ("quick", "nat", "msunas")
FINDINGS = ("plugins", "context", "fingerprints")  # tables that a run folder's run.toml has behind its config
Layer = dict[str, Any]
TOP1_ERROR = "top1_error"  # the objective that any estimator may measure, and the estimator that does by default
NO_SURROGATE = NO_TRACKER = NO_EXECUTOR = "none"
# What a run file of version 0.1, or one of a run without data, has not.
_LATER = {"data", "estimator", "executor", "trackers"}
_MOST = 100_000


class SearchConfig(BaseModel):
    """The table `[search]`: how long, and how widely."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    iterations: int = Field(6, ge=0, le=9999, description="iterations after the initial sample")
    initial: int = Field(16, ge=2, le=_MOST, description="architectures measured to begin with")
    batch: int = Field(8, ge=1, le=_MOST, description="new architectures in an iteration")
    pool: int = Field(64, ge=1, le=_MOST, description="proposals of the optimizer that a batch is chosen from")
    remeasure: Literal["all", "front", "none"] = Field("all", description="what new weights make stale")
    capacity: int | None = Field(None, ge=2, description="the archive never grows beyond this many")
    fit_size: int | None = Field(None, ge=2, description="the surrogates learn from at most this many")
    optimism: float = Field(1.0, ge=0, description="standard deviations that are hoped for where a surrogate is unsure")
    failure_rate: float = Field(0.5, ge=0, le=1, description="a larger share of failed measurements ends the run")
    failure_floor: int = Field(5, ge=1, description="once so many measurements have failed")

    @model_validator(mode="after")
    def _room(self) -> Self:
        """An archive that cannot hold its beginning, or a batch and its own front, would forget what it found."""
        if self.capacity is not None and self.capacity < (least := max(self.initial, self.batch + 1)):
            raise ValueError(
                f"capacity is {self.capacity}; for initial and batch as they are it has to be {least} at least"
            )
        return self


class RunConfig(BaseModel):
    """A whole run. Two runs with equal configs, data, plugins and machine give equal archives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str = Field("quick", description="where the unset values come from")
    space: str = Field("mbv3", description="search space")
    data: str | None = Field(None, description="data set, or a folder of pictures; digits where some are needed")
    estimator: str = Field(TOP1_ERROR, description="what measures top1_error; the space's namesake where there is one")
    surrogate: str = Field("rbf", description="what stands in for a costly objective; none: nothing does")
    optimizer: str = Field("nsga3", description="what proposes architectures")
    objectives: tuple[str, ...] = Field(("top1_error", "macs"), description="two or more; lower is better")
    constraints: tuple[str, ...] = Field((), description="such as macs<=20e6")
    seed: int = Field(0, ge=0, description="of every random stream")
    trackers: tuple[str, ...] = Field((), description="what follows the run: tensorboard, mlflow; none: nothing")
    executor: str = Field(NO_EXECUTOR, description="where networks are measured: processes; none: in the run's own")
    search: SearchConfig = SearchConfig()
    options: dict[str, dict[str, Any]] = Field(default_factory=dict, description="options of parts, by their names")

    @model_validator(mode="after")
    def _finite(self) -> Self:
        """NaN and infinity have no place in JSON: what holds them is named here, where it still has a name."""
        with contextlib.suppress(RecursionError):  # of which `_keepable` tells
            if wrong := [(name, value) for name, value in _flat(self.options) if not _is_finite(value)]:
                raise ValueError("; ".join(f"{name} is {value!r}: a finite number is wanted" for name, value in wrong))
        return self

    @model_validator(mode="after")
    def _keepable(self) -> Self:
        """What cannot be written to a run folder could not be recognised there."""
        try:
            dump(self).encode()
            json.dumps(self.flat(), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"a value cannot be kept in a run file: {error}") from None
        return self

    def flat(self) -> dict[str, Any]:
        """Every value that decides, by its dotted name: what a run folder is recognised by."""
        return dict(_flat(self.deciding().model_dump(mode="json", exclude={"trackers", "executor"})))

    def deciding(self) -> Self:
        """What decides what a run finds: without trackers and executor, and their options."""
        return self.followed_otherwise(trackers=(), executor=NO_EXECUTOR)

    def followed_otherwise(self, **changes: Any) -> Self:
        """With other trackers or another executor, and without the options of those that are gone."""
        changed = self.model_copy(update=changes)
        gone = {*map(part_name, (*self.trackers, self.executor))} - {*changed.parts()}
        options = {name: given for name, given in self.options.items() if name not in gone}
        return changed.model_copy(update={"options": options})

    def parts(self) -> tuple[str, ...]:
        """The names whose options this run may set."""
        constrained = (c.partition("<")[0].partition(">")[0].strip() for c in self.constraints)
        measured = (measures.part(self.measured_by(name)) for name in (*self.objectives, *constrained))
        data = () if self.data is None else (self.data,)
        surrogate = () if self.surrogate == NO_SURROGATE else (self.surrogate,)
        executor = () if self.executor == NO_EXECUTOR else (self.executor,)
        names = (self.space, *data, *surrogate, self.optimizer, *measured, *self.followed_by(), *executor)
        return tuple(dict.fromkeys(part_name(name) for name in names))

    def data_name(self) -> str:
        """The data in a word: for a folder of pictures its own name; empty where nothing is measured on any."""
        path = Path(str(self.options.get("folder", {}).get("path", "")))
        return printable((path.name if self.data == "folder" else self.data) or self.data or "")

    def followed_by(self) -> tuple[str, ...]:
        """The names of its trackers."""
        return tuple(dict.fromkeys(name for name in self.trackers if name != NO_TRACKER))

    def measured_by(self, objective: str) -> str:
        """The name of the estimator or cost model of an objective or a cost."""
        return self.estimator if objective == TOP1_ERROR else objective


def printable(name: str) -> str:
    """A name as it can be printed: control characters, and bytes that are no text, stand as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def part_name(name: str) -> str:
    """`dist:name` and `name` have the options of `name`."""
    return name.rpartition(":")[2]


def resolve(preset: str | None, file: Path | None, words: Layer, settings: Iterable[str]) -> RunConfig:
    """The config of a run. Raises `ConfigError` for anything that is not understood, before anything else happens."""
    given: Layer = {} if file is None else _without_replaced(_without_findings(load(file)), words)
    given = merged_layers(merged_layers(given, words), _merge_all(setting(text) for text in settings))
    name = preset or given.get("preset", "quick")
    if name not in PRESETS:
        raise ConfigError(unknown("preset", str(name), PRESETS))
    given = with_folder(given | {"preset": name})
    basis = _packaged(name)
    chosen = {key: value for key, value in basis.items() if key not in {"options", "spaces"}}
    space = part_name(validate(merged_layers(chosen, given), file).space)
    of_the_space = basis.get("spaces", {}).get(space, {})
    chosen = merged_layers(chosen, {"search": of_the_space.get("search", {})})
    named = _settled(validate(merged_layers(chosen, given), file), given)
    for part in named.options:
        if part not in named.parts():
            _require_known(named)
            raise ConfigError(
                f"options are set for {part!r}, which is not a part of this run: {unknown('part', part, named.parts())}"
            )
    of_the_estimator = _packaged("estimators").get(part_name(named.estimator), {})
    usual = _merge_all((basis.get("options", {}), of_the_space, of_the_estimator))
    defaults = {part: values for part, values in usual.items() if part in named.parts()}
    return named.model_copy(update={"options": merged_layers(defaults, named.options)})


def _packaged(name: str) -> Layer:
    """A file of the folder `presets`."""
    return tomllib.loads(resources.files("nat_core").joinpath("presets", f"{name}.toml").read_text(encoding="utf-8"))


def _settled(config: RunConfig, given: Layer) -> RunConfig:
    """Where nothing is said: the estimator that is the space's namesake, and digits if anything needs pictures."""
    namesake = config.space if _needs_data(config.space) is not None else TOP1_ERROR
    if "estimator" not in given:
        config = config.model_copy(update={"estimator": namesake})
    elif config.estimator not in {namesake, TOP1_ERROR} and TOP1_ERROR not in config.objectives:
        _require_known(config)
        raise ConfigError(
            f"the estimator is {config.estimator!r}, which is to measure {TOP1_ERROR}, and the objectives are "
            f"{', '.join(config.objectives)}"
        )
    if config.data is None and any(_needs_data(config.measured_by(name)) for name in config.objectives):
        config = config.model_copy(update={"data": "digits"})
    return config


def _require_known(config: RunConfig) -> None:
    """Raise `PluginError` for a part by an unknown name: a typo makes the options of what was meant look wrong."""
    find = plugins.registry().find
    find("search_spaces", config.space)
    find("estimators", config.estimator)
    for name in (*config.objectives, *(measures.constraint(text).name for text in config.constraints)):
        if name != TOP1_ERROR:
            measures.measure(name, "estimators", "cost_models")
    if config.surrogate != NO_SURROGATE:
        find("surrogates", config.surrogate)
    find("optimizers", config.optimizer)
    for name in config.followed_by():
        find("trackers", name)
    if config.executor != NO_EXECUTOR:
        find("executors", config.executor)


def _needs_data(estimator: str) -> bool | None:
    """Whether an estimator measures on data; none where no estimator goes by that name."""
    with contextlib.suppress(PluginError):
        return options.takes_data(measures.measure(estimator, "estimators").offer.factory)
    return None


def _without_findings(values: Layer) -> Layer:
    """A run folder's `run.toml` is a run file too: what it adds about its plugins, data and machine is not config."""
    return {name: value for name, value in values.items() if name not in FINDINGS}


def _without_replaced(values: Layer, words: Layer) -> Layer:
    """A run file without the options of its executor and trackers where words of the command line choose others."""
    gone = {n for key in ("executor", "trackers") if key in words for n in _named(values, key) - _named(words, key)}
    options = values.get("options")
    if not gone or not isinstance(options, Mapping):
        return values
    return values | {"options": {name: given for name, given in options.items() if name not in gone}}


def _named(values: Layer, key: str) -> set[str]:
    found = values.get(key, ())
    return {part_name(name) for name in ([found] if isinstance(found, str) else found) if isinstance(name, str)}


def validate(values: Layer, file: Path | None = None) -> RunConfig:
    """A config from plain values. Raises `ConfigError` that names every fault at once."""
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(_fault(e) for e in error.errors())
        raise ConfigError(f"{f'{file}: ' if file else ''}{faults}") from None


def load(file: Path) -> Layer:
    """A TOML file. Raises `ConfigError` with the line for a fault in it."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the run file {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number of 5,000 digits, 1,000 brackets
        raise ConfigError(f"{file} is not TOML: {error}") from error


def dump(config: RunConfig, **tables: Any) -> str:
    """The config as TOML, with further tables behind it."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True) | tables)


def reload(file: Path) -> tuple[RunConfig, Layer]:
    """The config of a run folder, and the tables behind it. Raises `StateError` for a file that is damaged."""
    try:
        values = load(file)
        config = validate(_without_findings(values), file)
    except ConfigError as error:
        raise StateError(f"this is no readable run folder: {error}") from error
    if missing := RunConfig.model_fields.keys() - values - _LATER:
        raise StateError(f"this is no readable run folder: {file} lacks {', '.join(sorted(missing))}")
    return config, {name: values.get(name, {}) for name in FINDINGS}


def setting(text: str) -> Layer:
    """`search.iterations=3` or `mbv3.widths=1.0,1.2` as a layer. Raises `ConfigError` for anything else."""
    key, equals, value = text.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names) or len(names) > 2:
        raise ConfigError(f"cannot read the setting {text!r}: write part.option=value, such as mbv3.widths=1.0")
    if len(names) == 1:
        if names[0] not in RunConfig.model_fields:
            raise ConfigError(
                f"{unknown('setting', names[0], RunConfig.model_fields)} Options of a part are part.option."
            )
        return {names[0]: _value(value.strip())}
    part, option = names
    return {part: {option: _value(value)}} if part == "search" else {"options": {part: {option: _value(value)}}}


def _value(text: str) -> Any:
    """A TOML value where it is one, a list where there are commas, else the text itself."""
    text = text.strip()
    try:
        values = tomllib.loads(f"v = {text}")
    except (ValueError, RecursionError):
        return [_value(item) for item in text.split(",") if item.strip()] if "," in text else text
    return values["v"] if len(values) == 1 else text


def with_folder(given: Layer) -> Layer:
    """`data` may be a path: it becomes the data set `folder` with that path. A data set's name is that, and no path.

    Raises `ConfigError` for an empty word, and for one that is neither a data set's name nor a folder.
    """
    data = given.get("data")
    if not isinstance(data, str) or data == "folder":
        return given
    path = data.removeprefix("folder:")
    if not path.strip():  # as a path it would be the present folder
        raise ConfigError(
            f"data is {data!r}: name a data set or a folder of images, a dot for the one you are in. "
            "In a shell, a variable that is not set leaves an empty word."
        )
    if data == path and not (os.sep in data or data.startswith((".", "~"))):
        registry = plugins.registry()
        if data in registry.of("datasets"):  # and a folder of that name may happen to be here
            return given
        if not _is_folder(data):
            registry.find("datasets", data, hint=_no_folder(data))
            return given
    try:
        place = str(Path(path).expanduser().absolute())
    except RuntimeError as error:  # ~nobody
        raise ConfigError(f"data is {data!r}: {error}") from None
    chosen = {"data": "folder", "options": {"folder": {"path": place}}}
    return merged_layers(given, chosen) if isinstance(given.get("options", {}), Mapping) else given


def _no_folder(name: str) -> str:
    """What is said of the place where a word that is no data set would be a folder."""
    place, there = Path(name), False
    with contextlib.suppress(OSError, ValueError):  # no such name is possible, or the present folder is gone
        place = place.absolute()
        there = place.exists()
    found = f"{str(place)!r} is a file" if there else f"There is no folder {str(place)!r} either"
    return f"{found}: accepted are the name of a data set and a folder of images."


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # no such name is possible
        return False


def _merge_all(layers: Iterable[Layer]) -> Layer:
    merged: Layer = {}
    for layer in layers:
        merged = merged_layers(merged, layer)
    return merged


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_finite(value: Any) -> bool:
    """Whether all numbers in a value are."""
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def merged_layers(below: Mapping[str, Any], above: Mapping[str, Any]) -> Layer:
    """Tables are merged, and anything else of `above` takes the place of what is below it."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merged_layers(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _fault(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        model = SearchConfig if error["loc"][0] == "search" else RunConfig
        return unknown(
            "setting",
            where,
            (f"search.{f}" for f in model.model_fields) if model is SearchConfig else model.model_fields,
        )
    said = str(error["msg"]).removeprefix("Value error, ")
    return f"{where} is {error['input']!r}: {said}" if where else said
