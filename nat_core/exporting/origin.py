"""The network that is exported: one of a run, with the weights that measured it, or one of `nat finetune`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nat_core import plugins
from nat_core.config import RunConfig, merged_layers, part_name
from nat_core.contracts import Dataset, SearchSpace, StaticNetwork
from nat_core.encoding import Architecture
from nat_core.errors import ConfigError
from nat_core.finetuned import data_options, load_network, require_data
from nat_core.journal import Record, read
from nat_core.parts import Given, make
from nat_core.run import Parts, find_parts
from nat_core.taking import take


@dataclass(frozen=True)
class Origin:
    """A network, the data it is for, and what is known of it: all of that is plain JSON."""

    network: StaticNetwork
    data: Dataset
    facts: Mapping[str, Any]
    provenance: Mapping[str, Any]
    colours: Mapping[str, list[float]] = field(default_factory=dict)  # mean and std in training, if not as of the data


def of_run(config: RunConfig, folder: Path, architecture: Architecture, on_front: bool, given: Given) -> Origin:  # noqa: FBT001 - a fact, no switch
    """A network of the run in a folder. One that it has not measured gets the newest weights."""
    taken = take(config, folder, architecture, given, measured_only=False)
    mine = _records(folder, architecture)
    measured, tested = mine.get("measured", {}), mine.get("tested", {})
    facts = {
        "space": config.space,
        "on_front": on_front,
        "objectives": measured.get("objectives") if taken.measured else None,
        "tested": tested.get("objectives") or None,
        "finetuned": None,
    }
    provenance = _provenance(config, find_parts(config), folder, taken.data) | {"weights": dict(taken.weights)}
    return Origin(taken.network(), taken.data, facts, provenance | _licence(taken.space))


def of_finetuning(config: RunConfig, run: Path, folder: Path, given: Given) -> Origin:
    """The network that `nat finetune` left in a folder, of a run that has its pictures.

    Raises `StateError` where these are no longer those that it was trained on.
    """
    network, about = load_network(folder)
    parts = find_parts(config)
    pictures = plugins.registry().find("datasets", about["data"])
    data: Dataset = make(merged_layers({part_name(pictures.name): data_options(folder, about)}, given), pictures, {})
    require_data(
        folder, about, run, data, config.data_name(), "Put back what it was, or begin a new run on what is there."
    )
    if about["classes"] != list(data.classes):
        raise ConfigError(f"the network in {folder} knows other classes than {config.data_name()} has now")
    facts = {
        "space": about["space"],
        "on_front": None,
        "objectives": None,
        "tested": about["test"],
        "finetuned": {key: about[key] for key in ("method", "errors", "kept")},
    }
    offer = plugins.registry().find("search_spaces", about["space"])
    licence = _licence(make({part_name(offer.name): about["space_options"]}, offer, {}))
    provenance = _provenance(config, parts, run, data) | {"weights": about["run_weights"]} | licence
    provenance |= {"run": _seen_from_here(run), "finetuned": str(folder), "sha256": about["weights"]["sha256"]}
    return Origin(network, data, facts, provenance, {name: about[name] for name in ("mean", "std")})


def _records(folder: Path, architecture: Architecture) -> dict[str, Record]:
    """The last record of each kind about an architecture."""
    mine = (r for r in read(folder / "journal.jsonl") if tuple(r.get("architecture") or ()) == architecture)
    return {r["kind"]: r for r in mine}


def _provenance(config: RunConfig, parts: Parts, folder: Path, data: Dataset) -> dict[str, Any]:
    """Where a network comes from."""
    space = part_name(config.space)
    return {
        "run": str(folder),
        "data": config.data_name(),
        "data_fingerprint": data.fingerprint,
        "seed": config.seed,
        "space_options": config.options.get(space, {}),
        "plugins": parts.versions(),
    }


def _seen_from_here(run: Path) -> str:
    """A run that nobody named: where it is from here, or its name. What is exported tells no path of this machine."""
    place, here = run.absolute(), Path.cwd()
    return str(place.relative_to(here)) if here in place.parents else place.name


def _licence(space: SearchSpace) -> dict[str, Any]:
    """Of the weights that the supernet began with, where the space knows it."""
    return {"weights_licence": getattr(space, "weights_licence", None)}
