"""Checks of the optimizers' options."""

from __future__ import annotations

from nat_core.errors import ConfigError


def probability(**options: float) -> None:
    """Raise `ConfigError` for an option that is not in 0 … 1."""
    for name, value in options.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"{name} must be a probability from 0 to 1, not {value!r}")
