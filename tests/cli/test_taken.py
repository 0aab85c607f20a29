"""Networks are taken out of runs of every kind: with workers, with data that were accepted, with other weights."""

from __future__ import annotations

import json
import shutil
import tomllib

import pytest
import tomli_w
from command_line import SMALL_SEARCH, TINY, nat

from nat_core.cli.saved import saved_front
from nat_core.journal import read
from nat_core.taking import take


def copied(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def test_a_run_with_workers_and_a_tracker(tiny_run, tmp_path):
    """Their options stand in its `run.toml`, and decide nothing."""
    folder = copied(tiny_run[0], tmp_path)
    about = tomllib.loads((folder / "run.toml").read_text())
    about["options"] |= {"processes": {"workers": 2}, "mlflow": {"retries": 1}}
    (folder / "run.toml").write_text(tomli_w.dumps(about | {"executor": "processes", "trackers": ["mlflow"]}))
    for words in (("front",), ("pick",), ("evaluate",), ("export", "--format", "state-dict", "--images", "9")):
        outcome = nat(words[0], folder, *words[1:], "--json")
        assert outcome.code == 0, outcome.err
    outcome = nat("finetune", folder, "-s", "finetune.epochs=1", "--json")
    assert outcome.code == 0, outcome.err


@pytest.fixture
def accepted(tmp_path, small_folder):
    """A run that lost a picture on its way, and went on all the same."""
    photos, folder = small_folder, tmp_path / "run"
    assert nat("run", "--data", photos, "--out", folder, *TINY, *SMALL_SEARCH).code == 0
    next((photos / "light").glob("*.png")).unlink()
    assert nat("evaluate", folder).code == 3
    assert nat("resume", folder, "--accept", "data").code == 0
    return photos, folder


def test_what_was_accepted_is_accepted_for_good(accepted):
    photos, folder = accepted
    records = [r for r in read(folder / "journal.jsonl") if r["kind"] == "accepted"]
    assert [sorted(r.keys() - {"kind", "crc", "at"}) for r in records] == [["data", "fingerprints"]]
    for words in (("evaluate", folder), ("resume", folder), ("doctor", folder)):
        outcome = nat(*words)
        assert outcome.code == 0, outcome.err
    assert len([r for r in read(folder / "journal.jsonl") if r["kind"] == "accepted"]) == 1
    next((photos / "light").glob("*.png")).unlink()
    for word in ("evaluate", "resume"):
        refused = nat(word, folder)
        assert refused.code == 3
        assert "its data changed" in refused.err


def test_a_network_that_has_other_weights_now_was_not_measured_so(tiny_run, tmp_path):
    """The weights that measured it are gone: what the run measured is no number of this network."""
    folder = copied(tiny_run[0], tmp_path)
    saved = saved_front(folder)
    records = read(folder / "journal.jsonl")
    newest = max(r["iteration"] for r in records if r["kind"] == "adapted")
    cut = next(i for i, r in enumerate(records) if r["kind"] == "measured" and r["weights"] == newest)
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(lines[:cut]))
    stale = next(tuple(r["architecture"]) for r in records if r["kind"] == "measured" and r["weights"] == newest - 1)
    taken = take(saved.config, folder, stale, {})
    shutil.rmtree(folder / "weights" / f"{newest - 1:04d}")
    now = take(saved.config, folder, stale, {})
    assert (taken.measured, taken.weights["iteration"]) == (True, newest - 1)
    assert (now.measured, now.weights["iteration"]) == (False, newest)
    text = str(saved.space.describe(stale)["architecture"])
    assert nat("evaluate", folder, text, "--json").json["measured_by_run"] is False
    outcome = nat("export", folder, text, "--format", "state-dict", "--images", "9", "--json")
    assert outcome.code == 0, outcome.err
    (file,) = (folder / "exported").rglob("model.json")
    about = json.loads(file.read_text())
    assert about["objectives"] is None
