"""Whatever is public says what it is for: modules, classes, functions, and the options of plugins."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pages import ROOT

from nat_core import options, plugins

SOURCES = sorted(
    file
    for top in ("nat_core", "plugins", "search_spaces", "docs")
    for file in (ROOT / top).rglob("*.py")
    if "test_" not in file.name
)
FACTORIES = [o for o in plugins.load().offers if o.distribution == plugins.OWN and o.factory is not None]


def undocumented(tree: ast.AST, above: str = ""):
    """The public definitions without a docstring; what is inside a function is its own affair."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith(
            ("_", "test_")
        ):
            continue
        if not ast.get_docstring(node) and not any("overload" in ast.unparse(d) for d in node.decorator_list):
            yield f"{above}{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node, f"{above}{node.name}.")


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_everything_public_has_a_docstring(file: Path):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert not list(undocumented(tree))


@pytest.mark.parametrize("offer", FACTORIES, ids=lambda offer: f"{offer.kind}.{offer.name}")
def test_every_option_has_a_type_and_a_description(offer):
    assert offer.factory.__doc__
    for option in options.options(offer.factory).values():
        assert option.description, option.name
        assert options.type_name(option.type) != "Any", option.name
