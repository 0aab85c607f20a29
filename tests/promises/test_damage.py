"""Damaged, foreign and newer files in the place of a run's own: refused by the real command, nothing in it changed."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from command_line import COSTS, records
from in_process import here
from toyrun import tree

from nat_core.downloads import Download, _Stored
from nat_core.errors import StateError
from nat_core.journal import Journal, read

RELEASED = Path(__file__).parent / "released"


def replaced(content: bytes, other: bytes):
    """What may stand in a file instead of what was written."""
    yield "empty", b""
    for share in (10, 33, 50, 90):
        yield f"cut to {share} %", content[: len(content) * share // 100]
    yield "zeros", b"\0" * len(content)
    yield "garbage", bytes(range(256)) * 20
    yield "text", b"not what was there\n"
    yield "another run's", other
    yield "doubled", content + content
    yield "in UTF-16", content.decode().encode("utf-16")
    yield "backwards", content[::-1]


@pytest.fixture(scope="module")
def other_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other") / "run"
    assert here("run", "--out", folder, "--seed", 9, *COSTS).code == 0
    return folder


def without_lock(folder):
    return {name: content for name, content in tree(folder).items() if name != "lock"}


@pytest.mark.promise(2, 3)
@pytest.mark.parametrize("name", ["journal.jsonl", "run.toml"])
def test_no_damaged_state_is_a_fresh_start(name, costs_run, other_run, nat_here, place, cases):
    content, other = (costs_run / name).read_bytes(), (other_run / name).read_bytes()
    whole = records(costs_run)
    for what, changed in replaced(content, other):
        folder = shutil.copytree(costs_run, place / what.replace(" ", "-"))
        (folder / name).write_bytes(changed)
        before = without_lock(folder)
        for words in (("resume", folder), ("front", folder), ("pick", folder), ("run", "--out", folder, *COSTS)):
            outcome = nat_here(*words)
            if outcome.code == 0:  # a journal that is cut between two records is that of a run that was killed
                assert words[0] != "resume" or records(folder) == whole, (what, words)
                assert what.startswith("cut") or words[0] in {"front", "pick", "run"}, (what, words)
            else:
                assert outcome.code == 3, (what, words, outcome)
                assert str(folder) in outcome.err, (what, words)
                assert without_lock(folder) == before, (what, words)
            cases["damaged state files before a command"] += 1
        shutil.rmtree(folder)


@pytest.mark.promise(3, 9)
def test_a_newer_format_is_refused_by_name(costs_run, nat_here, place):
    folder = shutil.copytree(costs_run, place / "run")
    first, *rest = read(folder / "journal.jsonl")
    (folder / "journal.jsonl").unlink()
    with Journal(folder / "journal.jsonl") as journal:
        for record in ({**first, "format": first["format"] + 1}, *rest):
            journal.append(**record)
    before = without_lock(folder)
    outcome = nat_here("resume", folder)
    assert outcome.code == 3
    assert "another version of nat" in outcome.err
    assert without_lock(folder) == before


def edits():
    """Changes of a config, and the word by which each is refused."""
    return [
        ("seed", "seed = 0", "seed = 1"),
        ("space", 'space = "mbv3"', 'space = "lite"'),
        ("optimizer", 'optimizer = "random"', 'optimizer = "nsga2"'),
        ("objectives", '"params"', '"memory"'),
        ("search.iterations", "iterations = 3", "iterations = 4"),
        ("search.initial", "initial = 5", "initial = 6"),
        ("search.batch", "batch = 3", "batch = 2"),
        ("search.remeasure", 'remeasure = "all"', 'remeasure = "none"'),
        ("search.optimism", "optimism = 1.0", "optimism = 0.5"),
        ("search.failure_rate", "failure_rate = 0.5", "failure_rate = 0.4"),
        ("constraints", "constraints = []", 'constraints = ["macs<=900e6"]'),
        ("surrogate", 'surrogate = "none"', 'surrogate = "rbf"'),
        ("preset", 'preset = "quick"', 'preset = "msunas"'),
        ("search.pool", "pool = 300", "pool = 299"),
        ("search.failure_floor", "failure_floor = 5", "failure_floor = 6"),
        ("search.capacity", "[search]", "[search]\ncapacity = 50"),
        ("search.fit_size", "[search]", "[search]\nfit_size = 9"),
        ("options.mbv3.widths", "widths = [\n    1.0,\n]", "widths = [1.0, 1.2]"),
        ("options.mbv3.resolutions", "[options.mbv3]", "[options.mbv3]\nresolutions = [192, 208]"),
        ("options.mbv3.depths", "[options.mbv3]", "[options.mbv3]\ndepths = [2, 3]"),
    ]


@pytest.mark.promise(9)
def test_resume_refuses_a_changed_config_and_shows_the_difference(costs_run, nat_here, place, cases):
    for key, old, new in edits():
        folder = shutil.copytree(costs_run, place / key)
        text = (folder / "run.toml").read_text()
        assert old in text, (key, text)
        (folder / "run.toml").write_text(text.replace(old, new, 1))
        before = without_lock(folder)
        outcome = nat_here("resume", folder)
        assert outcome.code in {2, 3}, (key, outcome)
        assert key.rpartition(".")[2] in outcome.err, (key, outcome.err)
        assert without_lock(folder) == before, key
        cases["edits"] += 1


@pytest.mark.promise(9)
@pytest.mark.parametrize("name", ["space", "data", "plugins"])
def test_resume_refuses_what_changed_around_a_run(name, costs_run, nat_here, place):
    folder = shutil.copytree(costs_run, place / "run")
    first, *rest = read(folder / "journal.jsonl")
    (folder / "journal.jsonl").unlink()
    changed = {"space": "0" * 64, "data": "1" * 64, "plugins": {**first["plugins"], "search_spaces.mbv3": "other 0.0"}}
    with Journal(folder / "journal.jsonl") as journal:
        for record in ({**first, name: changed[name]}, *rest):
            journal.append(**record)
    outcome = nat_here("resume", folder)
    assert outcome.code == 3
    assert f"its {name} changed" in outcome.err
    if name != "space":
        accepted = nat_here("resume", folder, "--accept", name)
        assert accepted.code == 0, accepted.err


@pytest.mark.promise(9)
@pytest.mark.parametrize("version", sorted(p.name for p in RELEASED.iterdir()))
def test_folders_of_every_version_are_read(version, nat_here, place, cases):
    """Stored run folders: their front is shown, they are examined, and where they need no data they go on."""
    for stored in sorted((RELEASED / version).iterdir()):
        folder = shutil.copytree(stored, place / stored.name)
        front = nat_here("front", folder, "--json")
        assert front.code == 0, front.err
        found = [[row["architecture"], row["objectives"]] for row in front.json["front"]]
        assert found == json.loads((stored / "front.json").read_text())
        about = tomllib.loads((folder / "run.toml").read_text())
        examined = nat_here("doctor", folder, "--json").json["findings"]
        assert not [f for f in examined if f["level"] == "fault" and f["subject"] != "weights"]  # which are not stored
        if "data" not in about:
            before = records(folder)
            assert nat_here("resume", folder, "--accept", "plugins").code == 0
            assert records(folder) == before
        cases["stored run folders"] += 1


@pytest.mark.promise(2, 37)
def test_a_manifest_that_is_damaged_pins_nothing_else(place, cases):
    """At every byte: cut there, or one bit changed. The sha256 that is read is the one that was pinned, or none."""
    stored = _Stored(place, Download("https://example.org/a", name="a", max_bytes=1))
    digest = "0123456789abcdef" * 4
    content = (json.dumps({"name": "a", "url": "https://example.org/a", "sha256": digest}, indent=1) + "\n").encode()
    start = content.index(digest.encode())
    changes = [content[:i] for i in range(1, len(content) - 3)]
    changes += [
        content[:i] + bytes([byte ^ (1 << bit)]) + content[i + 1 :]
        for i, byte in enumerate(content)
        for bit in range(8)
        if not start <= i < start + 64  # a digit may become another one: then the file does not fit it
    ]
    for changed in changes:
        stored.manifest.write_bytes(changed)
        try:
            found = stored.expected()
        except StateError as error:
            assert str(stored.manifest) in str(error)  # noqa: PT017 - most are refused, and some are harmless
        else:
            assert found == digest
        cases["damaged manifests"] += 1


@pytest.mark.promise(2)
def test_a_journal_with_right_checksums_and_other_content_is_refused(place, cases):
    """A checksum is no signature: whatever else follows one is no record."""
    import zlib

    file = place / "journal.jsonl"
    for text in (
        "[1, 2}",
        "{}",
        '{"kind":1}',
        "{" * 50_000 + "}",
        '{"kind":"a","b":NaN',
        "nul}",
        '"text}',
        '{"a":1e999}',
    ):
        body = text.encode() if text.endswith("}") else text.encode() + b"}"
        file.write_bytes(body[:-1] + f',"crc":"{zlib.crc32(body):08x}"}}\n'.encode())
        try:
            found = read(file)
        except StateError as error:
            assert "line 1" in str(error)  # noqa: PT017 - one of them is a record
        else:
            assert found[0]["kind"] == "a"
        cases["sealed nonsense"] += 1
