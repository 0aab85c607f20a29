"""A latency table: milliseconds by operator, for one device. Ours, once-for-all's and NSGANetV2's are read as they are.

Ours names its unit, and what was measured how. The published ones are bare lists of operators with a mean in
milliseconds (https://github.com/han-cai/files, https://github.com/mikelzc1990/nsganetv2); they are known by their
operators' names, and nothing else is taken to be milliseconds that does not say so.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nat_core.contracts import Operator
from nat_core.errors import ConfigError, unknown
from nat_core.latency.outline import Outline, dump, parse
from nat_core.measures import UNITS

FORMAT, VERSION = "nat-latency", "1"
MILLISECONDS = UNITS["ms"]
_OF_ONE_DEVICE = ("source", "device", "processor", "engine", "precision", "threads", "batch")
_PUBLISHED = {  # how every operator begins → whose table it is
    "nsganetv2": ("first_conv-", "MBConv-", "final_expand_layer-", "feature_mix_layer-", "classifier-"),
    "once-for-all": ("Conv-", "expanded_conv-", "Conv_1-", "Conv_2-", "AvgPool2D-", "Logits-"),
}


@dataclass(frozen=True)
class Correction:
    """What whole networks take, given the sum over their operators: scale · sum + offset."""

    scale: float = 1.0
    offset: float = 0.0  # ms


@dataclass(frozen=True)
class LatencyTable:
    """One device's times."""

    times: Mapping[str, float]  # ms by operator
    about: Mapping[str, object] = field(default_factory=dict)  # device, engine, threads, …, as the file says it
    spreads: Mapping[str, float] = field(default_factory=dict)  # ms: standard errors of the times
    verified: Mapping[str, object] = field(default_factory=dict)  # what whole networks said

    @property
    def correction(self) -> Correction:
        """As it was fitted to whole networks; none of effect where none were measured."""
        found = {name: _number(self.verified.get(name)) for name in ("scale", "offset_ms")}
        return Correction(*found.values()) if all(map(math.isfinite, found.values())) else Correction()

    def fingerprint(self, *, corrected: bool) -> str:
        """Of what a cost is computed from, as a file keeps it; what else a table says of itself may change.

        The sha256 of the times, and in words the correction, where that is used and there is one.
        """
        times = [[name, f"{time:.6g}"] for name, time in sorted(self.times.items())]
        digest = hashlib.sha256(json.dumps(times).encode()).hexdigest()
        by = self.correction
        if not corrected or by == Correction():
            return digest
        return f"{digest} corrected to {by.scale:.6g} · sum {by.offset:+.6g} ms"

    def price(self, operator: Operator) -> float:
        """Milliseconds of one operator; NaN where the table lacks it."""
        for names in ((operator.name,), *operator.aliases):
            if all(name in self.times for name in names):
                return sum(self.times[name] for name in names)
        return math.nan

    def nearest(self, operator: Operator) -> str:
        """The name in the table that is most like an operator's; empty where none is."""
        for names in ((operator.name,), *operator.aliases):
            kind = names[0].partition("-")[0]
            alike = [name for name in self.times if name.partition("-")[0] == kind]
            if found := difflib.get_close_matches(names[0], alike, n=1, cutoff=0.3):
                return found[0]
        return ""


def read(paths: Sequence[str], device: str | None = None) -> LatencyTable:
    """One table from its files: a published one has a file for each input side; a folder stands for the files in it.

    An operator that stands in several files, as a classifier does, takes the mean of its times.
    Raises `ConfigError` for a file that is no table, that names no unit, or that has several devices where none is
    chosen, and for files whose times are of different devices.
    """
    files = [file for path in paths for file in _files(Path(path).expanduser())]
    tables = [choose(devices(file), device, file) for file in files]
    if len(tables) == 1:
        return tables[0]
    _require_one_device(files, tables)
    found: dict[str, list[float]] = {}
    for table in tables:
        for name, time in table.times.items():
            found.setdefault(name, []).append(time)
    return LatencyTable({name: sum(times) / len(times) for name, times in found.items()}, tables[0].about)


def _require_one_device(files: Sequence[Path], tables: Sequence[LatencyTable]) -> None:
    """Raise `ConfigError` where means would be of different things. Published files have no more than their source."""
    for file, table in zip(files[1:], tables[1:], strict=True):
        for key in _OF_ONE_DEVICE if "source" not in table.about else ("source",):
            mine, theirs = tables[0].about.get(key), table.about.get(key)
            if mine != theirs:
                raise ConfigError(
                    f"{files[0]} and {file} are not of one device: the {key} is {mine or 'not said'} in the one and "
                    f"{theirs or 'not said'} in the other. Give one of them as the table"
                )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for pattern in ("*.yaml", "*.yml") for file in path.glob(pattern))
    if not found:
        raise ConfigError(f"the folder {path} holds no latency table: give one with files such as note10.yaml")
    return found


def devices(file: Path) -> dict[str, LatencyTable]:
    """The tables in a file, by device; a published one has the name of its file."""
    try:
        text = file.read_text(encoding="utf-8-sig")  # some editors mark the encoding
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the latency table {file}: {getattr(error, 'strerror', None) or error}. "
            "`nat latency build` makes one"
        ) from None
    found = parse(text, str(file))
    if not found:
        raise ConfigError(f"{file} is empty, and no latency table; `nat latency build` makes one")
    if found.get("format") == FORMAT:
        return _ours(found, file)
    if "operators" in found:
        return {file.stem: _device(found, f"{file}")}
    return {file.stem: _published(found, file)}


def choose(tables: Mapping[str, LatencyTable], device: str | None, file: Path) -> LatencyTable:
    """The one that is asked for. Raises `ConfigError` where that is none, or is not said."""
    if device is None:
        if len(tables) > 1:
            raise ConfigError(
                f"{file} has the devices {', '.join(sorted(tables))}: choose one, as -s latency.device=…, or in "
                "nat latency verify as --device …"
            )
        return next(iter(tables.values()))
    if device not in tables:
        raise ConfigError(f"{file}: {unknown('device', device, tables)}")
    return tables[device]


def text_of(tables: Mapping[str, LatencyTable]) -> str:
    """A file of ours, which `devices` reads."""
    return "# Milliseconds by operator: made by `nat latency build`, read by the cost `latency`.\n" + dump(
        {"format": FORMAT, "version": VERSION, "devices": {name: _outline(table) for name, table in tables.items()}}
    )


def _outline(table: LatencyTable) -> dict[str, object]:
    operators = {
        name: {"time": time} | ({"spread": table.spreads[name]} if name in table.spreads else {})
        for name, time in table.times.items()
    }
    verified = {"verified": table.verified} if table.verified else {}
    return {"unit": "ms", **table.about, **verified, "operators": operators}


def _ours(found: Outline, file: Path) -> dict[str, LatencyTable]:
    if found.get("version") != VERSION:
        raise ConfigError(f"{file} has version {found.get('version')!r} of our format; this reads {VERSION}")
    listed = found.get("devices")
    if not isinstance(listed, dict) or not listed:
        raise ConfigError(f"{file} lists no devices")
    return {name: _device(table, f"{file}, device {name}") for name, table in listed.items()}


def _device(found: str | Outline, where: str) -> LatencyTable:
    """A device of our own format. Raises `ConfigError` where it names no unit."""
    if not isinstance(found, dict) or not isinstance(operators := found.get("operators"), dict) or not operators:
        raise ConfigError(f"{where}: there are no operators")
    unit = found.get("unit")
    if not isinstance(unit, str) or unit not in MILLISECONDS:
        said = "names no unit" if unit is None else f"has the unit {unit!r}"
        raise ConfigError(f"{where}: the table {said}: write 'unit: ms' in it, or one of {', '.join(MILLISECONDS)}")
    size, times, spreads = MILLISECONDS[unit], dict[str, float](), dict[str, float]()
    for name, entry in operators.items():
        row = entry if isinstance(entry, dict) else {"time": entry}
        times[name] = _time(row.get("time", row.get("mean", "")), name, where) * size
        if "spread" in row:
            spreads[name] = _number(row["spread"]) * size
    verified = found.get("verified")
    about = {k: v for k, v in found.items() if isinstance(v, str) and k != "unit"}
    return LatencyTable(times, about, spreads, verified if isinstance(verified, dict) else {})


def _published(found: Outline, file: Path) -> LatencyTable:
    """A bare list of operators, of a kind that is known to be in milliseconds."""
    times = {}
    for name, entry in found.items():
        if not isinstance(entry, dict) or "mean" not in entry:
            raise _unitless(file, f"{name!r} has no mean")
        times[name] = _time(entry["mean"], name, str(file))
    for source, beginnings in _PUBLISHED.items():
        if all(name.startswith(beginnings) for name in times):
            return LatencyTable(times, {"source": source, "device": file.stem})
    first = next(name for name in times if not name.startswith(tuple(b for bs in _PUBLISHED.values() for b in bs)))
    raise _unitless(file, f"the operator {first!r} is of no published table")


def _unitless(file: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"{file} names no unit, and is no table of once-for-all or NSGANetV2, whose unit is known ({reason}). Put "
        "'unit: ms' at its beginning and its operators below 'operators:', as `nat latency build` writes them"
    )


def _time(value: object, name: str, where: str) -> float:
    time = _number(value)
    if not (math.isfinite(time) and time >= 0):
        raise ConfigError(f"{where}: {name} takes {value!r}; a time is a number that is not negative")
    return time


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return math.nan


def require_all(table: LatencyTable, operators: Iterable[Operator], what: str) -> None:
    """Raise `ConfigError` for an operator that the table lacks, with the nearest that it has."""
    listed = list(operators)
    missing = [operator for operator in listed if math.isnan(table.price(operator))]
    if missing:
        near = table.nearest(missing[0])
        alike = f"the nearest it has is {near!r}" if near else "it has nothing like it"
        raise ConfigError(
            f"{what} lacks {len(missing):,} of the {len(listed):,} operators of this space, such as "
            f"{missing[0].name!r}; {alike}. `nat latency build` measures them on your device, given the space's "
            "options as they are here, its number of classes among them"
        )
