"""`nat bench` as a user has it: a problem of two costs, which needs no data and takes no time."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from command_line import interrupt, nat, start

PROBLEM = """
space = "mbv3"
objectives = ["macs", "params"]

[options.mbv3]
classes = 10

[bench]
name = "costs"
evaluations = [24]

[bench.low]
macs = 50e6
params = 2e6

[bench.high]
macs = 1e9
params = 9e6
"""
SMALL = ("-s", "nsga3.population=10", "-s", "nsga3.generations=3", "-s", "search.initial=10", "-s", "search.batch=7")


@pytest.fixture
def problem(tmp_path):
    (tmp_path / "costs.toml").write_text(PROBLEM)
    return tmp_path / "costs.toml"


def without_times(document):
    for contestant in document["problems"][0]["contestants"]:
        contestant.pop("seconds")
    return document


def test_a_bench_from_beginning_to_end(problem, tmp_path):
    words = ("bench", problem, "--optimizer", "nsga3", "--baseline", "pymoo-nsga2", "--seeds", 2, *SMALL)
    out, plot = tmp_path / "bench.json", tmp_path / "bench.svg"
    first = nat(*words, "--out", out, "--plot", plot, "--json")
    assert first.code == 0, first.err
    assert plot.read_text().startswith("<?xml")
    (found,) = first.json["problems"]
    assert [c["name"] for c in found["contestants"]] == ["nsga3 + rbf", "pymoo-nsga2"]
    assert [len(curve) for c in found["contestants"] for curve in c["curves"]] == [24] * 4
    assert all(0 < c["share"]["24"]["median"] <= 1 for c in found["contestants"])
    assert first.err.count("of search") == 4

    before = out.read_bytes()
    again = nat(*words, "--out", out, "--json")
    assert "4 of 4 searches are taken from" in again.err
    assert without_times(again.json) == without_times(first.json)
    assert out.read_bytes() == before

    table = nat(*words, "--out", out, COLUMNS="40")
    assert "costs: share of the best known hypervolume" in table.out
    assert "…" not in table.out.replace("…0.", "").replace("…1.", "")
    assert "pymoo-nsga2" in table.out

    side_by_side = nat(*words, "--workers", 2, "--json")
    assert side_by_side.code == 0, side_by_side.err
    assert without_times(side_by_side.json) == without_times(first.json)


def test_what_cannot_run_is_refused_at_once(problem, tmp_path):
    for words, code, said in (
        ((problem, "--baseline", "linsa"), 2, "Did you mean 'linas'"),
        ((problem, "--fail", "0.1"), 2, "none can fail"),
        ((problem, "--fail", "0.5"), 2, "0<=x<0.5"),
        ((problem, "--plot", "x.jpg"), 2, ".svg"),
        ((problem, "--out", problem), 3, "is no bench"),
        ((tmp_path / "none.toml",), 2, "No such file"),
    ):
        outcome = nat("bench", *words)
        assert outcome.code == code, words
        assert outcome.out == ""
        assert said in outcome.err
    assert problem.read_text() == PROBLEM


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bench_that_is_stopped_keeps_what_is_finished(problem, tmp_path, workers):
    out = tmp_path / "bench.json"
    slow = ("--baseline", "linas,initial=12", "--baseline", "random-search", "--seeds", 40)
    process = start("bench", problem, *slow, "--out", out, "--workers", workers)
    deadline = time.monotonic() + 120
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    children = workers_of(process.pid)
    outcome = interrupt(process, signal.SIGTERM)
    assert outcome.code == 143
    assert "Traceback" not in outcome.err
    assert "the same command goes on" in outcome.err
    finished = len(json.loads(out.read_text())["cells"])
    assert 0 < finished < 80
    assert len(children) >= workers - 1
    deadline = time.monotonic() + 30
    while not all(map(is_dead, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(is_dead, children)), "a worker outlived its bench"


def workers_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def is_dead(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
