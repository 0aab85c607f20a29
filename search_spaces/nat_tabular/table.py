"""The file of NAS-Bench-Macro: strict JSON, every architecture there, costs that are sums over layers.

An architecture is eight digits, one for each layer: 0 Identity, 1 MB3_K3, 2 MB6_K5. What the file calls `flops` are
multiply-accumulates.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Encodings, Values
from nat_core.errors import ConfigError

LAYERS, CHOICES = 8, ("Identity", "MB3_K3", "MB6_K5")
CODES = tuple(map("".join, itertools.product("012", repeat=LAYERS)))  # in the order of the rows below
COSTS = ("flops", "params")
_KEYS = frozenset({"test_acc", "mean_acc", "std", *COSTS})
_PLACES = len(CHOICES) ** np.arange(LAYERS)[::-1]


@dataclass(frozen=True, eq=False)
class Table:
    """What is known of all 6,561 architectures, in the order of their codes."""

    file: Path
    fingerprint: str  # sha256 of the file
    error: Values  # (6561,), top-1, 0 … 1, the mean of three trainings
    macs: LayerPrices
    params: LayerPrices


@dataclass(frozen=True, eq=False)
class LayerPrices:
    """A cost as a sum: a constant, and a price for each layer and choice; Identity's is 0."""

    constant: int
    prices: NDArray[np.int64]  # (8, 3)


def rows(X: Encodings) -> NDArray[np.int64]:
    """The places of X (n, 8) in the table, (n,)."""
    places: NDArray[np.int64] = X @ _PLACES
    return places


def load(name: str) -> Table:
    """Read the file. Raises `ConfigError` that names the place of a fault."""
    try:
        file = Path(name).expanduser()
        content = file.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # also ~nobody, and what cannot be a name
        raise ConfigError(f"cannot read the table {name!r}: {getattr(error, 'strerror', None) or error}") from error
    try:
        entries = json.loads(content, object_pairs_hook=_distinct, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, NaN, a key twice, 1,000 brackets
        raise ConfigError(f"the table {file} is not JSON as expected: {error}") from error
    _require_complete(file, entries)
    for code in CODES:
        _require_row(f"the table {file}: {code}", entries[code])
    errors = 1.0 - np.array([entries[code]["mean_acc"] for code in CODES]) / 100.0
    macs, params = (_per_layer(file, cost, [entries[code][cost] for code in CODES]) for cost in COSTS)
    return Table(file, hashlib.sha256(content).hexdigest(), errors, macs, params)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is there twice")
        found[key] = value
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no value of JSON")


def _require_complete(file: Path, entries: object) -> None:
    if not isinstance(entries, Mapping):
        raise ConfigError(f"the table {file} has to be an object with an entry for each architecture")
    for kind, codes in (
        ("has entries that are no architecture", sorted(entries.keys() - set(CODES))),
        ("lacks architectures", [code for code in CODES if code not in entries]),
    ):
        if codes:
            named = ", ".join(repr(code[:20]) for code in codes[:5]) + (", …" if len(codes) > 5 else "")
            raise ConfigError(
                f"the table {file} {kind}: {named} ({len(codes):,} in all). It holds the {len(CODES):,} codes of "
                f"{LAYERS} digits, each 0 ({CHOICES[0]}), 1 ({CHOICES[1]}) or 2 ({CHOICES[2]})"
            )


def _require_row(where: str, row: object) -> None:
    if not isinstance(row, Mapping) or row.keys() != _KEYS:
        keys = ", ".join(map(repr, sorted(row))) if isinstance(row, Mapping) else repr(row)[:60]
        raise ConfigError(f"{where} has {keys or 'nothing'}; expected are {', '.join(sorted(_KEYS))}")
    if not isinstance(row["test_acc"], list) or not row["test_acc"]:
        raise ConfigError(f"{where}: test_acc has to be a list of percentages")
    for name, value in [("mean_acc", row["mean_acc"]), *(("test_acc", value) for value in row["test_acc"])]:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 100:
            raise ConfigError(f"{where}: {name} holds {value!r}, which is no percentage")
    if not math.isclose(row["mean_acc"], sum(row["test_acc"]) / len(row["test_acc"]), abs_tol=1e-3):
        raise ConfigError(f"{where}: mean_acc is {row['mean_acc']!r}, which is not the mean of {row['test_acc']}")
    for cost in COSTS:
        value = row[cost]
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**53:
            raise ConfigError(f"{where}: {cost} is {value!r}; expected is a positive whole number")


def _per_layer(file: Path, cost: str, column: list[int]) -> LayerPrices:
    """The constant and the prices that give every row of a cost. Raises `ConfigError` for a row that they do not."""
    y = np.array(column, dtype=np.int64)
    alone = np.eye(LAYERS, dtype=np.int64)[:, None] * np.arange(len(CHOICES))[:, None]  # (8, 3, 8): one layer, no other
    prices = y[rows(alone)] - y[0]
    X = np.array([[int(digit) for digit in code] for code in CODES])
    sums = y[0] + prices[np.arange(LAYERS), X].sum(axis=1)
    if (wrong := np.flatnonzero(sums != y)).size:
        raise ConfigError(
            f"the table {file}: {cost} of {CODES[wrong[0]]} is {y[wrong[0]]:,}, and its layers add up to "
            f"{sums[wrong[0]]:,} ({len(wrong):,} such rows)"
        )
    return LayerPrices(int(y[0]), prices)
