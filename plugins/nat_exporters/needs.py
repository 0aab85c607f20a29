"""Packages that a format needs."""

from __future__ import annotations

import importlib
from typing import Any

from nat_core.errors import ConfigError


def needed(module: str, form: str, extra: str) -> Any:
    """Import a module, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"the format {form} needs the package {module.partition('.')[0]}, which cannot be imported ({error}): "
            f"pip install 'nat-core[{extra}]'"
        ) from None
