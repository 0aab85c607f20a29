"""What an objective or a cost is called: the name that chooses a plugin, and the column that carries its unit.

A plugin says its unit in the annotation of what its factory returns, `-> Annotated[CostModel, "ms"]`. `latency` is then
the column `latency_ms`, and `latency@note10` the column `latency_ms@note10`; both forms are understood wherever an
objective is named. A bound on something that has a unit is written with one: `latency<=25ms` or `latency_ms<=25`.
Whoever wrote 25 and meant seconds, or read milliseconds, has met a network of 72 ms before.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nat_core import options, plugins
from nat_core.errors import ConfigError, PluginError
from nat_core.plugins import Offer
from nat_core.problem import Constraint

UNITS: Mapping[str, Mapping[str, float]] = MappingProxyType(  # unit of a column → what may be written, and its size
    {
        "ms": {"ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3},
        "bytes": {
            "bytes": 1.0,
            "B": 1.0,
            **{f"{prefix}B": 1000.0**power for power, prefix in enumerate("kMG", start=1)},
            **{f"{prefix}iB": 1024.0**power for power, prefix in enumerate("KMG", start=1)},
        },
    }
)
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-zA-Zµ%]*)\s*")
_COUNTS = MappingProxyType({"k": 1e3, "M": 1e6, "G": 1e9})  # as the tables print what has no unit
_NAME = re.compile(r"[\w@.:-]+")
_BOUND = re.compile(r"\s*([\w@.:-]+?)\s*(<=|>=)(.*)")


@dataclass(frozen=True)
class Measure:
    """A plugin that gives an objective or a cost, and what its column is called."""

    offer: Offer  # its name chooses the options: `latency@note10`
    column: str  # `latency_ms@note10`
    unit: str  # empty for counts and shares


def measure(name: str, *kinds: str) -> Measure:
    """What goes by a name or a column in the first of the kinds that has it. Raises `PluginError` for nothing."""
    registry = plugins.registry()
    try:
        offer = registry.find(kinds[0], name, *kinds[1:])
    except PluginError:
        stem, at, instance = name.partition("@")
        bare, _, unit = stem.rpartition("_")
        if unit not in UNITS:
            raise
        with contextlib.suppress(PluginError):
            found = measure(f"{bare}{at}{instance}", *kinds)
            if found.unit == unit:
                return found
        raise
    unit = options.unit(offer.factory)
    stem, at, instance = name.partition("@")
    return Measure(offer, f"{stem}_{unit}{at}{instance}" if unit else name, unit)


def column(name: str, *kinds: str) -> str:
    """The column of a name; the name itself where nothing goes by it."""
    with contextlib.suppress(PluginError):
        return measure(name, *(kinds or ("estimators", "cost_models"))).column
    return name


def part(name: str) -> str:
    """The name that chooses the options of an objective or a cost, without its distribution."""
    with contextlib.suppress(PluginError):
        return measure(name, "estimators", "cost_models").offer.name
    return name.rpartition(":")[2]


def constraint(text: str) -> Constraint:
    """Read `macs<=20e6`, `macs<=20M`, `latency<=25ms` or `latency_ms<=25`, in the unit of the column.

    Raises `ConfigError` for a bound without a unit on what has one, and for a unit of something else.
    """
    match = _BOUND.fullmatch(text)
    quantity = _QUANTITY.fullmatch(match[3]) if match else None
    if match is None or quantity is None or quantity[2] == "%":
        return Constraint.parse(text)  # which says what is wrong
    name, relation, given = match[1], match[2], quantity[2]
    found: Measure | None = None
    with contextlib.suppress(PluginError):
        found = measure(name, "estimators", "cost_models")
    size = size_of(given, name, found.unit if found else "", text)
    bound = float(quantity[1]) * size
    if not math.isfinite(bound):
        raise ConfigError(f"the bound of the constraint {text!r} is too large a number")
    return Constraint(found.column if found else name, relation, bound)


def canonical(text: str) -> str:
    """A constraint in the unit of its column, as it is kept: `latency<=25ms` is `latency_ms<=25.0`."""
    found = constraint(text)
    plain = _BOUND.fullmatch(text)
    if plain is not None and plain[1] == found.name:
        with contextlib.suppress(ConfigError):
            Constraint.parse(text)
            return text
    return f"{found.name}{found.relation}{found.bound!r}"


def quantity(option: str, text: str) -> tuple[str, float]:
    """Read `latency=25ms`, `macs=300M` or `top1_error=5%` as a column and a number in its unit."""
    name, equals, value = text.partition("=")
    match = _QUANTITY.fullmatch(value)
    number = float(match[1]) if match else math.inf
    if match is None or not equals or not _NAME.fullmatch(name.strip()) or not math.isfinite(number):
        raise ConfigError(
            f"cannot read {option} {text!r}: write name=number, such as macs=300e6, macs=300M, error=5% or latency=25ms"
        )
    name, found = name.strip(), None
    with contextlib.suppress(PluginError):
        found = measure(name, "estimators", "cost_models")
    unit = found.unit if found else ""
    size = 0.01 if match[2] == "%" and not unit else size_of(match[2], name, unit, f"{option} {text}")
    return found.column if found else name, number * size


def size_of(given: str, name: str, unit: str, text: str) -> float:
    """How much of a column's unit one of the given unit is; a count may be in thousands, millions or billions.

    Raises `ConfigError` where they do not fit.
    """
    if given:
        known = UNITS.get(unit, {}) if unit else _COUNTS
        if given not in known:
            has = f"is in {unit}: accepted are" if unit else "has no unit: leave it out; a count may be in"
            raise ConfigError(f"cannot read {text!r}: {name} {has} {', '.join(known)}")
        return known[given]
    if unit and not _names_its_unit(name, unit):
        raise ConfigError(
            f"{text!r} has no unit, and {name} is in {unit}: write a number with its unit, as {name}<=25{unit}, "
            f"or name the column, {column(name)}"
        )
    return 1.0


def _names_its_unit(name: str, unit: str) -> bool:
    return name.partition("@")[0].endswith(f"_{unit}")
