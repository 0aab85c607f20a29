"""What can go wrong, as far as a user can act on it; each error carries the exit code of the command line.

    NatError
    ├── ConfigError          2   an unknown name, a wrong value, an infeasible constraint, unusable data
    │   └── PluginError      2   a plugin that is broken, missing or claimed twice
    ├── StateError           3   a run folder that is unreadable, foreign or changed
    ├── ResourceError        4   out of disk, permission or memory; a run folder in use; no download
    └── FailureBudgetError   5   too many architectures could not be measured

A `NatError` is printed without a traceback. Anything else is a bug, and gives one.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable

log = logging.getLogger("nat_core")


class NatError(Exception):
    """Something a user can act on: says what was found, where, and what would be accepted."""

    exit_code = 2


class ConfigError(NatError):
    """A wrong word on the command line, in the run file, or in the data."""


class PluginError(ConfigError):
    """A plugin that is broken, missing, or claimed by two distributions."""


class StateError(NatError):
    """A run folder or a cache that cannot be read as it stands, or no longer fits what is asked of it."""

    exit_code = 3


class ResourceError(NatError):
    """Disk, memory, permission, network, or a run folder that another process holds."""

    exit_code = 4


class FailureBudgetError(NatError):
    """Too large a share of the architectures could not be measured."""

    exit_code = 5


def blame(fault: str, instead: str = "", *, strict: bool) -> None:
    """Warn of what a plugin could not do, and of what is done instead; a `PluginError` where that is wanted."""
    if strict:
        raise PluginError(f"{fault} (--strict-plugins)")
    log.warning("%s%s", fault, instead)


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> str:
    """The one wording for an unknown name: the nearest names first, then the full list."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    guess = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    listed = ", ".join(names) if names else "none are installed"
    return f"unknown {kind} {name!r}.{guess} Known: {listed}.{' ' + hint if hint else ''}"
