"""The network that `nat finetune` left in a folder, what it says of itself, and the run that it came from.

Only read here: `nat evaluate` and `nat export` begin with it. The pictures that it learnt from are those of its run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nat_core import config as configs
from nat_core import options, plugins
from nat_core.config import RunConfig
from nat_core.contracts import Dataset, StaticNetwork, SupernetSpace
from nat_core.durable import fault
from nat_core.errors import ConfigError, StateError
from nat_core.journal import read
from nat_core.parts import factory, make
from nat_core.plugins import Offer
from nat_core.run import is_run

FORMAT = 1
RESULT, ABOUT = "network.safetensors", "network.json"


def is_finetuned(folder: Path) -> bool:
    """Whether a folder holds a network of `nat finetune`."""
    return (folder / ABOUT).is_file()


def load_network(folder: Path) -> tuple[StaticNetwork, dict[str, Any]]:
    """The network that a folder of `nat finetune` holds, and its description.

    Raises `StateError` for a folder that holds none, or another one than was written.
    """
    from safetensors.torch import load_file

    about = described(folder)
    if wrong := named_fault(folder / RESULT, about["weights"]["sha256"]):
        raise StateError(f"{wrong}: the same `nat finetune` makes it again")
    offer = plugins.registry().find("search_spaces", about["space"])
    given = {name: value for name, value in about["space_options"].items() if name != "weights"}  # all are in the file
    space: SupernetSpace = make({configs.part_name(offer.name): given}, offer, {})
    network = space.supernet(len(about["classes"])).subnet(space.parse(about["network"])).eval()
    network.load_state_dict(load_file(folder / RESULT))
    return StaticNetwork(network, about["network"], about["input"][1], len(about["classes"])), about


def described(folder: Path) -> dict[str, Any]:
    """The description in a folder of `nat finetune`."""
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StateError(f"{folder} holds no network of `nat finetune`: it has no {ABOUT}") from None
    except (OSError, ValueError) as error:
        raise StateError(f"{folder / ABOUT} cannot be read: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise StateError(f"{folder / ABOUT} was made by another version of nat, or by something else")
    return about


def run_of(folder: Path, needed: str) -> tuple[Path, RunConfig]:
    """The run that a folder of `nat finetune` came from, and what decides in its config.

    Raises `ConfigError` where the run is gone, and says what is needed; and where the run is on other data.
    """
    about = described(folder)
    run = _run_of(folder, about)
    if run is None:
        raise ConfigError(f"{folder} came from the run in {about['run']}, which is not there: {needed}")
    saved = _saved(run)
    if saved.data != about["data"]:
        raise ConfigError(f"{folder} was trained on {about['data']}, and the run in {run} is on {saved.data}")
    return run, saved


def data_options(folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """What the data that a network was trained on were made with, by the description in its folder.

    An older description lacks it: then it is what the run says, or nothing where that is gone.
    """
    if "data_options" in about:
        return dict(about["data_options"])
    run = _run_of(folder, about)
    saved = None if run is None else _saved(run)
    if saved is None or saved.data is None or saved.data != about["data"]:
        return {}
    return data_made_with(saved, plugins.registry().find("datasets", saved.data))


def require_data(folder: Path, about: Mapping[str, Any], run: Path, data: Dataset, name: str, remedy: str) -> None:
    """Raise `StateError` where the data of the run are not those that the network described was trained on."""
    was, now = about.get("data_fingerprint") or _began_on(run), data.fingerprint
    if was is not None and was != now:
        raise StateError(
            f"{name} changed since {folder} was trained on it (sha256 was {was[:12]}…, is {now[:12]}…): pictures that "
            f"the network learnt from may be among those to validate on. {remedy}"
        )


def _run_of(folder: Path, about: Mapping[str, Any]) -> Path | None:
    """The run around a folder, or the one that it says it came from; none where neither is there."""
    places = folder.absolute().parent.parent, Path(about["run"])
    return next((place for place in places if is_run(place)), None)


def _saved(run: Path) -> RunConfig:
    return configs.reload(run / "run.toml")[0].deciding()


def _began_on(run: Path) -> str | None:
    """The fingerprint of the data that a run began on: of those alone an older `nat finetune` trained its networks."""
    records = read(run / "journal.jsonl")
    found: str | None = records[0].get("fingerprints", {}).get("data") if records else None
    return found


def made_with(saved: RunConfig, offer: Offer, known: Mapping[str, Any]) -> dict[str, Any]:
    """What a part of the run was made with, and what it was told of what is known."""
    told = {name: value for name, value in known.items() if name in options.options(factory(offer))}
    return told | saved.options.get(configs.part_name(offer.name), {})


def data_made_with(saved: RunConfig, offer: Offer) -> dict[str, Any]:
    """The same of its data."""
    return made_with(saved, offer, {"seed": saved.seed})


def named_fault(file: Path, recorded: str | None) -> str:
    """Why a file cannot be used; empty if it can."""
    wrong = fault(file, recorded)
    return f"{file} {wrong}" if wrong else ""
