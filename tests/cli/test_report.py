"""`nat report`, `nat compare` and `nat plot` as a user calls them, on a real run."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from command_line import nat

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two(tiny_run, tmp_path_factory):
    """The tiny run, and a copy of it that stopped in the middle."""
    folder, _ = tiny_run
    other = tmp_path_factory.mktemp("two") / "stopped"
    shutil.copytree(folder, other)
    lines = (other / "journal.jsonl").read_text().splitlines(keepends=True)
    (other / "journal.jsonl").write_text("".join(lines[:5]))
    return folder, other


def test_a_run_has_its_page_and_nat_report_writes_the_same(tiny_run, tmp_path):
    folder, _ = tiny_run
    assert nat("report", folder, "--out", tmp_path / "r.html").out.strip() == str(tmp_path / "r.html")
    assert (tmp_path / "r.html").read_bytes() == (folder / "report.html").read_bytes()


def test_the_page_as_json(tiny_run):
    folder, outcome = tiny_run
    found = nat("report", folder, "--json").json
    names = [found["points"][i]["name"] for i in found["front"]]
    assert names == [network["architecture"] for network in outcome.json["front"]]
    assert found["iterations"][-1]["hypervolume"] == pytest.approx(outcome.json["hypervolume"], rel=1e-6)


def test_runs_are_compared(two, tmp_path):
    done = nat("compare", *two, "--out", tmp_path / "both.html")
    assert done.code == 0
    assert "stopped" in done.out
    assert (tmp_path / "both.html").read_text().startswith("<!doctype html>")
    runs = nat("compare", *two, "--json").json["runs"]
    assert [run["finished"] for run in runs] == [True, False]


@pytest.mark.parametrize(("name", "begin"), [("f.svg", b"<?xml"), ("f.pdf", b"%PDF"), ("f.png", b"\x89PNG")])
def test_a_figure_in_any_format_twice_the_same(two, tmp_path, name, begin):
    done = nat("plot", *two, "--out", tmp_path / name)
    assert done.code == 0, done.err
    first = (tmp_path / name).read_bytes()
    assert first.startswith(begin)
    nat("plot", *two, "--out", tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


@pytest.mark.parametrize("figure", ["hypervolume", "predicted"])
def test_other_figures(tiny_run, tmp_path, figure):
    folder, _ = tiny_run
    assert nat("plot", folder, "--figure", figure, "--out", tmp_path / "f.svg").code == 0
    label = {"hypervolume": "architectures measured", "predicted": "predicted top-1 error"}[figure]
    assert label in (tmp_path / "f.svg").read_text()


def test_a_run_without_a_measurement_has_a_page_and_no_figure(two, tmp_path):
    _, other = two
    empty = tmp_path / "empty"
    shutil.copytree(other, empty)
    (empty / "report.html").unlink()
    (empty / "journal.jsonl").write_text((other / "journal.jsonl").read_text().splitlines(keepends=True)[0])
    assert nat("report", empty).code == 0
    text = (empty / "report.html").read_text()
    contents = json.loads(text.split('id="contents">')[1].split("</script>")[0])
    assert contents["points"] == []
    done = nat("plot", empty, "--out", tmp_path / "f.svg")
    assert (done.code, "no measured architecture yet" in done.err) == (2, True)
    assert nat("compare", empty, other).code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("report", "nowhere"), 3, "nowhere is not there: it holds no run"),
        (("report", "."), 3, ". holds no run"),
        (("report", "RUN", "--out", "nowhere/r.html"), 2, "there is no folder nowhere"),
        (("report", "RUN", "--out", "."), 2, "is a folder"),
        (("compare", "RUN"), 2, "give two or more"),
        (("plot", "RUN", "--out", "f.gif"), 2, "has to end in .svg or .pdf or .png"),
        (("plot", "RUN", "--out", "f.svg", "--x", "mac"), 2, "Did you mean 'macs'"),
        (("plot", "RUN", "--out", "f.svg", "--x", "top1_error"), 2, "both axes would be top1_error"),
        (("plot", "RUN", "--out", "nowhere/f.svg"), 2, "there is no folder nowhere"),
        (("plot", "RUN", "RUN", "--out", "f.svg", "--figure", "predicted"), 2, "one run at a time"),
    ],
)
def test_bad_words(tiny_run, tmp_path, words, code, said):
    folder, _ = tiny_run
    done = nat(*(folder if word == "RUN" else word for word in words), cwd=tmp_path)
    assert (done.code, said in done.err) == (code, True), done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tiny_run, tmp_path):
    folder, _ = tiny_run
    (tmp_path / "shut").mkdir(mode=0o555)
    done = nat("report", folder, "--out", tmp_path / "shut" / "r.html")
    assert (done.code, "Permission denied" in done.err) == (4, True)
