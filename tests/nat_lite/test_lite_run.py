"""A whole run on the space `lite`, as small as it gets, through the command line."""

from __future__ import annotations

import re
import tomllib

import numpy as np
from command_line import SMALL_SEARCH, nat

from nat_core.pretraining import PretrainConfig, build

TINY = (
    *("--space", "lite", "-s", "lite.resolutions=16,24", "-s", "lite.kernels=3", "-s", "lite.expands=3,4"),
    *("-s", "lite.left_out=1,2", "-s", "search.iterations=1", "-s", "search.initial=4", "-s", "search.batch=2"),
    *("-s", "search.pool=6", "-s", "top1_error.warmup_epochs=1", "-s", "top1_error.epochs=1"),
    *("-s", "top1_error.batch_size=256", "-s", "top1_error.recalibration_images=128", *SMALL_SEARCH),
)


def test_a_run_on_digits(tmp_path):
    outcome = nat("run", "--data", "digits", "--out", tmp_path / "run", "--json", "-s", "lite.weights=none", *TINY)
    assert outcome.code == 0, outcome.err
    assert "digits" in outcome.err
    assert outcome.json["evaluations"] == 6
    front = {point["architecture"]: point["objectives"] for point in outcome.json["front"]}
    options = ("-s", "lite.classes=10", "-s", "lite.resolutions=16,24")
    costs = nat("cost", "--space", "lite", "--cost", "macs", *options, *front, "--json").json["rows"]
    assert {row["architecture"]: row["macs"] for row in costs} == {a: front[a]["macs"] for a in front}
    assert all(0 <= values["top1_error"] <= 1 for values in front.values())
    context = tomllib.loads((tmp_path / "run" / "run.toml").read_text())["context"]
    assert len(context["mean"]) == len(context["std"]) == 3


def test_the_weights_that_are_asked_for_have_to_be_there(tmp_path):
    outcome = nat("run", "--data", "digits", "-s", "lite.weights=nothing.pth", *TINY, cwd=tmp_path)
    assert outcome.code == 2
    assert "'nothing.pth': accepted are imagenet, none, and a file" in outcome.err
    assert not list(tmp_path.iterdir())


def test_a_run_whose_weights_are_overwritten_does_not_go_on(tmp_path):
    """It is asked before anything is measured, so costs alone will do."""
    weights, folder = tmp_path / "supernet.safetensors", tmp_path / "run"
    weights.write_bytes(b"some weights")
    words = ("--space", "lite", "--objective", "macs", "--objective", "params", "-s", f"lite.weights={weights}")
    words += ("--surrogate", "none", "--optimizer", "random", "-s", "search.iterations=0", "-s", "search.initial=3")
    begun = nat("run", *words, "--out", folder)
    assert begun.code == 0, begun.err
    assert nat("resume", folder).code == 0
    journal = (folder / "journal.jsonl").read_bytes()
    weights.write_bytes(b"other weights")
    refused = nat("resume", folder)
    assert refused.code == 3
    assert re.search(r"its data changed since it began \(space was [0-9a-f]{12}…, is [0-9a-f]{12}…\)", refused.err)
    assert (folder / "journal.jsonl").read_bytes() == journal


def test_a_pretrained_supernet_sees_pictures_as_a_run_shows_them(tmp_path):
    """The space has to know the data's mean and deviation: its published weights were trained with others."""
    options = {"lite": {"weights": "none", "resolutions": [8]}}
    training = build(PretrainConfig("lite", "digits", "sandwich", options=options), tmp_path / "out")
    wanted = [list(training.data.mean), list(training.data.std)]
    assert np.allclose(training.space.normalisation, wanted)
