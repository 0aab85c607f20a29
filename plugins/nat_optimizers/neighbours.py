"""Rows that differ from others in one variable."""

from __future__ import annotations

import numpy as np

from nat_core.contracts import SearchSpace
from nat_core.encoding import Encodings, sizes


def neighbours(space: SearchSpace, X: Encodings) -> Encodings:
    """Every row of X after each of `moves`, made canonical, (n · n_moves, n_variables); some are the same."""
    variable, choice = moves(space)
    moved = np.repeat(X[:, None], len(variable), axis=1)
    moved[:, np.arange(len(variable)), variable] = choice
    return space.canonicalize(moved.reshape(-1, X.shape[1]))


def moves(space: SearchSpace) -> tuple[Encodings, Encodings]:
    """Every choice of every variable, as two columns of indices."""
    choices = sizes(space.variables)
    return np.repeat(np.arange(len(choices)), choices), np.concatenate([np.arange(k) for k in choices])
