"""Milliseconds of whole networks, measured here."""

from __future__ import annotations

from collections.abc import Sequence

from nat_core import plugins
from nat_core.contracts import BuildableOperators, Engine, Measurement, SearchSpace
from nat_core.encoding import Architecture, Encodings, as_architectures
from nat_core.errors import ConfigError, NatError
from nat_core.latency.building import network_candidate
from nat_core.latency.measuring import Candidate, Effort, Timing, measure
from nat_core.seeding import rng


class MeasuredLatency:
    """An estimator that needs no data. Networks of one call are measured in turns, so that a slow minute slows all.

    Raises `ConfigError` for a space whose networks cannot be made without a supernet, and as the engine does.
    """

    undisturbed = True  # what else the machine does takes time

    def __init__(self, space: SearchSpace, engine: str, device: str, threads: int, batch: int, effort: Effort) -> None:
        if not isinstance(space, BuildableOperators):
            raise ConfigError(
                f"measured needs a space that can make its networks, and {type(space).__name__} cannot: it needs "
                "operators, layers and sequence"
            )
        self._space, self._batch, self._effort = space, batch, effort
        self._engine: Engine = plugins.find("engines", engine)(device=device, threads=threads)

    def __call__(self, X: Encodings) -> Sequence[Measurement]:
        """Milliseconds of each row, or why it could not be measured."""
        rows = as_architectures(X)
        distinct, found = list(dict.fromkeys(rows)), dict[Architecture, Measurement]()
        for start in range(0, len(distinct), self._effort.block):
            found |= self._block(distinct[start : start + self._effort.block])
        return [found[a] for a in rows]

    def _block(self, block: Sequence[Architecture]) -> dict[Architecture, Measurement]:
        candidates = [network_candidate(self._space, a, self._batch) for a in block]
        try:
            timings = self._timed(candidates)
        except NatError:
            raise
        except Exception as error:  # noqa: BLE001 - an engine may fail in any way: find out on which network
            if len(block) == 1:
                return {block[0]: Measurement(float("nan"), f"{type(error).__name__}: {error}")}
            one_by_one = [self._block([a]) for a in block]
            return {a: m for found in one_by_one for a, m in found.items()}
        return {a: Measurement(timings[c.name].ms) for a, c in zip(block, candidates, strict=True)}

    def _timed(self, candidates: Sequence[Candidate]) -> dict[str, Timing]:
        return measure(self._engine, candidates, self._effort, rng(0, "measured"))
