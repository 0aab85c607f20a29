"""The part of YAML that latency tables are written in: mappings by indentation, whose values are plain or quoted words.

Anything else that YAML has (lists, anchors, tags, flow style) is refused with its line: a table has no use for it, and
a reader that knows nothing of it cannot be surprised by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from nat_core.errors import ConfigError

Outline = dict[str, "str | Outline"]
_DEEPEST = 8
_REFUSED = ("- ", "&", "*", "!", "|", ">", "{", "[", "%", "@", "`", "?")
_PLAIN = re.compile(r"[A-Za-z0-9_./(][^#\"'\n]*")


def parse(text: str, name: str) -> Outline:
    """Names to words or to further names. Raises `ConfigError` with the line for what is neither, or a name twice."""
    root: Outline = {}
    open_levels: list[tuple[int, Outline]] = [(0, root)]
    empty: tuple[Outline, str] | None = None  # the name that a deeper line would belong to
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#") or line.strip() == "---":
            continue
        where = f"{name}, line {number}"
        indent = len(line) - len(line.lstrip(" "))
        if line[indent] == "\t":
            raise ConfigError(f"{where}: the line is indented with a tab: use spaces")
        key, value = _pair(line.strip(), where)
        if indent > open_levels[-1][0] and empty is not None:
            below: Outline = {}
            empty[0][empty[1]] = below
            open_levels.append((indent, below))
        while indent < open_levels[-1][0]:
            open_levels.pop()
        if indent != open_levels[-1][0] or len(open_levels) > _DEEPEST:
            raise ConfigError(f"{where}: the line is indented by {indent} spaces, which fits no line above it")
        level = open_levels[-1][1]
        if key in level:
            raise ConfigError(f"{where}: {key!r} stands there for the second time")
        level[key] = value
        empty = (level, key) if not value else None
    return root


def dump(outline: Mapping[str, object], indent: int = 0) -> str:
    """What `parse` reads: numbers as they are, other words quoted where they need it."""
    return "".join(_lines(outline, indent))


def _lines(outline: Mapping[str, object], indent: int) -> Iterator[str]:
    for key, value in outline.items():
        head = f"{' ' * indent}{_word(key)}:"
        if isinstance(value, Mapping):
            yield f"{head}\n"
            yield from _lines(value, indent + 2)
        else:
            yield f"{head} {_word(value)}\n"


def _word(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    plain = text.isprintable() and _PLAIN.fullmatch(text) and ": " not in text and not text.endswith((":", " "))
    return text if plain else json.dumps(text)


def _pair(line: str, where: str) -> tuple[str, str]:
    """A name, and the word behind it; the names of operators have colons of their own."""
    if line[0] == '"':
        try:
            key, end = json.JSONDecoder().raw_decode(line)
        except ValueError:
            raise ConfigError(f"{where}: the quotes of {line[:60]!r} do not end") from None
        rest = line[end:]
        if not rest.startswith(":"):
            raise ConfigError(f"{where}: behind the name {str(key)[:60]!r} a colon is missing")
        return str(key), _value(rest[1:].strip(), where)
    if line.startswith(_REFUSED):
        raise ConfigError(f"{where}: cannot read {line[:60]!r}: a table has lines of the form 'name: value'")
    head, colon, value = line.partition(": ")
    if colon:
        return head.strip(), _value(value.strip(), where)
    stripped = line.partition(" #")[0].rstrip()
    if not stripped.endswith(":"):
        raise ConfigError(f"{where}: cannot read {line[:60]!r}: a table has lines of the form 'name: value'")
    return stripped[:-1].strip(), ""


def _value(text: str, where: str) -> str:
    if text[:1] == '"':
        try:
            value, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            raise ConfigError(f"{where}: the quotes of {text[:60]!r} do not end") from None
        if text[end:].strip() and not text[end:].startswith(" #"):
            raise ConfigError(f"{where}: behind the quotes of {text[:60]!r} stands more than a comment")
        return str(value)
    if text[:1] == "'" and text[-1:] == "'" and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text.startswith(_REFUSED):
        raise ConfigError(f"{where}: cannot read {text[:60]!r}: a value is a number or a word")
    return text.partition(" #")[0].rstrip()
