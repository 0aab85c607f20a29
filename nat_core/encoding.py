"""Architectures as integers: what every other module speaks.

An architecture is a tuple of choice indices, one for each variable of its search space. Many of them are the rows of a
matrix X. The search space alone knows what an index means.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Architecture = tuple[int, ...]  # one choice index per variable; hashable, plain JSON
Encodings = NDArray[np.int64]  # X  (n, n_variables)
Values = NDArray[np.float64]  # y  (n,)  lower is better, NaN = not measured
Objectives = NDArray[np.float64]  # F  (n, n_objectives)


ENUMERABLE = 200_000  # a space up to this many encodings can be listed


@dataclass(frozen=True)
class Variable:
    """One decision of a search space: `choices[i]` is what index `i` means."""

    name: str
    choices: tuple[object, ...]


def as_encodings(architectures: Iterable[Sequence[int]], n_variables: int) -> Encodings:
    """The rows X (n, n_variables) of some architectures; n may be 0."""
    rows = [tuple(a) for a in architectures]
    return np.array(rows, dtype=np.int64).reshape(len(rows), n_variables)


def as_architectures(X: Encodings) -> list[Architecture]:
    """The architectures in the rows of X."""
    return [tuple(row) for row in X.tolist()]


def random_encodings(variables: Sequence[Variable], n: int, rng: np.random.Generator) -> Encodings:
    """X (n, n_variables), every choice of every variable equally likely. Not canonical."""
    return rng.integers(0, sizes(variables), size=(n, len(variables)))


def sized_encodings(variables: Sequence[Variable], size: Values, rng: np.random.Generator) -> Encodings:
    """X (n, n_variables), not canonical: choices about a share `size` (n,) of the way from the first to the last.

    Uniform choices make networks of medium size, nearly all of them. Choices that lean the same way in all variables
    make small and large ones too.
    """
    lean = 4 * size[:, None]
    share = rng.beta(0.5 + lean, 4.5 - lean, size=(len(size), len(variables)))
    return np.minimum((share * sizes(variables)).astype(np.int64), sizes(variables) - 1)


def sizes(variables: Sequence[Variable]) -> Encodings:
    """How many choices each variable has, (n_variables,)."""
    return np.array([len(v.choices) for v in variables], dtype=np.int64)


def corners(variables: Sequence[Variable]) -> Encodings:
    """The row of all first choices and the row of all last ones, (2, n_variables). Not canonical."""
    return np.stack([np.zeros_like(sizes(variables)), sizes(variables) - 1])


def everything(variables: Sequence[Variable]) -> Encodings | None:
    """Every combination of choices, (n, n_variables), not canonical; none for a space too large to be listed."""
    choices = sizes(variables)
    count = math.prod(choices.tolist())
    return np.stack(np.unravel_index(np.arange(count), tuple(choices)), axis=1) if count <= ENUMERABLE else None


def new_rows(X: Encodings, known: Iterable[Architecture] = ()) -> Encodings:
    """The rows of X that are not in `known`, each once, in the order of their first appearance."""
    seen = set(known)
    kept = []
    for i, architecture in enumerate(as_architectures(X)):
        if architecture not in seen:
            seen.add(architecture)
            kept.append(i)
    return X[kept]
