"""`nat latency`: a table built, verified, and used as an objective."""

import json
import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import SMALL_SEARCH, TINY

from nat_core.cli import cli
from nat_core.cli.latency import _check, _in_words
from nat_core.errors import ConfigError
from nat_core.latency.tables import devices
from nat_core.latency.verifying import Verified

SPACE = [word for word in TINY if "mbv3." in str(word)]
SPACE = [word for setting in (*SPACE, "mbv3.classes=10") for word in ("-s", setting)]


def ask(*words):
    """What is printed on stdout; a refusal is raised."""
    result = CliRunner().invoke(cli, [*map(str, words)], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert not result.exit_code, result.output
    return result.stdout


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of the tiny space, as fast as one is built."""
    file = tmp_path_factory.mktemp("latency") / "my.yaml"
    words = ("--out", file, "--name", "here", "--networks-per-operator", 2, *SPACE, "--json")
    about = json.loads(ask("latency", "build", *words))
    assert (about["name"], about["engine"], about["threads"]) == ("here", "torch", "1")
    return file


def test_the_table_says_what_it_is_of(table):
    found = devices(table)["here"]
    assert found.about["clock"] == "processor"
    assert found.about["reference"]
    assert set(found.times) == set(found.spreads)
    assert all(0 < ms < 1000 for ms in found.times.values())
    assert "unit: ms" in table.read_text()
    assert not table.with_name("my.yaml.journal").exists()


def test_it_is_verified_and_then_an_objective(table, tmp_path):
    """One run by the sums of a table that was built and verified here."""
    verified = json.loads(ask("latency", "verify", table, "--networks", 4, *SPACE, "--json"))
    assert verified["networks"] == len(verified["rows"]) == 4
    assert verified["mean_absolute_error"] >= 0
    kept = devices(table)["here"]
    assert float(kept.verified["pace"]) == pytest.approx(verified["pace"], rel=1e-4)
    assert (kept.verified["scale"], kept.verified["offset_ms"]) == ("1", "0")  # four networks say nothing of a line
    words = ("--objective", "latency@here", "--objective", "params", "--constraint", "memory<=1GB")
    search = [word for key in ("iterations=1", "initial=4", "batch=2", "pool=6") for word in ("-s", f"search.{key}")]
    run, options = tmp_path / "run", ("-s", f"latency@here.table={table}", *search, *SPACE, *SMALL_SEARCH[:4])
    printed = ask("run", *words, *options, "--out", run, "--json")
    assert "latency_ms@here" in printed
    picked = json.loads(ask("pick", run, "--best", "params", "--max", "latency@here=1s", "--json"))
    (pick,) = picked["picks"]
    priced = json.loads(ask("cost", "--run", run, "--cost", "latency@here", pick["architecture"], "--json"))["rows"][0]
    assert priced["latency_ms@here"] == pytest.approx(pick["objectives"]["latency_ms@here"])


def test_what_cannot_be_built(table, tmp_path):
    out = ("--out", tmp_path / "t.yaml")
    refused = {
        ("build", "--engine", "opnvino", *out): "unknown engine 'opnvino'. Did you mean 'openvino'",
        ("build", "--device", "cuda:9", *out): "device is 'cuda:9', which cannot be used here",
        ("build", "--out", tmp_path / "no" / "t.yaml"): "the folder .* is not there",
        ("build", "--out", table, "--name", "here"): "has a table of here already",
        ("build", *out, "-s", "torch.threads=2", "--threads", "1"): "say the same: give --threads alone",
        ("build", *out, "-s", "rbf.kernel=cubic"): "options are set for 'rbf'",
        ("verify", tmp_path / "none.yaml"): "cannot read the latency table",
        ("verify", table, "--device", "there"): "unknown device 'there'",
    }
    for words, message in refused.items():
        with pytest.raises(ConfigError, match=message):
            ask("latency", *words)


def test_a_setting_comes_before_what_the_table_says(table):
    """Only where the word itself is given do the two contradict each other."""
    words = ("latency", "verify", table, "--networks", 3, *SPACE, "-s", "torch.threads=2")
    with pytest.raises(ConfigError, match="measured with threads '1', and here it is '2'"):
        ask(*words)
    with pytest.raises(ConfigError, match=r"-s torch\.threads and --threads say the same"):
        ask(*words, "--threads", 2)


def test_what_is_said_of_a_table():
    found = Verified(tuple("abcdefghijkl"), np.arange(1.0, 13), 2 * np.arange(1.0, 13), 1.5, 0.03)
    assert "Today the device is 50.0 % slower" in _in_words(found, own=True, kept=True)
    assert _in_words(found, own=True, kept=True).endswith("the cost latency uses that.")
    published = _in_words(found, own=False, kept=False)
    assert "Today" not in published
    assert published.endswith("not used, for it was not written into the table.")


def test_the_command_that_checks_a_table_is_a_shell_s(table):
    own = table.with_name("a table.yaml")
    own.write_text(table.read_text().replace("  here:", "  'there':", 1))
    assert shlex.join(_check(own, "there", "mbv3", ("mbv3.widths=1.0",))) == (
        f"nat latency verify '{own}' --space mbv3 -s mbv3.widths=1.0"
    )


def test_an_engine_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"needs the package openvino.*pip install 'nat-core\[openvino\]'"):
        ask("latency", "build", "--engine", "openvino", "--out", tmp_path / "t.yaml")


def test_measured_where_it_stands():
    words = ("-s", "mbv3.resolutions=32,64", "00011001100110011001100", "01099999999999999999999", "--json")
    small, large = json.loads(ask("cost", "--cost", "measured", *words))["rows"]
    assert 0 < small["measured_ms"] < large["measured_ms"]


def test_a_bound_on_what_is_measured_needs_it_as_an_objective():
    words = ("--constraint", "measured<=25ms", "--dry-run", *TINY)
    with pytest.raises(ConfigError, match="to bound it, make it an objective too, with --objective measured"):
        ask("run", *words)
