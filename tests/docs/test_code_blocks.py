"""What stands in code blocks works: Python compiles and, where it is marked, runs; TOML parses; commands exist."""

from __future__ import annotations

import ast
import contextlib
import re
import shlex
import tomllib

import click
import pytest
from command_line import SMALL_SEARCH, TINY
from pages import PAGES, ROOT, blocks

PYTHON, TOML, SHELL = blocks("python"), blocks("toml"), blocks("bash")
RUNNABLE = [page for page in PAGES if any(b.page == page and b.mark == "runnable" for b in PYTHON)]


def commands():
    """Every line of a bash block that calls nat, with its place; lines that go on are joined."""
    for block in SHELL:
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words.pop(0)  # a variable set for this command
            if words and words[0] == "nat":
                yield pytest.param(words[1:], id=f"{block}: {line.strip()[:60]}")


COMMANDS = list(commands())


def parsed(words):
    """The commands that a line names, from `nat` down, each with its parsed parameters. Runs none of them."""
    from nat_core.cli import cli

    command, rest, parent, chain = cli, words, None, []
    while True:
        context = command.make_context(command.name, list(rest), parent=parent)
        chain.append((command, context.params))
        rest = [*getattr(context, "_protected_args", []), *context.args]
        if not isinstance(command, click.Group) or not rest:
            return chain
        _, command, rest = command.resolve_command(context, rest)
        parent = context


@pytest.fixture
def with_example(example, monkeypatch):
    """The example plugin is installed in this process too."""
    from nat_core import plugins

    monkeypatch.syspath_prepend(str(example))
    plugins.registry.cache_clear()
    yield
    plugins.registry.cache_clear()


def test_there_are_blocks_of_every_kind():
    assert PYTHON
    assert TOML
    assert len(COMMANDS) > 10
    assert RUNNABLE


def test_every_block_has_a_language():
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert all(fences[::2]), page
        assert not any(fences[1::2]), page


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_compiles(block):
    ast.parse(block.text)


@pytest.mark.parametrize("block", TOML, ids=str)
def test_toml_parses(block):
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", [b for b in TOML if b.mark == "run file"], ids=str)
def test_run_files_are_accepted(block, tmp_path):
    from nat_core.config import resolve
    from nat_core.run import find_parts

    file = tmp_path / "run.toml"
    file.write_text(block.text)
    find_parts(resolve(None, file, {}, ()))


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {line.split()[1] for block in SHELL for line in block.text.splitlines() if line.startswith("make ")}
    assert {"demo", "test"} <= named <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("words", COMMANDS)
def test_commands_and_options_exist(words):
    with contextlib.suppress(click.exceptions.Exit):  # --help and --version say their word and stop
        parsed(words)


@pytest.mark.usefixtures("with_example")
@pytest.mark.parametrize("words", [p for p in COMMANDS if p.values[0][0] == "run"])
def test_runs_are_accepted_as_far_as_that_can_be_said_without_data(words):
    from nat_core.config import resolve
    from nat_core.run import find_parts

    _, given = parsed(words)[-1]
    preset, settings = given.pop("preset"), given.pop("settings")
    if given.pop("file") is not None:
        pytest.skip("its run file stands in the page")
    for word in ("out", "strict_plugins", "dry_run", "as_json"):
        given.pop(word)
    find_parts(resolve(preset, None, {k: v for k, v in given.items() if v not in (None, ())}, settings))


@pytest.mark.usefixtures("with_example")
@pytest.mark.parametrize("words", [p for p in COMMANDS if p.values[0][:2] == ["plugins", "show"]])
def test_plugins_shown_exist(words):
    from click.testing import CliRunner

    from nat_core.cli import cli

    assert CliRunner().invoke(cli, words).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_marked_blocks_run_in_order(page, nat, tmp_path, monkeypatch):
    """In a folder that has a tiny run in runs/digits."""
    done = nat("run", "--out", "runs/digits", *TINY, *SMALL_SEARCH)
    assert done.code == 0, done.err
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in PYTHON:
        if block.page == page and block.mark == "runnable":
            exec(compile(block.text, str(block), "exec"), names)
