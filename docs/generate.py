"""Write the parts of the documentation that are made from the code: `python docs/generate.py`.

`cli.md` and `parts.md` are made as a whole; in other pages, what stands between `<!-- generated: NAME -->` and
`<!-- end -->`. A test compares the pages with what this module makes, so they cannot fall behind the code.
"""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from nat_core import options, plugins
from nat_core.cli import cli
from nat_core.config import PRESETS, RunConfig, SearchConfig

DOCS = Path(__file__).parent
HEADINGS = {
    "search_spaces": "Search spaces",
    "surrogates": "Surrogates",
    "optimizers": "Optimizers",
    "estimators": "Estimators",
    "cost_models": "Cost models",
    "executors": "Executors",
    "datasets": "Data sets",
    "baselines": "Baselines",
    "pretrainers": "Pretrainers",
    "finetuners": "Fine-tuners",
    "evaluators": "Evaluators",
    "trackers": "Trackers",
    "exporters": "Exporters",
    "engines": "Engines",
}
SELECTED_BY = {
    "search_spaces": "`--space`, `space` in a run file",
    "surrogates": "`--surrogate`, `surrogate` in a run file",
    "optimizers": "`--optimizer`, `optimizer` in a run file",
    "estimators": "`--estimator`, or by name as `--objective`; costly",
    "cost_models": "`--objective`, `--constraint`, `nat cost --cost`; cheap",
    "executors": "`--executor`, `executor` in a run file",
    "datasets": "`--data`, `data` in a run file",
    "baselines": "`nat bench --baseline`",
    "pretrainers": "`nat pretrain --method`",
    "finetuners": "`nat finetune --method`",
    "evaluators": "`nat evaluate --evaluator`, `nat finetune --evaluator`",
    "trackers": "`--tracker`, `trackers` in a run file",
    "exporters": "`nat export --format`",
    "engines": "`nat latency --engine`, `measured.engine`",
}


def pages() -> dict[Path, str]:
    """Every page that has generated text, as it should be."""
    whole = {DOCS / "cli.md": cli_page(), DOCS / "parts.md": parts_page()}
    run_file = DOCS / "run-file.md"
    regions = {"run": settings(RunConfig), "search": settings(SearchConfig), "presets": presets()}
    return whole | {run_file: filled(run_file.read_text(encoding="utf-8"), regions)}


def cli_page() -> str:
    """`--help` of every command."""
    sections = [f"## `{name}`\n\n```text\n{text}\n```\n" for name, text in commands(cli, "nat", None)]
    head = "# The command line\n\n<!-- made by docs/generate.py: do not edit -->\n\n"
    return head + EXIT_CODES + "\n" + "\n".join(sections)


EXIT_CODES = """`python -m nat_core` is the same program as `nat`. Results go to stdout; progress, warnings and errors
go to stderr. A command that prints a result takes `--json`: one JSON document on stdout, and nothing else there.

[Exit codes](run-folder.md#exit-codes) say how a command ended.
"""


def commands(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    """Name and help of a command and of all under it."""
    given = {**command.context_settings, "terminal_width": 80}
    context = click.Context(command, parent, info_name=name.rpartition(" ")[2], **given)
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from commands(found, f"{name} {child}", context)


def parts_page() -> str:
    """Every plugin that comes with nat, and its options."""
    lines = [
        "# Parts and their options",
        "",
        "<!-- made by docs/generate.py: do not edit -->",
        "",
        "These plugins come with nat. `nat plugins` lists them together with those of other distributions, and",
        "`nat plugins show KIND NAME` prints what stands here for any of them. `-s NAME.OPTION=VALUE` sets an option;",
        "in a run file it stands in the table `[options.NAME]`. A [preset](run-file.md#presets) may set others than",
        "these defaults.",
        "",
        "`seed`, `classes` and `image_size` are filled in by the run where they are not set: see",
        "[context](hooks.md#context).",
    ]
    for kind, heading in HEADINGS.items():
        lines += ["", f"## {heading}", "", f"Chosen by {SELECTED_BY[kind]}."]
        for offer in own(kind):
            lines += part(offer)
    return "\n".join(lines) + "\n"


def own(kind: str) -> list[plugins.Offer]:
    """What nat's own distribution offers, by name."""
    found = [o for o in plugins.load().offers if o.kind == kind and o.distribution == plugins.OWN]
    return sorted(found, key=lambda o: o.name)


def part(offer: plugins.Offer) -> list[str]:
    """The section of one plugin."""
    factory: Any = offer.factory
    lines = ["", f"### `{offer.name}`", "", inspect.cleandoc(factory.__doc__ or "")]
    found = list(options.options(factory).values())
    if not found:
        return [*lines, "", "No options."]
    rows = [f"| `{o.name}` | {cell(options.type_name(o.type))} | {default(o)} | {cell(o.description)} |" for o in found]
    return [*lines, "", "| option | type | default | meaning |", "|---|---|---|---|", *rows]


def default(option: options.Option) -> str:
    """The default of an option; none where the user has to set it."""
    return "required" if option.default is inspect.Parameter.empty else f"`{option.default!r}`"


def cell(text: str) -> str:
    """Text that fits a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def settings(model: type[BaseModel]) -> str:
    """The keys of a model of the run file that hold a value, a row each."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if field.description:
            value = field.get_default(call_default_factory=True)
            shown = list(value) if isinstance(value, tuple) else value
            kind = cell(options.type_name(field.annotation))
            rows.append(f"| `{name}` | {kind} | `{shown!r}` | {cell(field.description)} |")
    return "\n".join(rows)


def presets() -> str:
    """What every preset sets, side by side; a dash where it leaves the default of the part."""
    tables = {name: dict(flat(preset(name))) for name in PRESETS}
    keys = list(dict.fromkeys(key for table in tables.values() for key in table))
    keys.sort(key=lambda key: (key.count("."), not key.startswith("search."), key))
    rows = [f"| | {' | '.join(f'`{name}`' for name in PRESETS)} |", "|---|" + "---|" * len(PRESETS)]
    rows += [f"| `{key}` | {' | '.join(shown(tables[name].get(key)) for name in PRESETS)} |" for key in keys]
    return "\n".join(rows)


def preset(name: str) -> dict[str, Any]:
    """The TOML file of a preset."""
    file = resources.files("nat_core").joinpath("presets", f"{name}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def flat(table: dict[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys as `-s` takes them: `search.pool`, `rbf.members`."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, "" if key == "options" else f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def shown(value: object) -> str:
    """A value of a preset in a cell."""
    return "–" if value is None else f"`{value}`"


def filled(page: str, regions: dict[str, str]) -> str:
    """The page with its regions made anew."""
    for name, text in regions.items():
        pattern = rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)"
        page, count = re.subn(pattern, lambda m, text=text: f"{m[1]}\n{text}\n\n{m[2]}", page, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"the page has {count} regions named {name}, and should have one")
    return page


def main() -> None:
    """Write the pages that changed."""
    for file, text in pages().items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {file.name}\n")


if __name__ == "__main__":
    main()
