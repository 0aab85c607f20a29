"""Numbers in words that several commands print."""

from __future__ import annotations

from collections.abc import Mapping


def errors_in_words(errors: Mapping[str, float]) -> str:
    """Such as `top-1 error 3.20%, top-5 error 0.10%`."""
    return ", ".join(f"{name.replace('_', ' ').replace('top', 'top-')} {value:.2%}" for name, value in errors.items())
