"""An architecture as blocks in stages: what a picture of it is made of, and how often each kind of block was chosen.

Spaces that describe themselves as OFA does (`ks`, `e`, `d`) give blocks of a kernel and an expansion, those with a list
of `layers` give the names of these, and any other space gives a block for each variable.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nat_core.contracts import SearchSpace
from nat_core.encoding import Architecture


@dataclass(frozen=True)
class Block:
    """One layer: how tall and how wide it is drawn, 0 … 1, and its properties in words, in the order of reading."""

    label: str
    height: float
    width: float
    properties: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Drawing:
    """Stages of blocks, and what holds for the network as a whole, such as the side of its input."""

    stages: tuple[tuple[Block, ...], ...]
    facts: tuple[tuple[str, str], ...] = ()


def draw(space: SearchSpace, architecture: Architecture) -> Drawing:
    """The blocks of an architecture."""
    about = space.describe(architecture)
    if (lists := _lists(about)) is not None:
        return Drawing(_convolutions(*lists), _facts(about))
    layers = about.get("layers")
    if isinstance(layers, Sequence) and not isinstance(layers, str) and len(layers) == len(space.variables):
        names = list(map(str, layers))
        return Drawing((tuple(map(_choice, space.variables, architecture, names)),))
    named = [_choice(v, index, str(v.choices[index])) for v, index in zip(space.variables, architecture, strict=True)]
    stages = itertools.groupby(zip(space.variables, named, strict=True), key=lambda pair: _stage(pair[0].name))
    return Drawing(tuple(tuple(block for _, block in group) for _, group in stages))


def _lists(about: Mapping[str, Any]) -> tuple[list[int], list[int], list[int]] | None:
    """OFA's kernels and expansions of the live layers, and depths of the stages; none where they are not all there."""
    found = [about.get(name) for name in ("ks", "e", "d")]
    if not all(isinstance(values, list) and all(isinstance(v, int) for v in values) for values in found):
        return None
    kernels, expands, depths = ([int(v) for v in values or ()] for values in found)
    return (kernels, expands, depths) if len(kernels) == len(expands) == sum(depths) else None


def _convolutions(kernels: list[int], expands: list[int], depths: list[int]) -> tuple[tuple[Block, ...], ...]:
    """Inverted residuals: as wide as the kernel, as tall as the expansion; 7 and 6 fill a bar."""
    pairs = iter(zip(kernels, expands, strict=True))
    return tuple(tuple(_convolution(k, e) for k, e in itertools.islice(pairs, depth)) for depth in depths)


def _convolution(kernel: int, expand: int) -> Block:
    size = ("kernel", f"{kernel}×{kernel}"), ("expansion", str(expand))
    return Block(f"{kernel}×{kernel}, expansion {expand}", min(expand / 6, 1.0), min(kernel / 7, 1.0), size)


def _facts(about: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """OFA's resolution and width, where the space has them."""
    known = (("input side", about.get("r"), " px"), ("width", about.get("w"), "×"))
    return tuple((word, f"{value}{unit}") for word, value, unit in known if isinstance(value, int | float))


def _choice(variable: Any, index: int, label: str) -> Block:
    """A choice of any space: taller the later it stands among the choices of its variable."""
    height = index / max(len(variable.choices) - 1, 1)
    return Block(label, height, 0.7, (("choice", label),))


def _stage(name: str) -> str:
    """`stage1` of `stage1.layer2`; variables without a dot are all of one stage."""
    return name.rpartition(".")[0]


@dataclass(frozen=True)
class Shares:
    """How often each value of a property was chosen in each slot, in the front and in the archive, 0 … 1."""

    title: str
    columns: tuple[str, ...]  # slots, such as 1.2: the second layer of the first stage
    stages: tuple[int, ...]  # of every column: where one ends, a gap is drawn
    rows: tuple[str, ...]  # values, the largest first
    front: tuple[tuple[float, ...], ...]  # (rows, columns)
    archive: tuple[tuple[float, ...], ...]


def shares(archive: Sequence[Drawing], front: Sequence[Drawing], order: Sequence[str] = ()) -> list[Shares]:
    """A table for each property of the blocks, and one for each fact. A layer that is not there counts as `none`.

    `order` has the values that are words, from the first choice to the last.
    """
    rank = {value: i for i, value in enumerate(order)}
    depth = [0] * max((len(d.stages) for d in archive), default=0)
    for drawing in archive:
        for g, stage in enumerate(drawing.stages):
            depth[g] = max(depth[g], len(stage))
    slots = [(g, j) for g, layers in enumerate(depth) for j in range(layers)]
    found = []
    titles = dict.fromkeys(t for d in archive for stage in d.stages for b in stage for t, _ in b.properties)
    for title in titles:
        columns = tuple(f"{g + 1}.{j + 1}" for g, j in slots)
        cells = [[_property(d, slot, title) for d in archive] for slot in slots]
        on_front = [[_property(d, slot, title) for d in front] for slot in slots]
        rows = _rows(itertools.chain.from_iterable(cells), rank)
        stages = tuple(g for g, _ in slots)
        found.append(Shares(title, columns, stages, rows, _table(rows, on_front), _table(rows, cells)))
    for fact in dict.fromkeys(word for d in archive for word, _ in d.facts):
        every, some = ([dict(d.facts).get(fact, "none") for d in drawings] for drawings in (archive, front))
        values = _rows(every, {})[::-1]
        if len(values) > 1:
            row = (tuple(zip(*_table(values, [facts]), strict=True)) for facts in (some, every))
            found.append(Shares(fact, values, (0,) * len(values), ("share",), *row))
    return found


def _property(drawing: Drawing, slot: tuple[int, int], title: str) -> str:
    g, j = slot
    if g >= len(drawing.stages) or j >= len(drawing.stages[g]):
        return "none"
    return dict(drawing.stages[g][j].properties).get(title, "none")


def _rows(values: Iterable[str], rank: Mapping[str, int]) -> tuple[str, ...]:
    """Distinct values: the last choice first, or else the largest number; `none` last."""
    distinct = sorted(set(values))
    return tuple(sorted(distinct, key=lambda value: (value == "none", -rank.get(value, 0), -_leading(value))))


def _leading(text: str) -> float:
    """The number that a text begins with; 0 without one."""
    digits = "".join(itertools.takewhile(lambda c: c in "0123456789.", text))
    return float(digits) if digits.count(".") < 2 and digits.strip(".") else 0.0


def _table(rows: Sequence[str], slots: Sequence[Sequence[str]]) -> tuple[tuple[float, ...], ...]:
    """Shares of the values in each slot, (rows, columns), to three digits."""
    return tuple(tuple(round(slot.count(row) / max(len(slot), 1), 3) for slot in slots) for row in rows)
