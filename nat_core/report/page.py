"""A page: one HTML file with everything in it. It asks the network for nothing, and runs no script but ours.

Whatever comes from outside stands in one block of JSON, in which `<`, `>` and `&` are escaped, and reaches the page as
text alone. The rest of the file is the same for every run, and its script and style are allowed by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from importlib import resources
from pathlib import Path

from nat_core.durable import publish_text
from nat_core.errors import ConfigError
from nat_core.report.contents import Contents

PAGE = "report.html"  # in a run folder
SCRIPTS = ("page.js", "scales.js", "charts.js", "blocks.js", "table.js", "run.js", "compare.js", "begin.js")
_ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def render(contents: Contents) -> str:
    """The page. Equal contents give equal bytes."""
    script, style = _script(), _asset("page.css")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    iteration = len(contents.get("iterations", ())) - 1
    return (
        _asset("page.html")
        .replace("{{policy}}", policy)
        .replace("{{iteration}}", str(iteration))
        .replace("{{style}}", style)
        .replace("{{script}}", script)
        .replace("{{contents}}", encode(contents))  # last: what it holds is looked at no more
    )


def write(file: Path, text: str) -> None:
    """Put a page in place, whole or not at all. Raises `ConfigError` where there is no place for it."""
    if file.is_dir():
        raise ConfigError(f"{file} is a folder; the page is a file, such as {file / PAGE}")
    if not file.parent.is_dir():
        raise ConfigError(f"cannot write {file}: there is no folder {file.parent}")
    publish_text(file, text)


def encode(contents: Contents) -> str:
    """JSON that can stand in a page: nothing in it ends an element, or a line of a script."""
    text = json.dumps(contents, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _storable(text).translate(_ESCAPED)


def told(file: Path) -> int:
    """The iteration that a page on the disk tells of, −1 without one."""
    try:
        with file.open("rb") as stream:
            head = stream.read(2000)
    except OSError:
        return -1
    found = re.search(rb'<meta name="nat-iteration" content="(\d+)">', head)
    return int(found[1]) if found else -1


def _storable(text: str) -> str:
    """Without lone surrogates, which file names may bring along and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def _script() -> str:
    """Our script, in one function: nothing of it is global."""
    return "(() => {\n'use strict';\n" + "\n".join(map(_asset, SCRIPTS)) + "})();\n"


@cache
def _asset(name: str) -> str:
    return resources.files("nat_core").joinpath("report", "assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
