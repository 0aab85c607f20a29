"""docs/cli.md is what the commands print, and docs/run-file.md what the models and presets say."""

from __future__ import annotations

from pages import DOCS

from nat_core.cli import COMMANDS


def words(text):
    """Without line breaks: they differ between versions of click."""
    return text.split()


def test_the_page_is_up_to_date(generator):
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert words(page) == words(generator.cli_page()), "run: python docs/generate.py"


def test_every_command_has_a_section():
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert all(f"## `nat {name}`\n" in page for name in COMMANDS)


def test_the_tables_of_the_run_file_are_up_to_date(generator):
    file = DOCS / "run-file.md"
    assert file.read_text(encoding="utf-8") == generator.pages()[file], "run: python docs/generate.py"


def test_every_key_of_the_run_file_has_a_description():
    from nat_core.config import RunConfig, SearchConfig

    described = {**RunConfig.model_fields, **SearchConfig.model_fields}
    assert [name for name, field in described.items() if not field.description] == ["search"]
