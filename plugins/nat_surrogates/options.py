"""Checks of the surrogates' options."""

from __future__ import annotations

import math

from nat_core.errors import ConfigError


def at_least(least: float, **options: float) -> None:
    """Raise `ConfigError` for an option that is smaller, or not finite."""
    for name, value in options.items():
        if not least <= value < math.inf:
            raise ConfigError(f"{name} must be at least {least:g} and finite, not {value!r}")


def share(**options: float) -> None:
    """Raise `ConfigError` for an option that is not above 0 and at most 1."""
    for name, value in options.items():
        if not 0 < value <= 1:
            raise ConfigError(f"{name} must be above 0 and at most 1, not {value!r}")
