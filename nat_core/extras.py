"""Packages that come with an extra of nat's, and that a part needs only when it is used."""

from __future__ import annotations

import importlib
from typing import Any

from nat_core.errors import ConfigError


def needed(module: str, whose: str, extra: str) -> Any:
    """Import a module that `whose` part needs, or raise `ConfigError` that says which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{whose} needs the package {module.partition('.')[0]}, which cannot be imported ({error}): "
            f"pip install 'nat-core[{extra}]'"
        ) from None
