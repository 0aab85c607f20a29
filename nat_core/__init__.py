"""nat: Neural Architecture Transfer. The engine; plugins bring the spaces, surrogates, optimizers and objectives."""

from __future__ import annotations

from nat_core.hookspecs import hookimpl

__all__ = ["__version__", "hookimpl"]

__version__ = "0.1.0"
