"""What a run folder tells, read without its data, whether or not anything is measured yet."""

from __future__ import annotations

from pathlib import Path

from nat_core import journal, plugins
from nat_core.cli.saved import saved_config
from nat_core.errors import StateError
from nat_core.report.story import Story
from nat_core.run import build_space


def saved_story(folder: Path) -> Story:
    """A run folder's story. Raises `StateError` where there is no run, or none that can be read."""
    config, tables = saved_config(folder)
    file = folder / "journal.jsonl"
    if not file.exists():
        raise StateError(f"{folder} has lost its journal; restore {file.name} from a copy")
    space = build_space(config, plugins.registry().find("search_spaces", config.space), tables)
    return Story(folder.resolve().name, config, tables, space, journal.read(file))
