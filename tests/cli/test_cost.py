"""`nat cost`: the output that others depend on."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import nat

from nat_core import config as configs
from nat_core.cli import cli
from nat_core.config import RunConfig
from nat_core.errors import ConfigError, StateError
from nat_core.plugins import find

M1, M4 = "08011001440551052208877", "12115105572981578947781"


def test_the_document():
    outcome = nat("cost", "--space", "mbv3", "--cost", "macs", "--cost", "params", M1, M4, "--json")
    assert outcome.json == {
        "space": "mbv3",
        "rows": [
            {"architecture": M1, "macs": 222557600, "params": 6067408},
            {"architecture": M4, "macs": 599725312, "params": 9135928},
        ],
    }


def test_a_file_of_strings_and_dictionaries(tmp_path):
    m1 = {
        "ks": [3, 3, 3, 3, 3, 5, 5, 3, 5, 5, 5, 5, 5, 3, 3],
        "e": [3, 3, 3, 4, 4, 4, 4, 3, 4, 3, 3, 6, 6, 6, 6],
        "d": [2, 3, 3, 3, 4],
        "r": 224,
        "w": 1.0,
    }
    (tmp_path / "f.jsonl").write_text(f"{json.dumps(M4)}\n{json.dumps(m1)}\n\n")
    rows = nat("cost", "--cost", "macs", "--file", tmp_path / "f.jsonl", "--json").json["rows"]
    assert rows == [{"architecture": M4, "macs": 599725312}, {"architecture": M1, "macs": 222557600}]


def test_the_number_of_classes():
    rows = nat("cost", "--cost", "params", "-s", "mbv3.classes=10", M1, "--json").json["rows"]
    assert rows[0]["params"] == 6067408 - 990 * 1281


def test_a_bad_line_is_named(tmp_path):
    (tmp_path / "f.jsonl").write_text(f'"{M1}"\n"0801"\n')
    outcome = nat("cost", "--file", tmp_path / "f.jsonl", "--json")
    assert outcome.code == 2
    assert "line 2" in outcome.err
    assert not outcome.out


def test_a_table_for_people():
    outcome = nat("cost", M1)
    assert "222,557,600" in outcome.out
    assert "6,067,408" in outcome.out


@pytest.fixture
def folder(tmp_path):
    """What `--run` reads: a run on seven classes with a resolution of its own."""
    config = RunConfig(data="digits", options={"mbv3": {"resolutions": [24, 48]}})
    context = {"classes": 7, "image_size": 32, "class_names": list("abcdefg")}
    (tmp_path / "run.toml").write_text(configs.dump(config, plugins={}, context=context, fingerprints={}))
    return tmp_path


def ask(*words):
    """What is printed; a refusal is raised."""
    result = CliRunner().invoke(cli, ["cost", *map(str, words)], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert not result.exit_code, result.output
    return result.output


SHORT = "01" + M1[2:]  # the second of two sides


def test_the_space_is_as_the_run_has_it(folder):
    document = json.loads(ask("--run", folder, SHORT, "--json"))
    space = find("search_spaces", "mbv3")(resolutions=(24, 48), classes=7)
    (row,) = document.pop("rows")
    assert document == {"run": str(folder), "space": "mbv3"}
    assert row.pop("architecture") == SHORT
    X = np.array([space.parse(SHORT)])
    assert row == {name: find("cost_models", name)(space)(X)[0] for name in ("macs", "params")}
    (other,) = json.loads(ask(SHORT, "--json"))["rows"]
    assert other["macs"] > 2 * row["macs"]
    assert other["params"] == row["params"] + (1000 - 7) * 1281


@pytest.mark.slow
def test_a_front_costs_what_the_run_says(tiny_run):
    folder, outcome = tiny_run
    front = {e["architecture"]: e["objectives"]["macs"] for e in outcome.json["front"]}
    rows = json.loads(ask("--run", folder, *front, "--json"))["rows"]
    assert {row["architecture"]: row["macs"] for row in rows} == front


def test_what_is_assumed_is_said_to_people_alone(folder):
    said = "assumed: {} classes, inputs of {} … {} px (--run RUN: as in that run)"
    assert ask(M1).splitlines()[-1] == said.format("1,000", 192, 256)
    settings = ("-s", "mbv3.classes=10", "-s", "mbv3.resolutions=32,40")
    assert ask(*settings, SHORT).splitlines()[-1] == said.format(10, 32, 40)
    assert ask("--run", folder, SHORT).splitlines()[-1] == f"mbv3 as {folder} has it: 7 classes, inputs of 24 … 48 px"
    assert "assumed" not in ask(M1, "--json")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--space", "mbv3"), "which is mbv3: leave --space mbv3 out"),
        (("-s", "mbv3.classes=10"), "leave out -s mbv3.classes, or --run"),
        (("-s", "nsga3.population=10"), "options are set for 'nsga3'"),
    ],
)
def test_a_run_has_one_space(folder, words, said):
    with pytest.raises(ConfigError) as caught:
        ask("--run", folder, *words, SHORT)
    assert said in str(caught.value)


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(StateError, match="holds no run"):
        ask("--run", tmp_path, M1)
