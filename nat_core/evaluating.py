"""A network and pictures to measure it on: out of a run, fine-tuned, or published by others.

Whatever runs a network, `classification.assess` makes the whole report of its logits and the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nat_core import config as configs
from nat_core import finetuned, plugins
from nat_core.classification import Classification, assess
from nat_core.config import RunConfig
from nat_core.contracts import (
    Dataset,
    Evaluator,
    LogitsEvaluator,
    SearchSpace,
    Split,
    StaticNetwork,
    StaticNetworkSpace,
)
from nat_core.encoding import Architecture
from nat_core.errors import ConfigError, StateError
from nat_core.parts import about_data, data_and_settings, make, require_parts, settings_of_parts, shorthands
from nat_core.run import BACK, find_parts, gone, require_pictures
from nat_core.taking import take

SPLITS = ("train", "val", "test")
ALL = "all"
_EXAMPLE = "folder.image_size=64"
_ELSEWHERE = f"say with --data NEW where they are now, or {BACK}"


@dataclass(frozen=True)
class Words:
    """What measures, and with which options."""

    evaluator: str = "errors"
    short: Mapping[str, str | None] | None = None  # options of the evaluator, such as device
    settings: tuple[str, ...] = ()  # part.option=value


@dataclass(frozen=True)
class Subject:
    """A network, and what it is to be measured on."""

    network: StaticNetwork
    data: Dataset
    on: str  # the data in a word
    evaluator: Evaluator
    run: str = ""  # the folder of the run that it is out of
    measured: bool = True  # by that run: else its weights are the newest of the run

    def splits(self, split: str) -> list[Split]:
        """One split, or all that have images. Raises `ConfigError` where there is none."""
        found: list[Split] = [getattr(self.data, name) for name in (SPLITS if split == ALL else (split,))]
        found = [some for some in found if len(some)]
        if not found:
            raise ConfigError(f"the data have no {split} split")
        return found


def of_file(net: Path, weights: Path | None, space: str, data: str, words: Words) -> Subject:
    """A network that others trained: a config with its weights."""
    registry = plugins.registry()
    measuring = registry.find("evaluators", words.evaluator)
    name, given = data_and_settings(data, (*shorthands(words.short or {}, [measuring]), *words.settings), _EXAMPLE)
    offers = registry.find("search_spaces", space), registry.find("datasets", name), measuring
    require_parts(given, offers)
    found = _published(make(given, offers[0], {}), space, net, weights)
    built: Dataset = make(given, offers[1], {})
    _require_classes(f"the network of {net}", found.n_classes, None, built, data)
    return Subject(found, built, data, make(given, measuring, about_data(built), built))


def of_finetuned(folder: Path, data: str | None, words: Words) -> Subject:
    """The network in a folder of `nat finetune`, on the data of its run or on others of its classes.

    Other data are prepared as those that it was trained on: with the same options where they are of the same kind, and
    normalised by the same mean and standard deviation. Raises `StateError` where the data of its run changed since.
    """
    registry, about = plugins.registry(), finetuned.described(folder)
    measuring = registry.find("evaluators", words.evaluator)
    settings = (*shorthands(words.short or {}, [measuring]), *words.settings)
    run: Path | None = None
    if data is None:
        run, saved = finetuned.run_of(folder, "say with --data what to measure it on")
        name, on, given = about["data"], saved.data_name(), settings_of_parts(settings, _EXAMPLE)
    else:
        on, (name, given) = data, data_and_settings(data, settings, _EXAMPLE)
    offer = registry.find("datasets", name)
    basis = {configs.part_name(offer.name): finetuned.data_options(folder, about)} if name == about["data"] else {}
    given = configs.merged_layers(basis, given)
    require_parts(given, (offer, measuring))
    network, _ = finetuned.load_network(folder)
    if run is not None:
        require_pictures(saved.model_copy(update={"options": given}), run, _ELSEWHERE)
    built: Dataset = make(given, offer, {})
    if run is not None:
        finetuned.require_data(
            folder, about, run, built, on, "Put back what it was, or say with --data what to measure it on."
        )
    _require_classes(f"the network of {folder}", network.n_classes, about["classes"], built, on)
    colours = {name: about[name] for name in ("mean", "std")}
    return Subject(network, built, on, make(given, measuring, about_data(built) | colours, built))


def of_run(saved: RunConfig, folder: Path, architecture: Architecture, data: str | None, words: Words) -> Subject:
    """A network of a run, with the weights that measured it, on the data of the run or on others of its classes.

    Other data are prepared as those of the run: with the same options where they are of the same kind, and normalised
    by the run's mean and standard deviation. Where the run's own folder of pictures is gone, the one given takes its
    place. Raises `StateError` where that does not hold the same.
    """
    registry = plugins.registry()
    measuring, parts = registry.find("evaluators", words.evaluator), find_parts(saved)
    short = words.short or {}
    moved = [*parts.estimators.values()] if short.get("device") else []
    settings = [*shorthands(short, [measuring]), *_device(short, moved), *words.settings]
    if data is None:
        given = settings_of_parts(settings, _EXAMPLE)
        require_parts(configs.merged_layers(saved.options, given), (*parts.offers(), measuring))
        taken = take(saved, folder, architecture, given, measured_only=False, remedy=_ELSEWHERE)
        others, on = taken.data, saved.data_name()
    else:
        name, given = data_and_settings(data, settings, _EXAMPLE)
        offer = registry.find("datasets", name)
        require_parts(configs.merged_layers(saved.options, given), (*parts.offers(), measuring, offer))
        own = configs.part_name(offer.name)
        basis = {own: saved.options.get(own, {})} if saved.data == name else {}
        others, on = make(configs.merged_layers(basis, given), offer, {"seed": saved.seed}), data
        beside, lost = {n: o for n, o in given.items() if n != own}, gone(saved) if saved.data == name else None
        if lost is not None:  # the network is recalibrated on pictures of the run: these are to be them
            beside[own] = {n: o for n, o in given.get(own, {}).items() if n == "path"}
        try:
            taken = take(saved, folder, architecture, beside, measured_only=False, remedy=_ELSEWHERE)
        except StateError as error:
            if lost is None:
                raise
            raise StateError(f"there is no folder {lost} any more, and {data} took its place: {error}") from error
        _require_classes(f"the run in {folder}", len(taken.data.classes), list(taken.data.classes), others, data)
    evaluator: Evaluator = make(given, measuring, {"seed": saved.seed} | about_data(taken.data), others)
    return Subject(taken.network(), others, on, evaluator, str(folder), taken.measured)


def evaluate(subject: Subject, split: str, side: int | None) -> tuple[dict[str, float], Classification | None]:
    """The errors on a split, and the whole report where the evaluator gives away what it measured."""
    splits = subject.splits(split)
    network = replace(subject.network, side=side or subject.network.side)
    if isinstance(subject.evaluator, LogitsEvaluator):
        logits = np.concatenate([subject.evaluator.logits(network, some) for some in splits])
        report = assess(logits, np.concatenate([some.labels for some in splits]))
        return report.errors, report
    if len(splits) > 1:
        raise ConfigError("this evaluator tells errors alone, and no answers: give one split at a time")
    return dict(subject.evaluator(network, splits[0])), None


def _device(short: Mapping[str, str | None], offers: Iterable[plugins.Offer]) -> list[str]:
    """The device for what recalibrates the network as well, where it has such an option."""
    found = list[str]()
    for offer in offers:
        try:
            found += shorthands({"device": short["device"]}, [offer])
        except ConfigError:  # it has none, and computes where it always does
            continue
    return found


def _require_classes(whose: str, n: int, known: list[str] | None, data: Dataset, name: str) -> None:
    """Raise `ConfigError` unless the classes of the data are those of the network."""
    if n != len(data.classes):
        raise ConfigError(f"{whose} tells {n} classes apart, and {name} has {len(data.classes)}")
    if known is not None and known != list(data.classes):
        i = next(i for i, (mine, its) in enumerate(zip(known, data.classes, strict=True)) if mine != its)
        raise ConfigError(f"{whose} knows other classes than {name} has: {i} is {known[i]!r}, and {data.classes[i]!r}")


def _published(space: SearchSpace, name: str, config: Path, weights: Path | None) -> StaticNetwork:
    """A network that others trained."""
    if not isinstance(space, StaticNetworkSpace):
        raise ConfigError(f"the space {name} reads no networks that stand alone; mbv3 does")
    if weights is None:
        raise ConfigError(f"--net {config} needs the --weights that belong to it")
    return space.static_network(config, weights)
