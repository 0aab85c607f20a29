"""Searches that train nothing: a table, a predictor; through the command line, from start to front."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from command_line import SMALL_SEARCH, nat, records

SMALL = (*SMALL_SEARCH, "-s", "search.iterations=2", "-s", "search.initial=8", "-s", "search.batch=4")


@pytest.fixture(scope="module")
def table(shared):
    return shared / "reference" / "nas_bench_macro" / "nas-bench-macro_cifar10.json"


@pytest.fixture(scope="module")
def macro(table):
    return ("--space", "nas-bench-macro", "-s", f"nas-bench-macro.table={table}", *SMALL)


@pytest.fixture(scope="module")
def ofa(shared):
    weights = shared / "reference" / "ofa_acc_predictor.pth"
    return ("--estimator", "ofa-predictor", "-s", f"ofa-predictor.weights={weights}", *SMALL)


@pytest.fixture(scope="module")
def macro_run(tmp_path_factory, macro):
    folder = tmp_path_factory.mktemp("macro") / "run"
    return folder, nat("run", "--out", folder, "--json", *macro)


def test_the_document_of_a_run_on_the_table(macro_run, table):
    folder, outcome = macro_run
    assert outcome.code == 0, outcome.err
    assert outcome.json["evaluations"] == 16
    rows = json.loads(table.read_text())
    assert len(outcome.json["front"]) >= 3
    for point in outcome.json["front"]:
        row = rows[point["architecture"]]
        assert point["objectives"]["top1_error"] == pytest.approx(1 - row["mean_acc"] / 100)
        assert point["objectives"]["macs"] == row["flops"]
    assert not (folder / "weights").exists() or not list((folder / "weights").iterdir())
    assert nat("front", folder, "--json").json["front"] == outcome.json["front"]


def test_what_it_says_of_itself(macro_run):
    folder, outcome = macro_run
    assert "nas-bench-macro: top1_error and macs by nsga3 with rbf, preset quick\n" in outcome.err
    assert "digits" not in outcome.err + (folder / "run.toml").read_text() + (folder / "journal.jsonl").read_text()
    assert 'estimator = "nas-bench-macro"' in (folder / "run.toml").read_text()


def test_it_goes_on_where_it_was_cut_and_ends_the_same(macro_run, tmp_path):
    folder, outcome = macro_run
    shutil.copytree(folder, tmp_path / "cut")
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut" / "journal.jsonl").write_text("".join(lines[: len(lines) // 2]))
    again = nat("resume", tmp_path / "cut", "--json")
    assert again.code == 0, again.err
    assert again.json["front"] == outcome.json["front"]
    assert records(tmp_path / "cut") == records(folder)


def test_another_table_is_refused(table, tmp_path):
    mine = tmp_path / "mine.json"
    shutil.copy(table, mine)
    words = ("--space", "nas-bench-macro", "-s", "nas-bench-macro.table=mine.json", *SMALL)
    assert nat("run", *words, "--out", "own", cwd=tmp_path).code == 0
    rows = json.loads(table.read_text())
    rows["00000000"]["std"] += 1
    mine.write_text(json.dumps(rows))
    refused = nat("resume", "own", cwd=tmp_path)
    assert refused.code == 3
    assert "its data changed since it began" in refused.err
    assert nat("resume", "own", "--accept", "data", cwd=tmp_path).code == 0


def test_costs_of_the_table(table):
    words = ("cost", "--space", "nas-bench-macro", "-s", f"nas-bench-macro.table={table}")
    outcome = nat(*words, "02012100", "22222222", "--json")
    rows = json.loads(table.read_text())
    assert outcome.json["rows"] == [
        {"architecture": code, "macs": rows[code]["flops"], "params": rows[code]["params"]}
        for code in ("02012100", "22222222")
    ]
    assert nat(*words, "02012103").code == 2


def test_a_run_on_the_predictor(ofa, tmp_path):
    outcome = nat("run", *ofa, "--json", "--constraint", "macs<=400e6", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    folder = tmp_path / outcome.json["run"]
    assert folder.name.startswith("mbv3-20")
    assert "mbv3: top1_error by ofa-predictor and macs by nsga3 with rbf, preset quick\n" in outcome.err
    assert outcome.json["evaluations"] == 16
    for point in outcome.json["front"]:
        assert point["architecture"][2] == "1"  # width 1.2
        assert point["objectives"]["macs"] <= 400e6
        assert 0.16 < point["objectives"]["top1_error"] < 0.25
        assert point["test"] == {}
    again = nat("resume", folder, "--json")
    assert again.json["front"] == outcome.json["front"]
    assert "resolutions" in (folder / "run.toml").read_text()


def test_a_dry_run_expects_no_time(macro, tmp_path):
    outcome = nat("run", "--dry-run", *macro, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert "# nothing is trained" in outcome.out
    assert nat("run", "--dry-run", "--json", *macro, cwd=tmp_path).json["seconds"] == 0
    assert not list(tmp_path.iterdir())


MACRO, OFA = ("--space", "nas-bench-macro"), ("--estimator", "ofa-predictor")
WRONG = {
    "no table": (MACRO, ["-s nas-bench-macro.table="]),
    "no weights": (OFA, ["-s ofa-predictor.weights="]),
    "no such table": ((*MACRO, "-s", "nas-bench-macro.table=no.json"), ["cannot read", "no.json"]),
    "no such weights": ((*OFA, "-s", "ofa-predictor.weights=no.pth"), ["cannot read", "no.pth"]),
    "estimator": (("--estimator", "ofa-predictr"), ["unknown estimator 'ofa-predictr'", "'ofa-predictor'"]),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_word(tmp_path, words, said):
    outcome = nat("run", *words, cwd=tmp_path)
    assert outcome.code == 2
    for part in said:
        assert part in outcome.err
    assert not list(tmp_path.iterdir())


def test_data_that_nothing_looks_at_are_refused(macro, ofa, tmp_path):
    for words in (macro, ofa):
        outcome = nat("run", *words, "--data", "digits", cwd=tmp_path)
        assert outcome.code == 2
        assert "leave --data out" in outcome.err
    assert not list(tmp_path.iterdir())


def test_widths_that_the_predictor_does_not_know(ofa, tmp_path):
    outcome = nat("run", *ofa, "-s", "mbv3.widths=1.0", cwd=tmp_path)
    assert outcome.code == 2
    assert "set -s mbv3.widths=1.2 -s mbv3.resolutions=160,176,192,208,224" in outcome.err


COUNTS = """
from functools import partial
from nat_core import hookimpl

def depth(space):
    return lambda X: (X > 0).sum(axis=1).astype(float)

def layer(space, place):
    return lambda X: X[:, place].astype(float)

@hookimpl
def register_cost_models():
    return {"depth": depth, **{f"layer{i + 1}": partial(layer, place=i) for i in range(8)}}
"""


@pytest.fixture
def counts(tmp_path):
    """A plugin with nine more costs, installed in a folder of its own."""
    site = tmp_path / "site"
    info = site / "nat_counts-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "nat_counts.py").write_text(COUNTS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nat-counts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nat_core]\nnat_counts = nat_counts\n")
    return os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.mark.parametrize("n", [5, 12])
def test_many_objectives_and_a_choice_among_them(macro, counts, tmp_path, n):
    names = ["top1_error", "macs", "params", "depth", *(f"layer{i + 1}" for i in range(8))][:n]
    objectives = [word for name in names for word in ("--objective", name)]
    bounds = ("--constraint", "macs<=60e6", "--constraint", "depth>=4", "--constraint", "top1_error<=0.2")
    out = tmp_path / "run"
    outcome = nat("run", *macro, *objectives, *bounds, "--out", out, "--json", PYTHONPATH=counts)
    assert outcome.code == 0, outcome.err
    front = {point["architecture"]: point["objectives"] for point in outcome.json["front"]}
    assert len(front) >= 2
    for architecture, values in front.items():
        assert list(values) == names
        assert values["macs"] <= 60e6
        assert values["depth"] == 8 - architecture.count("0") >= 4
        assert values["top1_error"] <= 0.2
    for wish in (("--knee",), ("--prefer", "macs=30M"), ("--max", "params=1.5e6"), ("--min", "depth=5")):
        picked = nat("pick", out, *wish, "--json", PYTHONPATH=counts)
        assert picked.code == 0, picked.err
        assert picked.json["picks"][0]["architecture"] in front
    table = nat("pick", out, PYTHONPATH=counts)
    assert table.code == 0, table.err
    assert max(map(len, table.out.splitlines())) <= 120
