"""What a run folder holds, read without its data: its config, its space, its front."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nat_core import config as configs
from nat_core import journal, measures, plugins, pretraining
from nat_core.choosing import choose
from nat_core.config import RunConfig
from nat_core.contracts import CostModel, SearchSpace
from nat_core.encoding import Architecture
from nat_core.errors import ConfigError, PluginError, StateError, unknown
from nat_core.ledger import notes, replay
from nat_core.report.summary import Summary, summarise
from nat_core.run import build_cost, build_space, is_run, others_in


@dataclass(frozen=True)
class Saved:
    """A run folder as far as it has come."""

    config: RunConfig
    tables: Mapping[str, Any]  # what stands behind the config in run.toml
    space: SearchSpace
    summary: Summary  # of the last iteration
    tested: Mapping[Architecture, Mapping[str, float]]


def saved_front(folder: Path) -> Saved:
    """The last front of a run folder, from its journal. Raises `StateError` where there is none yet."""
    config, tables = saved_config(folder)
    config = config.deciding()  # what is taken out of a run needs no tracker, and none of their options
    offer = plugins.registry().find("search_spaces", config.space)
    space = build_space(config, offer, tables)
    records = journal.read(folder / "journal.jsonl")
    said = {r["iteration"]: notes(r) for r in records if r["kind"] == "proposed"}
    *_, summary = summarise(replay(records, config.objectives), (), lambda i: said.get(i, {}))
    if not len(summary.front):
        raise StateError(f"{folder} has no measured architecture yet; `nat resume {folder}` goes on with it")
    tested = {tuple(r["architecture"]): r["objectives"] for r in records if r["kind"] == "tested"}
    return Saved(config, tables, space, summary, tested)


def chosen(saved: Saved, text: str | None) -> Architecture:
    """The architecture that a word names in any form its space reads; without a word, the one at the knee."""
    if text is None:
        return choose(saved.summary.front).picks[0].evaluation.architecture
    given: object = text
    if text.lstrip().startswith(("{", "[")):
        try:
            given = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"cannot read the architecture {text!r}: this is not JSON: {error}") from None
    return saved.space.parse(given)


def saved_config(folder: Path) -> tuple[RunConfig, dict[str, Any]]:
    """The config of a run folder, and what stands behind it. Raises `StateError` where there is no run."""
    if not is_run(folder):
        raise StateError(f"{folder} {_instead(folder)}")
    return configs.reload(folder / "run.toml")


def _instead(folder: Path) -> str:
    """What is said of a folder that holds no run: what goes on with what it does hold."""
    from nat_core.doctor.folder import kind_of

    start = f"holds no run; `nat run --out {folder}` starts one there"
    if not folder.exists():
        return f"is not there: it {start}"
    if not folder.is_dir():
        return "is a file: it holds no run, which is a folder"
    if (kind := kind_of(folder)) is not None:
        begins = f". {_search(folder)} begins with its supernet" if kind.journal == pretraining.JOURNAL else ""
        return f"holds {kind.what}, and no run: {kind.command} goes on with it{begins}"
    if others := others_in(folder):
        return f"holds no run: neither run.toml nor journal.jsonl, but other files, such as {others[0]}"
    return start


def _search(folder: Path) -> str:
    """The command of a search that begins with what `nat pretrain` leaves in a folder."""
    try:
        space = str(configs.load(folder / "pretrain.toml")["space"])
    except (ConfigError, KeyError):  # it is only a hint
        space = "SPACE"
    weights = f"{configs.part_name(space)}.weights={folder / pretraining.RESULT}"
    return f"`nat run --space {space} --data DATA -s {weights}`"


def cost_models(saved: Saved, names: Iterable[str]) -> dict[str, CostModel]:
    """Cost models for architectures of a run, with the run's own options. Raises `ConfigError` for any other name."""
    registry = plugins.registry()
    models = dict[str, CostModel]()
    for name in names:
        try:
            offer = measures.measure(name, "estimators", "cost_models").offer
        except PluginError:
            known = {*saved.config.objectives, *registry.of("cost_models")}
            raise ConfigError(unknown("objective or cost", name, known)) from None
        if offer.kind == "estimators":
            raise ConfigError(f"{name} is measured, and it is no objective of this run: it cannot be bounded here")
        models[name] = build_cost(saved.config, offer, saved.space, saved.tables)
    return models
