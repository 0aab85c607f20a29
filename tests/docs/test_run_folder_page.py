"""docs/run-folder.md has every kind of record, its fields, and every exit code."""

from __future__ import annotations

import ast
import re

import pytest
from pages import DOCS, ROOT

from nat_core import errors

PAGE = (DOCS / "run-folder.md").read_text(encoding="utf-8")
ROWS = {row[0]: row[1] for row in re.findall(r"^\| `(?!kind)(\w+)` \| (.*) \|$", PAGE, re.MULTILINE)}


def kinds():
    """The kinds of record that the engine writes."""
    found = set()
    for file in (ROOT / "nat_core").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "append" and node.keywords:
                found.add(node.args[0].value)
    return found


def test_every_kind_of_record_has_a_row():
    assert kinds() == set(ROWS)


@pytest.mark.slow
def test_every_field_of_a_record_is_named(tiny_run):
    from nat_core.journal import read

    folder, _ = tiny_run
    for record in read(folder / "journal.jsonl"):
        for field in record.keys() - {"kind"}:
            assert f"`{field}`" in ROWS[record["kind"]], (record["kind"], field)


def test_the_fields_of_a_fine_tuning_are_those_it_has():
    from types import SimpleNamespace

    from nat_core.finetuned import FORMAT
    from nat_core.finetuning import FinetuneConfig, _identity

    data = SimpleNamespace(fingerprint="")
    training = SimpleNamespace(config=FinetuneConfig(), architecture=(), weights={}, data=data, versions={})
    written = {"format": FORMAT, **_identity(training)}
    assert written.keys() == set(re.findall(r"`(\w+)`:", ROWS["finetuning"]))


@pytest.mark.slow
def test_every_table_of_run_toml_is_named(tiny_run):
    import tomllib

    from nat_core.config import RunConfig

    folder, _ = tiny_run
    tables = tomllib.loads((folder / "run.toml").read_text()).keys() - RunConfig.model_fields.keys()
    assert tables == set(re.findall(r"^\| `\[(\w+)\]` \|", PAGE, re.MULTILINE))


def test_every_exit_code_has_a_row():
    codes = {e.exit_code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.NatError)}
    documented = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for code in row.split(",")}
    assert documented == codes | {0, 1, 130, 143}
