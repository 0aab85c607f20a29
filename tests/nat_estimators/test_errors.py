"""The evaluator `errors`: what it counts, whatever runs the network, and that it leaves the network alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nat_core import plugins
from nat_core.contracts import Split, StaticNetwork
from nat_core.errors import ConfigError
from nat_core.testing import EvaluatorContract
from nat_estimators.batches import batches


class Ranked(nn.Module):
    """Says the same of every picture: class 0 first, then 1, and so on."""

    def __init__(self, n_classes):
        super().__init__()
        self.scores = nn.Parameter(-torch.arange(float(n_classes)))

    def forward(self, images):
        return self.scores.expand(len(images), -1) + 0 * images.mean((1, 2, 3))[:, None]


def pictures(labels, side=8):
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 3, side, side)).astype(np.uint8)
    return Split(images, np.array(labels))


def many(data, n_classes):
    return replace(data, classes=tuple(map(str, range(n_classes))))


@pytest.fixture
def errors(data):
    def errors(data=data, **options):
        return plugins.find("evaluators", "errors")(data, **{"device": "cpu", "engine": "plain"} | options)

    return errors


def test_top_one_and_top_five(errors, data):
    split = pictures([0, 0, 1, 4, 5, 6])
    found = errors(many(data, 7))(StaticNetwork(Ranked(7), {}, 8, 7), split)
    assert found == {"top1_error": pytest.approx(4 / 6), "top5_error": pytest.approx(2 / 6)}
    assert next(iter(found)) == "top1_error"


def test_five_classes_have_no_top_five(errors, data):
    found = errors(many(data, 5))(StaticNetwork(Ranked(5), {}, 8, 5), pictures([0, 1]))
    assert found == {"top1_error": 0.5}


def small(space):
    return StaticNetwork(space.supernet(4).subnet((0, 2, 1)).eval(), {}, 8, 4)


@pytest.mark.parametrize("engine", ["plain", "torch", "openvino", "onnxruntime"])
@pytest.mark.parametrize("side", [5, 8, 12])
def test_pictures_are_prepared_as_the_estimator_prepares_them(errors, space, data, engine, side):
    if engine in {"openvino", "onnxruntime"}:
        pytest.importorskip(engine)
    network = replace(small(space), side=side)
    images = batches(data.val, data, torch.device("cpu")).plain(torch.arange(len(data.val)), side)
    with torch.inference_mode():
        wrong = network.network(images).argmax(1) != torch.from_numpy(data.val.labels)
    found = errors(engine=engine, batch_size=7)(network, data.val)
    assert found["top1_error"] == pytest.approx(float(wrong.double().mean()))


def test_the_colours_of_its_training(errors):
    """Half of the pictures are brighter than 128: normalised by 0.5 and 1 they are above 0."""

    class Bright(nn.Module):
        def forward(self, images):
            level = images.mean((1, 2, 3))
            return torch.stack([-level, level, level - 9, level - 9], dim=1)

    images = np.repeat(np.array([100, 150, 100, 150], dtype=np.uint8), 3 * 64).reshape(4, 3, 8, 8)
    network, split = StaticNetwork(Bright(), {}, 8, 4), Split(images, np.array([0, 1, 0, 1]))
    assert errors(mean=(0.5,) * 3, std=(1.0,) * 3)(network, split) == {"top1_error": 0.0}
    assert errors(mean=(0.0,) * 3, std=(1.0,) * 3)(network, split) == {"top1_error": 0.5}


def test_numbers_of_numpy_as_mean_and_deviation(errors, space, data):
    mean, std = (tuple(map(np.float64, values)) for values in (data.mean, data.std))
    expected = errors()(small(space), data.val)
    assert errors(replace(data, mean=mean, std=std))(small(space), data.val) == expected
    assert errors(mean=mean, std=std)(small(space), data.val) == expected


def test_what_cannot_be_measured(errors, data):
    with pytest.raises(ConfigError, match="tells 7 classes apart, and the data have 4"):
        errors()(StaticNetwork(Ranked(7), {}, 8, 7), data.val)
    broken = Ranked(4)
    nn.init.constant_(broken.scores, float("nan"))
    with pytest.raises(ConfigError, match="outputs are not finite"):
        errors()(StaticNetwork(broken, {}, 8, 4), data.val)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, r"errors\.batch_size is 0"),
        ({"threads": -1}, r"errors\.threads is -1"),
        ({"device": "gpu"}, r"errors\.device is 'gpu'"),
        ({"engine": "torhc"}, r"errors\.engine: unknown engine 'torhc'"),
        ({"precision": "fp16"}, r"errors\.precision is 'fp16'"),
    ],
)
def test_wrong_options(errors, options, text):
    with pytest.raises(ConfigError, match=text):
        errors(**options)


class TestErrors(EvaluatorContract):
    @pytest.fixture(params=["plain", "torch"])
    def evaluator(self, errors, request):
        return errors(engine=request.param)

    @pytest.fixture
    def network(self, space):
        return small(space)

    @pytest.fixture
    def split(self, data):
        return data.val
