"""A run on a table says which surrogate `adaptive` took, and why: while it goes on, at its end, and ever after."""

from __future__ import annotations

import pytest
from command_line import nat
from toyrun import Quiet

from nat_core.journal import Journal, read


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    """The folder of a run, what it printed, and the words that began it."""
    folder = tmp_path_factory.mktemp("told") / "run"
    settings = ("initial=12", "iterations=2", "batch=4", "pool=8")
    words = [
        *("run", "--out", folder, "--space", "nas-bench-macro", "--surrogate", "adaptive"),
        *("-s", f"nas-bench-macro.table={table}", "-s", "adaptive.members=ridge,rbf-single"),
        *(word for setting in settings for word in ("-s", f"search.{setting}")),
        *("-s", "nsga3.generations=5", "-s", "nsga3.population=20"),
    ]
    return folder, nat(*words), words


def notes(folder):
    return [record["surrogates"] for record in read(folder / "journal.jsonl") if record["kind"] == "proposed"]


def test_the_winner_and_why_are_part_of_the_run(run):
    folder, outcome, words = run
    assert outcome.code == 0, outcome.err
    first, *later = notes(folder)
    assert first == {}
    assert len(later) == 2
    for said in later:
        assert list(said) == ["top1_error"]
        winner, of, *scores = said["top1_error"].replace(",", "").split()
        assert of == "of"
        assert scores[::2] == ["ridge", "rbf-single"]
        taus = dict(zip(scores[::2], map(float, scores[1::2]), strict=True))
        assert taus[winner] == max(taus.values())
    lines = outcome.err.splitlines()
    shown = [line for line in lines if line.startswith("surrogate ")]
    assert shown == [f"surrogate of top1_error: {said['top1_error']}" for said in later]
    assert [lines[lines.index(line) - 1].split(" · ")[0] for line in shown] == ["iteration 1", "iteration 2"]
    assert shown[-1] in outcome.out.splitlines()
    document = nat(*words, "--json").json  # gone on with, at its end
    assert document["surrogates"] == later[-1]
    assert nat("front", folder, "--json").json == document
    assert shown[-1] in nat("front", folder).out.splitlines()


def test_a_run_from_before_there_were_notes_is_read(run, tmp_path):
    folder, *_ = run
    (tmp_path / "run.toml").write_text((folder / "run.toml").read_text())
    with Journal(tmp_path / "journal.jsonl", Quiet()) as old:
        for record in read(folder / "journal.jsonl"):
            old.append(record["kind"], **{k: v for k, v in record.items() if k not in {"kind", "crc", "surrogates"}})
    document = nat("front", tmp_path, "--json").json
    assert document.pop("surrogates") == {}
    now = nat("front", folder, "--json").json
    assert {k: v for k, v in now.items() if k not in {"run", "surrogates"}} == {
        k: v for k, v in document.items() if k != "run"
    }
    assert "surrogate" not in nat("front", tmp_path).out
