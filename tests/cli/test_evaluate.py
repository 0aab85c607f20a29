"""`nat evaluate`: a published network on the digits."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner
from command_line import nat
from net_files import SMALL, config_of, published_names
from torch.nn.functional import interpolate

from nat_core import plugins
from nat_core.cli import cli
from nat_core.errors import ConfigError
from nat_mbv3.network import MobileNetV3, initialise
from nat_mbv3.static import static_network


@pytest.fixture(scope="module")
def digits():
    return plugins.find("datasets", "digits")()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A random network of ten classes: config and weights."""
    folder = tmp_path_factory.mktemp("net")
    network = MobileNetV3(SMALL, 10)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        initialise(network)
        torch.nn.init.normal_(network.classifier.weight)
    (folder / "net.config").write_text(json.dumps(config_of(SMALL, 10)))
    torch.save({"state_dict": published_names(network.state_dict())}, folder / "net.weights")
    return folder / "net.config", folder / "net.weights"


def arguments(files, *words):
    return [str(word) for word in ("evaluate", "--net", files[0], "--weights", files[1], *words)]


def evaluate(files, *words):
    return nat(*arguments(files, *words))


def errors_of_a_loop(files, digits, side):
    """Shares of test images whose class is not the most likely one, and not among five."""
    _, network = static_network(*files)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (digits.mean, digits.std))
    images = torch.from_numpy(digits.test.images.copy())
    if side < digits.image_size:  # smaller pictures are whole numbers
        images = interpolate(images, (side, side), mode="bilinear", antialias=True)
        assert images.dtype == torch.uint8
    images = (images / 255 - mean) / std
    if side > digits.image_size:
        images = interpolate(images, (side, side), mode="bilinear")
    labels = torch.from_numpy(digits.test.labels.copy())[:, None]
    with torch.inference_mode():
        ranked = network(images).argsort(1, descending=True)
    return [float((ranked[:, :n] != labels).all(1).double().mean()) for n in (1, 5)]


def test_the_document(files, digits):
    """The errors are those of a plain loop over the test images."""
    result = evaluate(files, "--data", "digits", "--engine", "plain", "--device", "cpu", "--json").json
    _, network = static_network(*files)
    wrong, far_off = errors_of_a_loop(files, digits, 32)
    assert 0 < far_off < wrong < 1
    assert result.pop("seconds") > 0
    assert result == {
        "network": {"ks": [3, 5] * 5, "e": [3, 4] * 5, "d": [2] * 5, "r": 32, "w": 1.0},
        "data": "digits",
        "split": "test",
        "top1_error": pytest.approx(wrong),
        "top5_error": pytest.approx(far_off),
        "images": len(digits.test),
        "side": 32,
        "params": sum(p.numel() for p in network.parameters()),
    }


@pytest.mark.parametrize("engine", ["plain", "torch"])
def test_pictures_shrink_as_those_of_the_estimator(files, digits, engine):
    result = evaluate(files, "--side", "6", "--engine", engine, "--json").json
    assert [result["top1_error"], result["top5_error"]] == pytest.approx(errors_of_a_loop(files, digits, 6))


def test_a_network_that_says_three(files, digits, tmp_path):
    """Its error is the share of other digits, whatever the side, the normalisation and the batch."""
    state = torch.load(files[1], weights_only=True)["state_dict"]
    state["classifier.linear.weight"] = torch.zeros(10, 1280)
    state["classifier.linear.bias"] = torch.eye(10)[3]
    torch.save(state, tmp_path / "three")
    words = ("--split", "val", "--side", "16", "--mean", "0.5,0.5,0.5", "--std", "1,1,1", "--batch", "7")
    outcome = evaluate((files[0], tmp_path / "three"), *words)
    share = float((digits.val.labels != 3).mean())
    assert outcome.out.startswith(f"top-1 error {share:.2%}, top-5 error ")
    assert f"% of {len(digits.val):,} images (val of digits), at 16 pixels" in outcome.out


def test_what_cannot_be_measured(files, tmp_path):
    (tmp_path / "seven").write_text(json.dumps(config_of(SMALL, 7)))
    state = torch.load(files[1], weights_only=True)["state_dict"]
    huge = {n: t * 1e30 if n.endswith("conv.weight") else t for n, t in state.items()}
    torch.save(huge, tmp_path / "huge")
    torch.save({n: t[:7] if n.startswith("classifier") else t for n, t in state.items()}, tmp_path / "seven.weights")
    wrong = {
        "tells 7 classes apart, and digits has 10": ((tmp_path / "seven", tmp_path / "seven.weights"), ()),
        "does not fit the network of": ((tmp_path / "seven", files[1]), ()),
        "outputs are not finite": ((files[0], tmp_path / "huge"), ()),
        "the space lite reads no networks that stand alone": (files, ("--space", "lite")),
        "options are set for 'foldr'": (files, ("-s", "foldr.image_size=3")),
        "errors.engine: unknown engine 'torhc'. Did you mean 'torch'": (files, ("--engine", "torhc")),
        "errors.device is 'gpu', which cannot be used here": (files, ("--device", "gpu")),
        "unknown evaluator 'error'. Did you mean 'errors'": (files, ("--evaluator", "error")),
    }
    for message, (pair, words) in wrong.items():
        with pytest.raises(ConfigError) as refusal:  # in this process: torch takes seconds to import
            CliRunner().invoke(cli, arguments(pair, *words), catch_exceptions=False)
        assert message in str(refusal.value)
    outcome = evaluate(files, "--mean", "0.5")
    assert outcome.code == ConfigError.exit_code
    assert "write three numbers" in outcome.err


def test_a_config_needs_its_weights(files):
    with pytest.raises(ConfigError, match=r"needs the --weights that belong to it"):
        CliRunner().invoke(cli, ["evaluate", "--net", str(files[0])], catch_exceptions=False)
