"""Packages that a tracker needs."""

from __future__ import annotations

import importlib
from typing import Any

from nat_core.errors import ConfigError


def needed(module: str, tracker: str) -> Any:
    """Import a module, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"the tracker {tracker} needs the package {module.partition('.')[0]}, which cannot be imported ({error}): "
            f"pip install 'nat-core[{tracker}]'"
        ) from None
