"""Every hook stands in docs/hooks.md with its exact signature, and nothing else does."""

from __future__ import annotations

import ast
import inspect
import re

from pages import DOCS

from nat_core import hookspecs, plugins

PAGE = (DOCS / "hooks.md").read_text(encoding="utf-8")
HOWTO = (DOCS / "howto-plugin.md").read_text(encoding="utf-8")


def signatures():
    """Name → signature, as written in the source."""
    found = {}
    for node in ast.parse(inspect.getsource(hookspecs)).body:
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(d) == "hookspec" for d in node.decorator_list):
            found[node.name] = f"{node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"
    return found


def documented():
    """The signatures in the page's headings, in order."""
    return re.findall(r"^### `(.*)`$", PAGE, re.MULTILINE)


def test_the_page_has_every_hook_with_its_signature_in_order():
    assert documented() == list(signatures().values())


def test_the_table_of_factories_has_every_hook_and_calls_them_as_the_page_does():
    table = re.findall(r"^\| .+ \| `(register_\w+)` \| (.+) \| `(\w+)` \|$", HOWTO, re.MULTILINE)
    assert {hook for hook, _, _ in table} == set(plugins.HOOKS.values())
    for hook, call, contract in table:
        section = PAGE.split(f"### `{hook}()")[1].split("\n#")[0]
        said = re.search(r"takes\s(.+?)returns\san?\s+`(\w+)`", section, re.DOTALL)
        assert (re.findall(r"`\(.*?\)`", said[1]), said[2]) == (re.findall(r"`\(.*?\)`", call), contract)


def test_the_engine_gathers_every_hook():
    assert {*plugins.HOOKS.values(), *plugins.LISTENERS} == set(signatures())


def test_every_context_parameter_is_named():
    for name in ("seed", "classes", "image_size"):
        assert f"`{name}`" in hookspecs.__doc__
        assert f"| `{name}` |" in PAGE
