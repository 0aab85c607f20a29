"""What `nat run --dry-run` says of costs and constraints."""

from __future__ import annotations

import json
import re
import tomllib

from click.testing import CliRunner
from command_line import TINY

from nat_core.cli import cli

COSTS = ("--objective", "macs", "--objective", "params", "-s", "mbv3.resolutions=24,32")


def dry_run(*words):
    result = CliRunner().invoke(cli, ["run", "--dry-run", *COSTS, *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_document():
    found = json.loads(dry_run("--json", "--constraint", "params<=4e6"))["preflight"]
    assert found["rows"] == 20_000
    assert list(found["costs"]) == ["macs", "params"]
    for cost in found["costs"].values():
        assert cost["smallest"] < cost["median"] < cost["largest"]
    (share,) = found["constraints"].values()
    assert 0 < share["alone"] == found["together"] < 0.5
    assert (found["satisfiable"], found["binding"], found["nearest"]) == (True, "params<=4e+06", [])


def test_the_table_is_a_comment_of_the_run_file():
    text = dry_run("--constraint", "params<=4e6", "--constraint", "macs<=9e6")
    assert tomllib.loads(text)["objectives"] == ["macs", "params"]
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert any(line.split()[1:5] == ["cost", "smallest", "median", "largest"] for line in comments)
    assert any("all together" in line for line in comments)
    assert any("params <= 4.000 M binds" in line for line in comments)


def test_the_answer_comes_first(small_folder):
    """What would run, on how many images, and how long it takes; the settings behind it are the same as before."""
    words = ("--data", small_folder, "-s", "folder.image_size=16", *TINY)
    result = CliRunner().invoke(cli, ["run", "--dry-run", *map(str, words)], catch_exceptions=False)
    first, second, *_ = result.stdout.splitlines()
    found = re.fullmatch(r"# mbv3 on photos \((\d+) training and (\d+) validation images, 2 classes\): .*", first)
    assert second.startswith("# expected time: ")
    assert tomllib.loads(result.stdout)["options"]["folder"]["path"] == str(small_folder)
    again = CliRunner().invoke(cli, ["run", "--dry-run", "--json", *map(str, words)], catch_exceptions=False)
    images = json.loads(again.stdout)["images"]
    assert [int(n) for n in found.groups()] == [images["train"], images["val"]]
    assert sum(images.values()) == 60


def test_nothing_is_said_of_constraints_where_there_are_none():
    assert "together" not in dry_run()
    found = json.loads(dry_run("--json"))["preflight"]
    assert (found["constraints"], found["binding"], found["together"]) == ({}, None, 1)
