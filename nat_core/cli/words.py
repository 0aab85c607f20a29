"""Numbers in words that several commands print."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from nat_core.errors import ResourceError
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
