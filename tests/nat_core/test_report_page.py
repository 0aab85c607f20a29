"""A page holds what a run tells, runs no script but ours, and asks the network for nothing: read without a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest
from stories import PAYLOADS, Named, story

from nat_core import config as configs
from nat_core.config import RunConfig
from nat_core.errors import ConfigError
from nat_core.report import page
from nat_core.report.compare import compare_table
from nat_core.report.contents import compare_contents, run_contents
from nat_core.report.drawing import draw, shares
from nat_core.report.story import Story


class Read(HTMLParser):
    """Tags with attributes, and the texts of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.inside, self.last = [], {}, ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.last = dict(attrs).get("id", tag)
        self.tags.append((tag, tuple(attrs)))

    def handle_endtag(self, tag):
        del tag
        self.last = ""

    def handle_data(self, data):
        self.inside[self.last] = self.inside.get(self.last, "") + data


@pytest.fixture(scope="module")
def plain():
    return Read(page.render(run_contents(story())))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_of_a_run_becomes_a_tag_or_a_script(payload, plain):
    contents = run_contents(story(word=payload))
    found = Read(page.render(contents))
    assert found.tags == plain.tags
    assert found.inside["script"] == plain.inside["script"]
    kept = json.loads(found.inside["contents"])
    expected = payload.replace("\udcff", "?")  # what UTF-8 cannot hold
    assert kept["name"] == f"{expected}run"
    assert kept["failures"][0]["reason"].count(expected) == 1
    assert all(p["name"].startswith(expected) for p in kept["points"])


def test_script_and_style_are_allowed_by_their_hashes_and_nothing_else(plain):
    (policy,) = [dict(a)["content"] for tag, a in plain.tags if dict(a).get("http-equiv") == "Content-Security-Policy"]
    for name, kind in (("script", "script-src"), ("style", "style-src")):
        digest = base64.b64encode(hashlib.sha256(plain.inside[name].encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_nothing_is_fetched_and_nothing_listens_in_an_attribute(plain):
    addresses = [v for _, attrs in plain.tags for k, v in attrs if k in {"src", "href", "action", "data", "srcset"}]
    assert addresses == ["data:,"]
    assert not [k for _, attrs in plain.tags for k, _ in attrs if k.startswith("on")]


def test_our_script_builds_the_page_from_texts():
    assets = resources.files("nat_core").joinpath("report", "assets")
    for name in page.SCRIPTS:
        text = assets.joinpath(name).read_text()
        forbidden = r"\.innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|fetch\("
        assert not re.findall(forbidden, text), name
        assert set(re.findall(r"https?://[^'\"\s]+", text)) <= {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_equal_runs_give_equal_bytes():
    assert page.render(run_contents(story())) == page.render(run_contents(story()))


def test_a_page_says_what_iteration_it_tells_of(tmp_path):
    file = tmp_path / "report.html"
    assert page.told(file) == -1
    page.write(file, page.render(run_contents(story(iterations=4))))
    assert page.told(file) == 4
    file.write_bytes(b"\xff\x00 nothing")
    assert page.told(file) == -1


def test_a_thousand_evaluations_are_small():
    from nat_mbv3.space import MobileNetV3Space

    space = MobileNetV3Space(resolutions=tuple(range(192, 257, 4)))
    made = story(1000, 20, ("top1_error", "macs", "params"), space)
    text = page.render(run_contents(made))
    assert len(json.loads(Read(text).inside["contents"])["points"]) == 1000 - 2
    assert len(text.encode()) < 1e6


def test_secrets_stay_in_the_run():
    text = page.render(run_contents(story()))
    assert "s3cr3t" not in text
    assert "example.org/w" in text


def test_the_command_starts_the_same_run():
    given = ["search.iterations=3", "mbv3.widths=[1.0, 1.2]", 'mbv3.weights="1"', "top1_error.learning_rate=0.01"]
    words = {"space": "mbv3", "data": "digits", "constraints": ["macs<=9e6"], "seed": 7, "optimizer": "nsga2"}
    config = configs.resolve("quick", None, words, given)
    command = shlex.split(Story("r", config, {}, Named(), ()).command)
    assert command[:2] == ["nat", "run"]
    options = list(zip(command[2::2], command[3::2], strict=True))
    read = {
        name.removeprefix("--"): value for name, value in options if name not in {"-s", "--objective", "--constraint"}
    }
    many = {f"{kind}s": [v for k, v in options if k == f"--{kind}"] for kind in ("objective", "constraint")}
    settings = [value for name, value in options if name == "-s"]
    preset = read.pop("preset")
    again = configs.resolve(preset, None, {**read, **many, "seed": int(read["seed"])}, settings)
    assert again.flat() == config.flat()
    assert set(settings) == set(given)  # and nothing that the preset says anyway


def test_points_front_knee_and_tests_are_those_of_the_archive():
    made = story()
    contents = run_contents(made)
    front = made.archive.front
    assert {contents["points"][i]["name"] for i in contents["front"]} == {made.text(e.architecture) for e in front}
    errors = [contents["points"][i]["f"][0] for i in contents["front"]]
    assert errors == sorted(errors)
    assert contents["knee"]["point"] in contents["front"]
    assert all("test" in contents["points"][i] for i in contents["front"])
    assert contents["measured"] == 38
    assert contents["failures"] == [
        {
            "reason": "top1_error: ValueError: no number",
            "count": 2,
            "architectures": contents["failures"][0]["architectures"],
        }
    ]
    assert [len(r["rows"]) for r in contents["predictions"]] == [30]
    volumes = [i["hypervolume"] for i in contents["iterations"]]
    assert volumes == pytest.approx([s.hypervolume for s in made.summaries], rel=1e-6)


def test_an_objective_is_of_the_validation_split_where_it_is_a_share_of_pictures():
    """And not where it comes from a table or a formula, is a time, or is a cost."""

    def validated(made):
        return {o["name"]: o["validated"] for o in run_contents(made)["objectives"]}

    made = story(names=("top1_error", "measured", "macs"))
    plugins = made.tables["plugins"] | {"estimators.measured": "nat-core 0.1.0"}
    made = replace(made, tables={**made.tables, "plugins": plugins})
    assert made.costly == ("top1_error", "measured")
    assert validated(made) == {"top1_error": True, "measured": False, "macs": False}
    without = replace(made, config=made.config.model_copy(update={"data": None}))
    assert without.costly == made.costly
    assert not any(validated(without).values())


def test_adaptation_follows_the_networks_that_all_versions_measured():
    (adaptation,) = run_contents(story(fails=3))["adaptation"]
    assert adaptation["versions"] == [0, 1, 2, 3]
    assert adaptation["networks"] == len(adaptation["lines"]) == 7
    for line in adaptation["lines"]:  # 5 % better with each iteration, as the story has it
        assert np.array(line) == pytest.approx(line[0] * np.array([1, 0.95, 0.9, 0.85]), rel=1e-5)
    assert adaptation["median"] == pytest.approx(np.median(adaptation["lines"], axis=0).tolist(), rel=1e-5)


def test_versions_that_not_all_of_the_same_networks_were_measured_with_are_left_out():
    """As where the front alone is measured again until the end."""
    made = story(fails=3)
    again = [r for r in made.of("measured") if r["weights"] == 2]
    made.records.remove(again[0])
    (adaptation,) = run_contents(made)["adaptation"]
    assert adaptation["versions"] == [0, 1, 3]
    assert adaptation["networks"] == 7
    for line in adaptation["lines"]:
        assert np.array(line) == pytest.approx(line[0] * np.array([1, 0.95, 0.85]), rel=1e-5)


def test_the_training_loss_of_every_epoch_and_iteration():
    (training,) = run_contents(story())["training"]
    assert training["objective"] == 0
    assert [row[:2] for row in training["rows"]] == [[i, epoch] for i in range(4) for epoch in (1, 2, 3)]
    assert [row[2] for row in training["rows"][:4]] == [2.0, 1.5, 1.2, 1.0]


def test_an_older_journal_has_no_losses_and_one_that_is_no_number_is_a_gap():
    made = story()
    first, second, *_ = made.of("adapted")
    first.pop("losses")
    second["losses"]["top1_error"][1] = None
    (training,) = run_contents(made)["training"]
    assert [row[2] for row in training["rows"][:3]] == [1.0, None, 0.75]
    for record in made.of("adapted"):
        record.pop("losses", None)
    assert run_contents(made)["training"] == []


def test_nothing_measured_is_a_page_that_says_why():
    config = RunConfig(space="toy", data="photos")
    empty = Story("r", config, {}, Named(), [{"kind": "begun"}])
    contents = run_contents(empty)
    assert contents["points"] == [] == contents["front"]
    assert contents["knee"] is None
    assert "<title>" in page.render(contents)


def test_runs_are_compared_with_one_reference_point():
    a, b = story(seed=1), story(seed=2)
    contents = compare_contents([a, b])
    names = [run["name"] for run in contents["runs"]]
    assert names == ["run (1)", "run (2)"]
    worst = np.maximum(a.archives[0].measured.F.max(axis=0), b.archives[0].measured.F.max(axis=0)) * 1.01
    from nat_core.pareto import hypervolume

    for run, made in zip(contents["runs"], (a, b), strict=True):
        assert run["hypervolume"][-1] == pytest.approx(hypervolume(made.archive.front.F, worst), rel=1e-6)
    assert contents["settings"] == []
    assert compare_table(contents).row_count == 2


def test_runs_with_other_objectives_share_no_hypervolume():
    contents = compare_contents([story(), story(names=("top1_error", "macs", "params"))])
    assert not contents["shared"]
    assert [o["name"] for o in contents["objectives"]] == ["top1_error", "macs"]
    assert compare_table(contents).row_count == 2
    with pytest.raises(
        ConfigError, match=r"two objectives at least.*run has top1_error, macs; run has params, top1_error"
    ):
        compare_contents([story(), story(names=("params", "top1_error"))])


def test_a_network_is_drawn_by_its_lists_its_layers_or_its_variables():
    from nat_mbv3.space import MobileNetV3Space

    space = MobileNetV3Space(resolutions=(192, 256))
    drawing = draw(space, space.parse("00011001100110011001100".replace("00", "00", 1)))
    assert [len(stage) for stage in drawing.stages] == [2, 2, 2, 2, 2]
    assert drawing.stages[0][0].label == "3×3, expansion 3"
    assert dict(drawing.facts) == {"input side": "192 px", "width": "1.0×"}
    (stage,) = draw(Named(), (0, 1, 2, 3, 0, 1, 2, 3)).stages
    assert [b.label for b in stage] == ["conv0", "conv1", "conv2", "conv3"] * 2
    assert [b.height for b in stage[:4]] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_shares_count_every_slot_once():
    space = Named()
    drawings = [draw(space, (i % 4,) * 8) for i in range(8)]
    (table,) = shares(drawings, drawings[:2], ["conv0", "conv1", "conv2", "conv3"])
    assert table.rows == ("conv3", "conv2", "conv1", "conv0")
    assert np.array(table.archive) == pytest.approx(np.full((4, 8), 0.25))
    assert np.array(table.front).sum(axis=0) == pytest.approx(np.ones(8))
    assert np.array(table.front)[3] == pytest.approx(np.full(8, 0.5))


@pytest.mark.parametrize(
    ("name", "words", "unit"),
    [
        ("top1_error", "top-1 error", "%"),
        ("macs", "MACs", ""),
        ("latency_ms", "latency", "ms"),
        ("latency_ms@note10", "latency on note10", "ms"),
        ("memory_bytes", "memory", "bytes"),
        ("top1_error@night", "top-1 error on night", "%"),
    ],
)
def test_objectives_in_words(name, words, unit):
    from nat_core.report import words as said

    assert (said.label(name), said.unit(name)) == (words, unit)
