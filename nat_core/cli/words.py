"""Numbers in words that several commands print."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from nat_core.errors import NatError, ResourceError
from nat_core.machine import out_of_memory
from nat_core.report.words import label, per_cent


def errors_in_words(errors: Mapping[str, float]) -> str:
    """Such as `top-1 error 3.20 %, top-5 error 0.10 %`."""
    return ", ".join(f"{label(name)} {per_cent(value)}" for name, value in errors.items())


@contextlib.contextmanager
def publishing(out: Path) -> Iterator[None]:
    """Around the writing of a file that is no part of a run: its error does not send anybody to `nat resume`."""
    try:
        yield
    except ResourceError as error:
        reason = error.__cause__
        said = (reason.strerror or reason) if isinstance(reason, OSError) else error
        raise ResourceError(f"cannot write {out}: {said}. Mend it, or choose another file with --out") from error


@contextlib.contextmanager
def within_memory(doing: str, advice: str) -> Iterator[None]:
    """Around what may need more memory than there is: where it runs out, that is said, and what needs less."""
    try:
        yield
    except NatError:  # which says already what can be done
        raise
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise ResourceError(f"memory does not suffice to {doing}: {advice}") from error
