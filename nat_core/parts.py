"""From what a user sets and what is known of the data to parts that are built: for runs and for single commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nat_core import config as configs
from nat_core import options
from nat_core.config import part_name
from nat_core.contracts import Dataset
from nat_core.errors import ConfigError, unknown
from nat_core.hookspecs import Factory
from nat_core.plugins import Offer

Given = Mapping[str, Mapping[str, Any]]  # part → option → value


def settings_of_parts(settings: Iterable[str], example: str) -> dict[str, dict[str, Any]]:
    """The words of `-s` where only options of parts can be set. Raises `ConfigError` for others."""
    given: configs.Layer = {}
    for text in settings:
        layer = configs.setting(text)
        if set(layer) != {"options"}:
            raise ConfigError(f"cannot use the setting {text!r} here: write part.option=value, such as {example}")
        given = configs.merged_layers(given, layer["options"])
    return given


def data_and_settings(data: str, settings: Iterable[str], example: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """The data set's name, for a folder as well, and the options of all parts."""
    layer = configs.with_folder({"data": data, "options": settings_of_parts(settings, example)})
    return layer["data"], layer["options"]


def shorthands(words: Mapping[str, str | None], offers: Iterable[Offer], instead: Iterable[Offer] = ()) -> list[str]:
    """Words such as `--device cuda` as settings of every part that has such an option.

    Raises `ConfigError` where none has it, which names those that have it among what could be chosen `instead`.
    """
    offers, settings = tuple(offers), list[str]()
    for option, value in words.items():
        if value is None:
            continue
        names = [part_name(offer.name) for offer in offers if option in _schema(offer)]
        if not names:
            listed = ", ".join(offer.name for offer in offers) or "nothing"
            able = ", ".join(offer.name for offer in instead if option in _schema(offer))
            raise ConfigError(
                f"--{option} sets the option {option!r} of what computes here ({listed}): "
                + (f"these have it: {able}" if able else "none has it")
            )
        settings += [f"{name}.{option}={value}" for name in dict.fromkeys(names)]
    return settings


def require_parts(given: Given, offers: Iterable[Offer]) -> None:
    """Raise `ConfigError` for options of a part that is not among the offers, and for options that none has."""
    offers = tuple(offers)
    names = [part_name(offer.name) for offer in offers]
    for part in given:
        if part not in names:
            raise ConfigError(f"options are set for {part!r}: {unknown('part', part, names)}")
    require_options(given, offers)


def require_options(given: Given, offers: Iterable[Offer]) -> None:
    """Raise `ConfigError` for options that no part of that name has, that are of a wrong type, or that are missing."""
    offers = tuple(offers)
    for offer in offers:
        mine = given.get(part_name(offer.name), {})
        known = {option for o in offers if o.name == offer.name for option in _schema(o)}
        if mine.keys() - known:
            options.checked(offer.name, factory(offer), mine)
        _checked(given, offer)


def make(given: Given, offer: Offer, context: Mapping[str, Any], *arguments: object) -> Any:
    """Call a factory with the user's options, and with what is known where it has an option of that name."""
    mine = _checked(given, offer)
    known = {name: context[name] for name in _schema(offer) if name in context and name not in mine}
    return factory(offer)(*arguments, **known, **mine)


def about_data(data: Dataset) -> dict[str, Any]:
    """What a part is told whose options go by these names; mean and std are what images are normalised with."""
    return {
        "classes": len(data.classes),
        "image_size": data.image_size,
        "mean": [float(m) for m in data.mean],
        "std": [float(s) for s in data.std],
    }


def factory(offer: Offer) -> Factory:
    """The factory of an offer that the registry has found."""
    assert offer.factory is not None  # noqa: S101 - the registry finds working offers alone
    return offer.factory


def _schema(offer: Offer) -> Mapping[str, options.Option]:
    return options.options(factory(offer))


def _checked(given: Given, offer: Offer) -> dict[str, Any]:
    """What is set for an offer. Two parts of one name, as a space and its estimator, take what they have each."""
    mine, schema = given.get(part_name(offer.name), {}), _schema(offer)
    return options.checked(offer.name, factory(offer), {name: v for name, v in mine.items() if name in schema})
