"""Forty-odd names that try to leave their folder, at every place where a name becomes a path."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import COSTS

from nat_core.config import RunConfig
from nat_core.downloads import Download
from nat_core.errors import ConfigError, NatError, PluginError
from nat_core.hookspecs import hookimpl
from nat_core.plugins import HOOKS, Offer, _offers
from nat_core.run import new_folder

NAMES = (
    *(
        "..",
        "../x",
        "../../x",
        "a/../../x",
        "./../x",
        "..//x",
        "a/b/../../../x",
        "/x",
        "//x",
        "/etc/passwd",
        "~/x",
        "~root",
    ),
    *("..\\x", "..\\..\\x", "a\\..\\..\\x", "\\x", "C:\\x", "C:x", "\\\\host\\share\\x", "..\\/x"),
    *("%2e%2e/x", "%2e%2e%2fx", "..%2fx", "..%5cx", "%252e%252e%252fx", "..%c0%afx", "..%u2215x", "%00/../x"),
    *(
        "x\0",
        "x\0.txt",
        "..\0/x",
        "x\n../y",
        "\r\n../x",
        ". ./x",
        ".. /x",
        "..\t/x",
        "\u2024\u2024/x",
        "\uff0e\uff0e/x",
    ),
    *(
        "..\u2215x",
        "..\u2044x",
        "file:///x",
        "https://h/../x",
        "x" * 300 + "/..",
        "dev/../../x",
        "${HOME}/x",
        "$(touch x)",
    ),
    *("`touch x`", "|touch x", "; touch x", "-rf", "", ".", "/dev/zero", "/proc/self/environ", "nul/../..", "*", "?"),
)
assert len(set(NAMES)) >= 40


def outside(folder: Path):
    """Everything beside a folder, with sizes."""
    around = folder.parent
    return sorted((str(p), p.lstat().st_size) for p in around.rglob("*") if folder not in (p, *p.parents))


@pytest.fixture
def box(place):
    """A folder to work in, inside one that is watched."""
    (place / "beside").write_text("untouched")
    (place / "box").mkdir()
    before = outside(place / "box")
    yield place / "box"
    assert outside(place / "box") == before


@pytest.mark.promise(38)
def test_the_name_of_a_download(cases):
    for name in NAMES:
        with pytest.raises(ConfigError, match="a download is named"):
            Download("https://example.org/x", name, 1)
        cases["names"] += 1


@pytest.mark.promise(38)
@pytest.mark.parametrize("kind", HOOKS)
def test_the_name_of_a_plugins_part(kind, cases):
    """It becomes the name of a file of weights, and of an option's table."""
    for name in NAMES:
        hook = hookimpl(lambda name=name: {name: list})
        module = type("Module", (), {HOOKS[kind]: staticmethod(hook)})
        with pytest.raises(PluginError, match="a name is letters"):
            list(_offers(module, Offer("plugin", "p", "d", "1")))
        cases["names"] += 1


@pytest.mark.promise(38)
def test_the_folder_of_a_new_run(box, cases):
    """It is named by the folder of pictures and by the space."""
    for name in NAMES:
        options = {"folder": {"path": f"/photos/{name}"}}
        try:
            config = RunConfig(data="folder", options=options, space=name)
        except ValueError:  # what cannot be kept in a run file
            config = RunConfig.model_construct(
                **{**RunConfig().__dict__, "data": "folder", "options": options, "space": name}
            )
        folder = new_folder(config, box)
        assert folder.parent == box
        assert folder.name == Path(folder.name).name
        assert ".." not in folder.name
        assert "\0" not in str(folder)
        cases["names"] += 1


@pytest.mark.promise(16, 17, 38)
@pytest.mark.parametrize(
    "option", ["--space", "--surrogate", "--optimizer", "--objective", "--estimator", "--preset", "--data"]
)
def test_words_of_the_command_line(option, box, nat_here, monkeypatch, cases):
    monkeypatch.chdir(box)
    for name in filter(None, NAMES):
        outcome = nat_here("run", "--out", "out", *COSTS, f"{option}={name}")
        assert outcome.code == 2, (name, outcome)
        assert outcome.err.startswith(("Error:", "Usage:")), (name, outcome)
        assert not any(box.iterdir()), name
        cases["names"] += 1


@pytest.mark.promise(16, 38)
def test_names_of_options(box, nat_here, monkeypatch, cases):
    monkeypatch.chdir(box)
    for name in NAMES:
        for text in (f"{name}.x=1", f"mbv3.{name}=1", f"{name}=1"):
            outcome = nat_here("run", "--out", "out", *COSTS, "-s", text)
            assert outcome.code == 2, (text, outcome)
            cases["names"] += 1
    assert not any(box.iterdir())


@pytest.mark.promise(38)
def test_names_in_a_run_folder_that_a_stranger_made(box, costs_run, nat_here, cases):
    """A journal with right checksums whose weights are named so: neither read nor moved outside."""
    from nat_core.journal import Journal, read

    folder = shutil.copytree(costs_run, box / "run")
    records = read(folder / "journal.jsonl")
    for name in NAMES:
        (folder / "journal.jsonl").unlink()
        adapted = {"kind": "adapted", "iteration": 0, "files": {name: "0" * 64}, "seconds": 0.0}
        with Journal(folder / "journal.jsonl") as journal:
            for record in (*records[:2], adapted, adapted | {"iteration": name}, *records[2:]):
                journal.append(**record)
        for words in (("doctor", folder, "--json"), ("doctor", folder, "--repair"), ("front", folder)):
            assert nat_here(*words).code in {0, 1}, (name, words)
        cases["names"] += 1


@pytest.mark.promise(38)
def test_names_of_tensors_in_a_file(box, cases):
    import torch
    from safetensors.torch import save

    from nat_core.tensors import parse

    for name in NAMES:
        try:
            found = parse(save({name: torch.zeros(1)}), box / "file")
        except NatError as error:
            assert len(str(error)) < 1000  # noqa: PT017 - a name may be refused, or be nothing but a name
        else:
            assert list(found) == [name]
        cases["names"] += 1


@pytest.mark.promise(38)
def test_a_pin_of_the_cache_that_names_another_file(box, cases):
    """Only the sha256 is taken from a manifest: what else it says leads nowhere."""
    from nat_core.downloads import _Stored

    stored = _Stored(box, Download("https://example.org/x", "x", 1))
    for name in NAMES:
        stored.manifest.write_text(json.dumps({"name": name, "url": name, "sha256": "0" * 64}))
        assert stored.expected() == "0" * 64
        assert stored.file == box / "x"
        cases["names"] += 1


@pytest.mark.promise(38)
def test_links_are_not_followed_out_of_a_run_folder_by_a_repair(box, costs_run, nat_here):
    """A draft that is a link goes aside as a link; what it leads to stays."""
    folder = shutil.copytree(costs_run, box / "run")
    (folder / ".x.draft").symlink_to(box.parent / "beside")
    (folder / "weights").symlink_to(box.parent)
    assert nat_here("doctor", folder, "--repair").code in {0, 1}
    assert (box.parent / "beside").read_text() == "untouched"
    assert (folder / "aside" / "0001" / ".x.draft").is_symlink()
