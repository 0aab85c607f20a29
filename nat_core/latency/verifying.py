"""`nat latency verify`: whole networks that the table has never seen, against its sums.

Each is prepared and measured several times over. The same network, prepared anew, lies elsewhere in memory and is a
percent or two faster or slower for as long as it lives, which longer measuring would not even out.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from nat_core.contracts import BuildableOperators, Engine, Progress
from nat_core.encoding import Values, as_architectures
from nat_core.errors import ConfigError, NatError
from nat_core.latency.building import network_candidate, text_form
from nat_core.latency.fitting import kendall, line
from nat_core.latency.measuring import Effort, Reference, measure, reference
from nat_core.latency.tables import LatencyTable, require_all
from nat_core.seeding import rng

_ENOUGH = 10  # networks that a line is fitted to
_PASSES = 4  # over all networks, each prepared anew


@dataclass(frozen=True)
class Verified:
    """What whole networks take, and what the table says they take, ms."""

    names: tuple[str, ...]
    sums: Values
    measured: Values  # as fast as the device was when the table was made
    pace: float  # how slow the device was this time: 1 is as then
    scatter: float  # by how much a network prepared anew differs, as a share: the standard deviation

    @property
    def error(self) -> float:
        """Mean absolute error of the sums, as a share of what was measured."""
        return _error(self.sums, self.measured)

    @property
    def error_today(self) -> float:
        """The same without taking out that the device was slower or faster this time."""
        return _error(self.sums, self.measured * self.pace)

    @property
    def kendall(self) -> float:
        """Of the two rankings: 1 is the same."""
        return kendall(self.sums, self.measured)

    @property
    def correction(self) -> tuple[float, float]:
        """Scale and offset (ms) that fit best."""
        return line(self.sums, self.measured)

    @property
    def corrected_error(self) -> float:
        """Mean absolute error for a network that the correction has not seen: each is left out once."""
        rows = range(len(self.sums))
        if len(rows) < 4:
            return float("nan")
        found = []
        for i in rows:
            others = np.array([j for j in rows if j != i])
            scale, offset = line(self.sums[others], self.measured[others])
            found.append(abs(scale * self.sums[i] + offset - self.measured[i]) / self.measured[i])
        return float(np.mean(found))

    @property
    def helps(self) -> bool:
        """Whether the correction is to be used: it predicts unseen networks better than none, and is no wild line.

        A few networks of nearly the same time fit many lines; one of them may be off by several networks at its ends.
        """
        tame = abs(self.correction[1]) <= 0.5 * float(self.measured.min())
        return len(self.names) >= _ENOUGH and tame and self.corrected_error < self.error

    def outline(self) -> dict[str, object]:
        """As it stands in the table; a correction that does not help is left out."""
        scale, offset = self.correction if self.helps else (1.0, 0.0)
        return {
            "networks": len(self.names),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "mean_absolute_error": self.error,
            "mean_absolute_error_today": self.error_today,
            "mean_absolute_error_corrected": self.corrected_error,
            "kendall": self.kendall,
            "pace": self.pace,
            "scatter": self.scatter,
            "scale": scale,
            "offset_ms": offset,
        }


def verify(
    table: LatencyTable,
    space: BuildableOperators,
    engine: Engine,
    networks: int,
    seed: int,
    effort: Effort,
    progress: Progress,
) -> Verified:
    """Measure random networks. Raises `ConfigError` where the table is of another device, engine or space."""
    _require_same(table, engine.about)
    operators = space.operators
    batch = int(*_positive(table, "batch", "1"))
    X = np.unique(space.sample(4 * networks, rng(seed, "latency verify")), axis=0)
    X = X[rng(seed, "latency verify order").permutation(len(X))[:networks]]
    layers = space.layers(X)
    require_all(table, [operators[i] for i in np.unique(layers[layers >= 0]).tolist()], "the latency table")
    prices = np.array([*map(table.price, operators), 0.0])
    architectures = as_architectures(X)
    passes, paces = list[Values](), list[float]()
    for repeat in range(_PASSES):
        beside = _reference(table, space, engine, batch, effort)
        measured = list[float]()
        for start in range(0, len(X), effort.block):
            block = [network_candidate(space, a, batch) for a in architectures[start : start + effort.block]]
            if beside:
                paces += [beside.pace() for _ in range(10)]
            found = measure(engine, block, effort, rng(seed, f"latency verify rounds, pass {repeat}", start), beside)
            measured += [found[candidate.name].ms for candidate in block]
            progress("networks", repeat * len(X) + len(measured), _PASSES * len(X))
        passes.append(np.array(measured))
    logs = np.log(passes)
    around = logs - logs.mean(axis=1, keepdims=True)  # a pass as a whole is as slow as its reference happened to lie
    return Verified(
        names=tuple(text_form(space, a) for a in architectures),
        sums=prices[layers].sum(axis=1),
        measured=np.exp(logs.mean(axis=0)),
        pace=float(np.median(paces)) if paces else 1.0,
        scatter=float(np.sqrt(around.var(axis=0, ddof=1).mean())),
    )


def noted(table: LatencyTable, found: Verified) -> LatencyTable:
    """The table with what whole networks said."""
    return replace(table, verified=found.outline())


def _error(sums: Values, measured: Values) -> float:
    return float(np.abs(sums / measured - 1.0).mean())


def _reference(
    table: LatencyTable, space: BuildableOperators, engine: Engine, batch: int, effort: Effort
) -> Reference | None:
    """The build's own reference, which tells a slower machine from a wrong table; none for a table without one."""
    if "reference" not in table.about:
        return None
    try:
        architectures = [space.parse(text) for text in str(table.about["reference"]).split()]
    except NatError as error:
        raise ConfigError(
            f"the table was built for other options of its space: its reference networks cannot be made ({error})"
        ) from None
    candidates = [network_candidate(space, architecture, batch) for architecture in architectures]
    return reference(engine, candidates, effort, _positive(table, "reference_ms", n=len(candidates)))


def _positive(table: LatencyTable, key: str, default: str = "", n: int = 1) -> list[float]:
    """Numbers that the table says of itself."""
    text = str(table.about.get(key, default))
    with contextlib.suppress(ValueError):
        numbers = [float(word) for word in text.split()]
        if len(numbers) == n and all(math.isfinite(number) and number > 0 for number in numbers):
            return numbers
    wanted = "a positive number was" if n == 1 else f"{n} positive numbers were"
    raise ConfigError(f"the table says {key}: {text!r}, where {wanted} written; build it again")


def _require_same(table: LatencyTable, about: Mapping[str, str]) -> None:
    for name in ("device", "processor", "engine", "precision", "threads"):
        if name in table.about and "reference" in table.about and table.about[name] != about.get(name):
            raise ConfigError(
                f"the table was measured with {name} {table.about[name]!r}, and here it is {about.get(name)!r}: "
                "it can only be verified where it was made"
            )
