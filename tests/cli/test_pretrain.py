"""`nat pretrain` as a user has it: to the end, killed and gone on with, and searched from."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import interrupt, nat, start

from nat_core.cli.pretrain import _search, resolve

SMALL = ("-s", "mbv3.resolutions=8", "-s", "mbv3.widths=1.0", "-s", "mbv3.depths=2", "-s", "mbv3.kernels=3")
TINY = (*SMALL, "-s", "mbv3.expands=3", "-s", "sandwich.epochs=3", "-s", "sandwich.batch_size=512")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "out"
    return folder, nat("pretrain", *TINY, "--out", folder, "--json")


def test_the_result_and_what_it_says(whole):
    folder, outcome = whole
    assert outcome.code == 0, outcome.err
    said = outcome.json
    assert said["weights"] == str(folder / "supernet.safetensors")
    assert [epoch["phase"] for epoch in said["epochs"]] == ["sandwich"] * 3
    assert all(0 <= error <= 1 for epoch in said["epochs"] for error in epoch["errors"].values())
    assert "epoch 3/3 (sandwich): loss" in outcome.err


@pytest.mark.slow
def test_killed_it_goes_on_and_gives_the_same_weights(whole, tmp_path):
    folder = tmp_path / "out"
    process = start("pretrain", *TINY, "--out", folder)
    for line in process.stderr:
        if line.startswith("epoch 1/3"):
            break
    process.kill()
    process.communicate(timeout=60)
    assert not (folder / "supernet.safetensors").exists()
    again = nat("pretrain", *TINY, "--out", folder)
    assert again.code == 0, again.err
    assert (folder / "supernet.safetensors").read_bytes() == (whole[0] / "supernet.safetensors").read_bytes()
    assert f"-s mbv3.weights={folder / 'supernet.safetensors'}" in again.out.replace("\n", "")


def test_stopped_by_a_signal_it_says_how_to_go_on(tmp_path):
    process = start("pretrain", *TINY, "-s", "sandwich.epochs=500", "--out", tmp_path / "out")
    for line in process.stderr:
        if line.startswith("epoch 1/500"):
            break
    outcome = interrupt(process)
    assert outcome.code == 130
    assert "the same command goes on" in outcome.err


def test_a_search_begins_from_it(whole):
    weights = whole[0] / "supernet.safetensors"
    outcome = nat("run", *SMALL, "-s", "mbv3.expands=3", "-s", f"mbv3.weights={weights}", "--dry-run")
    assert outcome.code == 0, outcome.err


def test_the_command_that_is_printed_starts_a_search(small_folder, tmp_path):
    """On the same pictures, of a folder whose name has a blank, and from the weights in another one."""
    small_folder.rename(tmp_path / "my photos")
    options = ("-s", "folder.image_size=16", "-s", "folder.split_seed=3")
    words = ("pretrain", "--data", "./my photos", *options, *TINY, "-s", "sandwich.epochs=1", "--out", "my out")
    outcome = nat(*words, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("Search with it: ")]
    name, *search = shlex.split(line.removeprefix("Search with it: "))
    assert name == "nat"
    assert {*options, *SMALL, "mbv3.weights=my out/supernet.safetensors"} <= set(search)
    again = nat(*search, "--dry-run", cwd=tmp_path)
    assert again.code == 0, again.err
    assert "mbv3 on my photos" in again.out


@pytest.mark.parametrize(("out", "weights"), [("my out", "my out/w"), ("a,b", '"a,b/w"')])
def test_what_the_data_need_and_the_space_was_given_is_said_again(out, weights):
    given = ("pets.root=/my data", "mbv3.widths=1.0,1.2", "mbv3.weights=ofa", "sandwich.epochs=2", "pets.cache=disk")
    training = SimpleNamespace(config=resolve("mbv3", "pets", "sandwich", 0, given), result=Path(out, "w"))
    kept = ("pets.root=/my data", "mbv3.widths=1.0,1.2", "pets.cache=disk", f"mbv3.weights={weights}")
    expected = ["nat", "run", "--space", "mbv3", "--data", "pets"]
    assert list(_search(training, "pets", given)) == expected + [word for text in kept for word in ("-s", text)]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--method", "sandwitch"), "unknown pretrainer 'sandwitch'. Did you mean 'sandwich'?"),
        (("--space", "nas-bench-macro"), "nas-bench-macro"),
        (("-s", "sandwich.epoch=3"), "unknown option of sandwich 'epoch'. Did you mean 'epochs'"),
        (("-s", "top1_error.epochs=3"), "options are set for 'top1_error'"),
        (("-s", "search.iterations=3"), "write part.option=value, such as sandwich.epochs=9"),
    ],
)
def test_wrong_words(tmp_path, words, text):
    outcome = nat("pretrain", *words, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert text in outcome.err
    assert not (tmp_path / "out").exists()
