"""A command line in this process, as `nat` runs it: a hundred times as fast as a process of its own."""

from __future__ import annotations

import contextlib
import io

import pytest
from command_line import Outcome


def here(*words) -> Outcome:
    """What a command did; its log is its stderr, as in a process of its own."""
    from nat_core import cli

    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr("sys.argv", ["nat", *map(str, words)])
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return Outcome(code, out.getvalue(), err.getvalue())
