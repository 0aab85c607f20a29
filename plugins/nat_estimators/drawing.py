"""Which networks learn in a step: one or several for the same pictures, and which of them teaches the others."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from nat_core.contracts import SearchSpace, SupernetSpace
from nat_core.encoding import Architecture, Encodings, as_architectures, as_encodings
from nat_core.errors import ConfigError
from nat_estimators.schedule import Schedule

RESOLUTION, WIDTH = "resolution", "width"  # variables by the names that `SupernetSpace` gives them
_FAMILY = frozenset({RESOLUTION, WIDTH})  # what networks of one step have in common


@dataclass(frozen=True)
class Lesson:
    """The networks of a step, in the order in which they learn. They take pictures of one side."""

    networks: tuple[Architecture, ...]
    teacher: Architecture | None = None  # whose outputs the others imitate; it may be one of them


def lessons(
    X: Encodings, space: SupernetSpace, schedule: Schedule, n: int, rng: np.random.Generator, alone: int = 0
) -> list[Lesson]:
    """What `n` steps of an adaptation to the rows X learn. In the first `alone` of them the largest network learns."""
    draw = picked if schedule.draw == "archive" else drawn
    rows = draw(X, space, n * max(schedule.sandwich, 1), rng)
    if schedule.whole_space:
        rows = with_others(rows, space, schedule.whole_space, rng)
    if schedule.sandwich:
        begun = (Lesson((largest_alike(space, row),)) for row in rows[: alone * schedule.sandwich : schedule.sandwich])
        rest = rows[alone * schedule.sandwich :]
        return [*begun, *sandwiches(rest, space, schedule.sandwich, taught=schedule.distillation > 0)]
    chosen = (
        largest_alike(space, r) if rng.random() < schedule.largest or i < alone else r for i, r in enumerate(rows)
    )
    return [Lesson((row,), largest_alike(space, row) if schedule.distillation else None) for row in chosen]


def drawn(X: Encodings, space: SearchSpace, n: int, rng: np.random.Generator) -> list[Architecture]:
    """`n` canonical architectures from the marginals of X: each variable drawn from its own column."""
    chosen = rng.integers(0, len(X), size=(n, X.shape[1]))
    return as_architectures(space.canonicalize(X[chosen, np.arange(X.shape[1])]))


def picked(X: Encodings, space: SearchSpace, n: int, rng: np.random.Generator) -> list[Architecture]:
    """`n` of the rows X themselves."""
    return as_architectures(space.canonicalize(X[rng.integers(0, len(X), size=n)]))


def with_others(
    rows: list[Architecture], space: SearchSpace, share: float, rng: np.random.Generator
) -> list[Architecture]:
    """About a share of the rows replaced by samples of the space.

    An archive gathers where the front gains most. A supernet that learns its networks alone forgets the others, and
    the search never hears of it: they are not measured again.
    """
    replaced = rng.random(len(rows)) < share
    samples = as_architectures(space.canonicalize(space.sample(len(rows), rng)))
    return [sample if other else row for row, sample, other in zip(rows, samples, replaced, strict=True)]


def sandwiches(rows: list[Architecture], space: SupernetSpace, between: int, *, taught: bool) -> Iterator[Lesson]:
    """Lessons by the sandwich rule: the largest and the smallest network, and `between` of the rows (Yu & Huang, 2019).

    The first row of a lesson sets the side of its pictures, and the width where each width is a supernet of its own.
    """
    for start in range(0, len(rows), between):
        first = rows[start]
        largest = largest_alike(space, first)
        others = (like(space, row, first) for row in rows[start : start + between])
        networks = dict.fromkeys((largest, smallest_alike(space, first), *others))
        yield Lesson(tuple(networks), largest if taught else None)


def largest_alike(space: SupernetSpace, architecture: Architecture) -> Architecture:
    """The largest network for the same images, in the same of several supernets where the space has a width for each.

    Another width's network would share no weights with this one, so what is learnt here would not reach the teacher.
    """
    return like(space, tuple(len(variable.choices) - 1 for variable in space.variables), architecture)


def smallest_alike(space: SupernetSpace, architecture: Architecture) -> Architecture:
    """The smallest of them."""
    return like(space, (0,) * len(space.variables), architecture)


def like(
    space: SupernetSpace, architecture: Architecture, other: Architecture, shared: Collection[str] = _FAMILY
) -> Architecture:
    """An architecture, with the resolution and the width of another one, or with what else is to be shared.

    Raises `ConfigError` where that would take pictures of another side than the other one: the names are wrong then.
    """
    chosen = [
        theirs if variable.name in shared else own
        for own, theirs, variable in zip(architecture, other, space.variables, strict=True)
    ]
    found = as_architectures(space.canonicalize(as_encodings([chosen], len(chosen))))[0]
    side, theirs = space.input_shape(found)[1], space.input_shape(other)[1]
    if side != theirs:
        names = ", ".join(variable.name for variable in space.variables)
        raise ConfigError(
            f"networks that learn together take pictures of one side, and two of {type(space).__name__} that should "
            f"be alike in it take {side} and {theirs} pixels: the side has to follow from a variable named "
            f"{RESOLUTION!r} alone (and a width that is a supernet of its own from one named {WIDTH!r}), and the "
            f"variables of this space are {names}"
        )
    return found
