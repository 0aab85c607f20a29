"""The folder of a run, of `nat pretrain` or of `nat finetune`: its journal, its weights, its other files, its lock."""

from __future__ import annotations

import fcntl
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nat_core import config as configs
from nat_core import finetuned, finetuning, pretraining, run
from nat_core.doctor.findings import Finding
from nat_core.durable import ASIDE, fault, is_draft
from nat_core.errors import NatError, StateError
from nat_core.journal import Record, Survey, survey, unseal

RUN_JOURNAL = "journal.jsonl"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Kind:
    """A kind of folder: what stands in it beside its weights."""

    what: str
    journal: str
    first: str  # the kind of its first record
    format: int
    about: str  # the file that says what it is, for people and other tools
    result: str  # what it comes to, recorded as `written`; empty where there is no such file
    command: str  # that goes on with it


KINDS = (
    Kind("a run", RUN_JOURNAL, "begun", run.FORMAT, "run.toml", "", "nat resume {folder}"),
    Kind(
        "a pretraining",
        pretraining.JOURNAL,
        "pretraining",
        pretraining.FORMAT,
        "pretrain.toml",
        pretraining.RESULT,
        "the same nat pretrain",
    ),
    Kind(
        "a fine-tuning",
        finetuning.JOURNAL,
        "finetuning",
        finetuned.FORMAT,
        finetuned.ABOUT,
        finetuned.RESULT,
        "the same nat finetune",
    ),
)


@dataclass(frozen=True)
class Folder:
    """A folder as it was found."""

    path: Path
    kind: Kind
    content: bytes | None  # of the journal; none where there is no such file
    survey: Survey  # of that content
    mended: bytes  # the content with flipped bits turned back, up to the first damage of another kind
    bits: tuple[int, ...]  # the bytes in which one was turned back
    known: tuple[Record, ...]  # the records in it

    @property
    def journal(self) -> Path:
        """The file."""
        return self.path / self.kind.journal

    @property
    def torn(self) -> int:
        """Bytes behind the last whole record that are no damage, but a write that was cut short."""
        if self.content is None or self.survey.damaged is not None:
            return 0
        return len(self.content) - self.survey.size

    @property
    def goes_on(self) -> str:
        """The command that goes on with it."""
        return self.kind.command.format(folder=self.path)

    @property
    def result(self) -> str:
        """The name of the file that it comes to; empty where there is none."""
        return self.kind.result

    def recorded(self) -> dict[int, dict[str, str]]:
        """Version of the weights → file → sha256, as far as the journal tells; names that lead elsewhere left out."""
        adapted = [r for r in self.known if r["kind"] == "adapted" and isinstance(r.get("files"), dict)]
        return {
            r["iteration"]: {name: str(sha) for name, sha in r["files"].items() if Path(name).name == name}
            for r in adapted
            if type(r.get("iteration")) is int and 0 <= r["iteration"] < 10_000
        }

    def ever_recorded(self) -> list[int]:
        """The versions of the weights whose record was on the disk, whether it still can be read or not."""
        records = re.findall(rb'"kind":"adapted","iteration":(\d{1,4}),', self.content or b"")
        return sorted({*self.recorded(), *map(int, records)})


def kind_of(path: Path) -> Kind | None:
    """What a folder holds, by the names of its files; none where there is nothing that nat writes."""
    return next((k for k in KINDS if os.path.lexists(path / k.journal) or (path / k.about).exists()), None)


def look(path: Path) -> Folder:
    """Read a folder. Raises `StateError` where there is nothing that nat writes, or it cannot be read."""
    kind = kind_of(path)
    if kind is None:
        raise StateError(f"{path} holds no run, no pretraining and no fine-tuning: there is nothing to examine")
    try:
        content = (path / kind.journal).read_bytes()
    except FileNotFoundError:
        content = None
    except OSError as error:
        raise StateError(f"cannot read the journal {path / kind.journal}: {error.strerror}") from error
    return Folder(path, kind, content, survey(content or b""), *_mended(content or b""))


def _mended(content: bytes) -> tuple[bytes, tuple[int, ...], tuple[Record, ...]]:
    """The content as far as it can be had again, the bytes in which a bit was turned back, and the records."""
    bits = list[int]()
    while (found := survey(content)).damaged is not None and (bit := flipped(found)) is not None:
        content = content[: found.size] + bit[1] + content[found.size + len(bit[1]) :]
        bits.append(found.size + bit[0])
    return content[: found.size], tuple(bits), tuple(found.records)


def examine(path: Path) -> Iterator[Finding]:
    """Everything about a folder, and about the fine-tunings in it. Changes nothing."""
    folder = look(path)
    yield _lock(folder)
    yield from _journal(folder)
    yield from _order(folder)
    yield from _about(folder)
    yield from _weights(folder)
    yield from _results(folder)
    yield from _litter(folder)
    for inner in inner_folders(path):
        for finding in examine(inner):
            yield replace(finding, subject=f"{inner.relative_to(path)}: {finding.subject}")


def inner_folders(path: Path) -> list[Path]:
    """The fine-tunings in a run folder."""
    return [inner for inner in sorted((path / "finetuned").glob("*/")) if (inner / finetuning.JOURNAL).exists()]


def held(folder: Path) -> str:
    """Who holds a folder, in words; empty if nobody does."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
    except OSError:  # a file system without locks
        return ""
    finally:
        os.close(descriptor)
    return ""


def _lock(folder: Folder) -> Finding:
    if holder := held(folder.path):
        return Finding("lock", "note", f"{holder} is writing to it: what is found below may be out of date by now")
    return Finding("lock", "ok", "no process holds it")


def _journal(folder: Folder) -> Iterator[Finding]:
    """Whether the journal is there, whole, and of a format that is known."""
    found, file = folder.survey, folder.journal
    repair = f"nat doctor {folder.path} --repair"
    if folder.content is None:
        yield Finding("journal", "fault", f"{file} is missing", "restore it from a copy; without it nothing is known")
        return
    if found.damaged is not None:
        whole = len(folder.known)
        if folder.bits:
            text = f"one flipped bit each at byte {', '.join(map(str, folder.bits))}"
            yield Finding("journal", "fault", f"{file}: {text}", f"{repair} turns it back, and keeps the file as it is")
        if not _ends(folder):
            text = f"line {whole + 1} (byte {len(folder.mended)}) is damaged, or not of this journal"
            behind = folder.content[len(folder.mended) :].count(b"\n") - 1
            remedy = f"restore the file from a copy; or {repair} puts it aside and keeps the {whole} records before"
            yield Finding("journal", "fault", f"{file}: {text}; {behind} more lines follow", remedy)
    elif folder.torn:
        text = f"{folder.torn} bytes at byte {found.size} are a record that was cut short; it is made again"
        yield Finding("journal", "note", f"{file}: {text}", folder.goes_on)
    if not found.records:
        if found.damaged is None:
            yield Finding("journal", "note", f"{file} has no record yet", "begin again with the same command")
        return
    first = found.records[0]
    if first["kind"] != folder.kind.first or first.get("format") != folder.kind.format:
        text = f"begins with {first['kind']!r}, format {first.get('format')!r}"
        accepted = f"this nat reads {folder.kind.first!r}, format {folder.kind.format}"
        yield Finding("journal", "fault", f"{file} {text}; {accepted}", "use the version of nat that made it")
    elif found.damaged is None:
        yield Finding("journal", "ok", f"{len(found.records)} records, each with its checksum")


def _ends(folder: Folder) -> bool:
    """Whether nothing but a record that was cut short stands behind what could be mended."""
    return b"\n" not in (folder.content or b"")[len(folder.mended) : -1]


def flipped(found: Survey) -> tuple[int, bytes] | None:
    """Byte and content of a damaged line with one bit turned back, where that makes it what was written.

    A CRC-32 tells any one flipped bit from every other one, in lines of up to 11 KB; a line that is damaged otherwise
    passes for one with a chance of less than one in ten thousand.
    """
    if found.damaged is None or len(found.damaged) > 11_000:
        return None
    line = bytearray(found.damaged)
    for i in range(len(line)):
        for bit in range(8):
            line[i] ^= 1 << bit
            if unseal(bytes(line), found.crc) is not None:
                return i, bytes(line)
            line[i] ^= 1 << bit
    return None


def _order(folder: Folder) -> Iterator[Finding]:
    """Whether the records of a run tell a story that can have happened: checksums do not say that."""
    if folder.kind.journal != RUN_JOURNAL or not folder.known:
        return
    problems = list(_disorder(folder.known))
    for problem in problems[:5]:
        yield Finding("order", "fault", problem, "restore the journal from a copy: somebody else has written to it")
    if not problems:
        iterations = sum(r["kind"] == "proposed" for r in folder.known)
        measured, failed = (sum(r["kind"] == kind for r in folder.known) for kind in ("measured", "failed"))
        end = "finished" if folder.known[-1]["kind"] == "finished" else f"not finished: {folder.goes_on}"
        counts = f"{iterations} iterations, {measured} measurements, {failed} failures"
        yield Finding("order", "ok", f"{counts}; {end}")


@dataclass
class _Story:
    """What has happened so far in a run: records come before effects, in the order of the iterations."""

    iteration: int = -1
    proposed: set[tuple[int, ...]] = field(default_factory=set)
    adapted: set[int] = field(default_factory=set)
    done: set[tuple[int, tuple[int, ...]]] = field(default_factory=set)

    def went_on(self, record: Record) -> Iterator[str]:
        """What cannot be about the next record."""
        match record["kind"]:
            case "begun":
                yield "the run begins a second time"
            case "proposed":
                if record["iteration"] != self.iteration + 1:
                    yield f"iteration {record['iteration']} follows iteration {self.iteration}"
                self.iteration = record["iteration"]
                self.proposed |= {tuple(a) for a in record["architectures"]}
            case "adapted":
                if record["iteration"] != self.iteration:
                    yield f"weights of iteration {record['iteration']} in iteration {self.iteration}"
                self.adapted.add(record["iteration"])
            case "measured" | "failed":
                yield from self._measured(record)

    def _measured(self, record: Record) -> Iterator[str]:
        iteration, architecture = record["iteration"], tuple(record["architecture"])
        if iteration != self.iteration:
            yield f"a measurement of iteration {iteration} in iteration {self.iteration}"
        if architecture not in self.proposed:
            yield "an architecture was measured that was never proposed"
        if (iteration, architecture) in self.done:
            yield "an architecture was measured twice in one iteration"
        if record["weights"] >= 0 and record["weights"] not in self.adapted:
            yield "it was measured with weights that were never recorded"
        self.done.add((iteration, architecture))


def _disorder(records: Sequence[Record]) -> Iterator[str]:
    """What cannot be, with its line."""
    story = _Story()
    for number, record in enumerate(records[1:], 2):
        try:
            for problem in story.went_on(record):
                yield f"line {number}: {problem}"
        except (KeyError, TypeError) as error:
            yield f"line {number}: the {record['kind']} record has another form than nat writes ({error})"


def _about(folder: Folder) -> Iterator[Finding]:
    """The file that says what the folder is."""
    file = folder.path / folder.kind.about
    if not file.exists():
        if folder.kind.about == finetuned.ABOUT:
            yield Finding(file.name, "note", "not written yet", folder.goes_on)
            return
        remedy = f"the command that began it, with --out {folder.path}, checks the journal and writes it anew"
        yield Finding(file.name, "fault", f"{file} is missing", remedy)
        return
    try:
        changed = _changed(folder, file)
    except (NatError, OSError, ValueError, RecursionError) as error:
        remedy = f"nat doctor {folder.path} --repair puts it aside; the command that began it writes it anew"
        yield Finding(file.name, "fault", f"{file} cannot be read: {error}", remedy)
        return
    if changed:
        remedy = f"set it back, or nat doctor {folder.path} --repair puts the file aside for it to be written anew"
        text = f"{file} is not what the journal says: {', '.join(changed[:5])} changed"
        yield Finding(file.name, "fault", text, remedy)
    else:
        yield Finding(file.name, "ok", "readable, and what the journal says")


def _changed(folder: Folder, file: Path) -> list[str]:
    """The names of values that are not those of the journal. Raises for a file that cannot be read."""
    begun: Mapping[str, Any] = folder.known[0] if folder.known else {}
    if folder.kind.journal == RUN_JOURNAL:
        now = configs.reload(file)[0].flat()
        before = begun.get("config")
        before = configs.RunConfig().flat() | (before if isinstance(before, dict) else now)
        return sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        json.loads(text)
        return []
    tables, asked = tomllib.loads(text), begun.get("config")
    return sorted(n for n, value in asked.items() if tables.get(n) != value) if isinstance(asked, dict) else ["config"]


def _weights(folder: Folder) -> Iterator[Finding]:
    """The versions that the folder should hold: the last two that are recorded."""
    recorded, above = folder.recorded(), folder.path / "weights"
    kept, usable = sorted(recorded)[-2:], list[int]()
    for version in kept:
        place = above / f"{version:04d}"
        faults = [f"{name} {wrong}" for name, sha in recorded[version].items() if (wrong := fault(place / name, sha))]
        if not faults:
            usable.append(version)
            yield Finding("weights", "ok", f"{place.name}: {len(recorded[version])} files as they were saved")
            yield from _manifest(folder, version)
        elif version == kept[-1] and len(kept) > 1 and usable:
            remedy = f"{folder.goes_on} puts them aside and makes them again from {usable[-1]:04d}"
            yield Finding("weights", "fault", f"{place}: {'; '.join(faults)}", remedy)
        elif version != kept[-1]:
            remedy = "restore them from a copy; they are needed only where the newer ones are damaged"
            yield Finding("weights", "note", f"{place}: {'; '.join(faults)}", remedy)
        else:
            remedy = "restore them from a copy; the front can be read without, and the run cannot go on"
            yield Finding("weights", "fault", f"{place}: {'; '.join(faults)}", remedy)


def _manifest(folder: Folder, version: int) -> Iterator[Finding]:
    """The list of a version's sha256, which other tools read."""
    file = folder.path / "weights" / f"{version:04d}" / MANIFEST
    try:
        listed = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        listed = None
    if listed != {"iteration": version, "sha256": folder.recorded()[version]}:
        remedy = f"nat doctor {folder.path} --repair writes it from the journal"
        yield Finding("manifest", "note", f"{file} is missing, or not what the journal says", remedy)


def _results(folder: Folder) -> Iterator[Finding]:
    """What a training has written at its end; and what a fine-tuning began with."""
    records = {r["kind"]: r for r in folder.known}
    if folder.result and "written" in records:
        file = folder.path / folder.result
        if wrong := fault(file, records["written"].get("sha256")):
            remedy = f"nat doctor {folder.path} --repair puts it aside; then {folder.goes_on} makes it again"
            yield Finding("result", "fault", f"{file} {wrong}", remedy)
        else:
            yield Finding("result", "ok", f"{file.name} is what was saved")
    if "before" in records and folder.kind.journal == finetuning.JOURNAL:
        file = folder.path / finetuning.BEFORE
        if wrong := fault(file, records["before"].get("sha256")):
            yield Finding("before", "fault", f"{file} {wrong}", "restore it from a copy, or train in another folder")


def drafts(folder: Path) -> list[Path]:
    """What writes that were cut short have left: of no use to anybody."""
    return sorted(f for f in folder.rglob(".*.draft") if is_draft(f.name) and ASIDE not in f.relative_to(folder).parts)


def _litter(folder: Folder) -> Iterator[Finding]:
    """Files that a killed process left, and files that nat does not know."""
    found = drafts(folder.path)
    if found:
        names = ", ".join(str(f.relative_to(folder.path)) for f in found[:3])
        remedy = f"none is needed; nat doctor {folder.path} --repair puts them aside"
        yield Finding("drafts", "note", f"{len(found)} left by a process that was killed: {names}", remedy)
    weights = folder.path / "weights"
    if weights.is_dir():
        unknown = [p.name for p in weights.iterdir() if not _expected(p.name)]
        if unknown:
            text = f"{weights} holds what nat did not put there: {', '.join(sorted(unknown)[:5])}"
            yield Finding("weights", "note", text, "move it elsewhere if it is yours")
        damaged = sorted(weights.glob("*.damaged"))
        if damaged:
            yield Finding("weights", "note", f"damaged weights are kept aside: {', '.join(p.name for p in damaged)}")


def _expected(name: str) -> bool:
    """Whether a name in the folder of weights is one that nat gives: a version, recorded or about to be."""
    stem, _, rest = name.partition(".")
    return is_draft(name) or (len(stem) == 4 and stem.isdigit() and rest in {"", "unfinished", "damaged"})
