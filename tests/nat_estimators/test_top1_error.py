"""The estimator as a search uses it: measurements, state, splits and hostile settings."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from nat_core import contracts, plugins
from nat_core.contracts import Split
from nat_core.encoding import as_architectures, as_encodings
from nat_core.errors import ConfigError

ALL = as_encodings([(r, d, h) for r in (0, 1) for d in (0, 1, 2) for h in ((0, 1) if d else (0,))], 3)


def silent(_what, _done, _total):
    pass


def values(measurements):
    return [m.value for m in measurements]


def state_of(estimator):
    return {name: tensor.clone() for name, tensor in estimator.supernet.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_meets_its_contracts(estimator):
    made = estimator()
    assert isinstance(made, contracts.AdaptiveEstimator)
    assert isinstance(made, contracts.TestingEstimator)
    assert list(inspect.signature(made.adapt).parameters) == ["X", "iteration", "iterations", "progress"]


def by_hand(made, data, architecture, part):
    """Picture by picture, on a network recalibrated by the estimator."""
    network = made.network(architecture)
    side = made.space.input_shape(architecture)[1]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (data.mean, data.std))
    wrong = 0
    for image, label in zip(part.images, part.labels, strict=True):
        picture = (torch.from_numpy(image).float() / 255 - mean) / std
        picture = torch.nn.functional.interpolate(picture[None], size=(side, side), mode="bilinear", antialias=True)
        wrong += int(network(picture)[0].argmax()) != label
    return wrong / len(part.labels)


def test_measures_what_a_loop_measures(estimator, data):
    made = estimator()
    made.adapt(ALL, 0, 4, silent)
    assert values(made(ALL)) == [by_hand(made, data, a, data.val) for a in as_architectures(ALL)]
    assert values(made.test(ALL)) == [by_hand(made, data, a, data.test) for a in as_architectures(ALL)]
    assert len({*values(made(ALL))}) > 1


def test_order_and_company_of_rows_do_not_matter(estimator):
    made = estimator()
    before = state_of(made)
    together = values(made(ALL))
    assert values(made(ALL[::-1])) == together[::-1]
    assert [made(ALL[i : i + 1])[0].value for i in range(len(ALL))] == together
    assert values(made(np.vstack([ALL, ALL]))) == together * 2
    assert made(ALL[:0]) == []
    assert same(before, state_of(made))
    assert values(estimator()(ALL)) == together


def test_learns(estimator):
    made = estimator(warmup_epochs=30)
    before = values(made(ALL))
    made.adapt(ALL, 0, 0, silent)
    after = values(made(ALL))
    assert np.mean(before) > 0.4
    assert np.mean(after) < 0.1


def test_saved_and_loaded_bit_for_bit(estimator, tmp_path):
    made, other = estimator(), estimator()
    made.adapt(ALL, 0, 2, silent)
    made.save(tmp_path / "state")
    expected = state_of(made)
    assert not same(expected, state_of(other))
    other.load(tmp_path / "state")
    assert same(expected, state_of(other))
    assert values(other(ALL)) == values(made(ALL))
    other.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "state").read_bytes()
    for e in (made, other):
        e.adapt(ALL[:4], 1, 2, silent)
    assert same(state_of(made), state_of(other))
    made.load(tmp_path / "state")
    assert same(expected, state_of(made))


class Watched:
    """Data whose splits count how often they are asked for."""

    def __init__(self, data, forbidden=()):
        self._data = data
        self._forbidden = forbidden
        self.asked = {"train": 0, "val": 0, "test": 0}

    def __getattr__(self, name):
        return getattr(self._data, name)

    def _split(self, name):
        assert name not in self._forbidden, f"looked at {name}"
        self.asked[name] += 1
        return getattr(self._data, name)

    @property
    def train(self):
        return self._split("train")

    @property
    def val(self):
        return self._split("val")

    @property
    def test(self):
        return self._split("test")


def test_the_test_split_is_looked_at_by_test_alone(estimator, data, tmp_path):
    made = estimator(data=Watched(data, forbidden=("test",)))
    made.rehearse(2)
    made.adapt(ALL, 0, 2, silent)
    made(ALL)
    made.save(tmp_path / "state")
    made.load(tmp_path / "state")
    with pytest.raises(AssertionError, match="looked at test"):
        made.test(ALL)
    watched = Watched(data)
    made = estimator(data=watched)
    assert watched.asked["test"] == 0
    made.test(ALL)
    made.test(ALL)
    assert watched.asked["test"] == 1


def test_what_each_split_decides(estimator, data):
    """Other validation or test pictures change neither training nor recalibration; other training pictures do."""
    made = estimator()
    noise = np.random.default_rng(0).integers(0, 255, data.val.images.shape, dtype=np.uint8)
    odd = estimator(data=replace(data, val=Split(noise, data.val.labels), test=data.val))
    for e in (made, odd):
        e.adapt(ALL, 0, 0, silent)
    assert same(state_of(made), state_of(odd))
    assert values(odd.test(ALL)) == values(made(ALL))
    for architecture in as_architectures(ALL[:3]):
        networks = [e.network(architecture).state_dict() for e in (made, odd)]
        assert same(*networks)
    dark = estimator(data=replace(data, train=Split(data.train.images // 2, data.train.labels)))
    assert not same(dark.network((0, 1, 0)).state_dict(), estimator().network((0, 1, 0)).state_dict())


def test_recalibration_uses_as_many_training_images_as_wished(estimator, data):
    """In batches of one size, each image once, the same for every architecture."""
    for wanted, batch, expected in ((64, 16, [16] * 4), (100, 48, [48] * 2), (1000, 50, [50] * 2), (10, 64, [64])):
        made = estimator(recalibration_images=wanted, evaluation_batch=batch)
        batches = list(made._training_images(8))
        assert [len(b) for b in batches] == expected
        pictures = {image.numpy().tobytes() for b in batches for image in b.contiguous()}
        assert len(pictures) == sum(expected)
        known = {image.numpy().tobytes() for image in made.train.plain(torch.arange(len(data.train)), 8)}
        assert pictures <= known
        assert all(torch.equal(a, b) for a, b in zip(batches, made._training_images(8), strict=True))


def test_a_rehearsal_leaves_no_trace(estimator):
    made, undisturbed = estimator(), estimator()
    before = state_of(made)
    rehearsal = made.rehearse(3)
    assert same(before, state_of(made))
    assert not made.supernet.training
    assert len(rehearsal.adapt) == 4
    assert all(s > 0 for s in (*rehearsal.adapt, rehearsal.measure))
    assert rehearsal.adapt[0] == pytest.approx(2 * rehearsal.adapt[1])
    for e in (made, undisturbed):
        e.adapt(ALL, 0, 3, silent)
    assert same(state_of(made), state_of(undisturbed))
    assert estimator(warmup_epochs=0, epochs=0).rehearse(1).adapt == (0.0, 0.0)


def test_fewer_images_than_a_batch(estimator, data):
    few = replace(data, train=Split(data.train.images[:7], data.train.labels[:7]))
    made = estimator(data=few, batch_size=500, evaluation_batch=500)
    before = state_of(made)
    made.rehearse(1)
    made.adapt(ALL, 0, 1, silent)
    assert not same(before, state_of(made))
    assert all(0 <= v <= 1 for v in values(made(ALL)))


def test_outputs_that_are_no_numbers_are_no_measurement(estimator):
    """A diverged supernet has an error of NaN and a reason, not the error of some class."""
    made = estimator()
    with torch.no_grad():
        made.supernet.heads[1].weight.fill_(torch.nan)
    broken, sound = made(as_encodings([(0, 1, 1), (0, 1, 0)], 3))
    assert math.isnan(broken.value)
    assert "not finite" in broken.reason
    assert 0 <= sound.value <= 1
    assert sound.reason == ""


def test_no_test_images(estimator, data):
    empty = replace(data, test=Split(data.test.images[:0], data.test.labels[:0]))
    (measurement,) = estimator(data=empty).test(ALL[:1])
    assert math.isnan(measurement.value)
    assert "no images" in measurement.reason


@pytest.mark.parametrize(("train", "val"), [(0, 50), (1, 50), (120, 0)])
def test_too_few_images(estimator, data, train, val):
    scarce = replace(
        data,
        train=Split(data.train.images[:train], data.train.labels[:train]),
        val=Split(data.val.images[:val], data.val.labels[:val]),
    )
    with pytest.raises(ConfigError, match=f"two training images and a validation image.*have {train} and {val}"):
        estimator(data=scarce)


@pytest.mark.parametrize("name", ["recalibration_images", "evaluation_batch", "batch_size"])
@pytest.mark.parametrize("value", [-1, 0, 1])
def test_batches_too_small_for_statistics(estimator, name, value):
    with pytest.raises(ConfigError, match=rf"top1_error\.{name} is {value}: it has to be at least 2"):
        estimator(**{name: value})


@pytest.mark.parametrize("device", ["cuda", "cuda:3", "banana", "meta", ""])
def test_devices_that_are_not_here(estimator, device):
    if device.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ConfigError) as refusal:
        estimator(device=device)
    said = str(refusal.value)
    assert re.match(rf"top1_error\.device is '{device}', which cannot be used here \(\w", said)
    assert re.search(r"\): accepted are auto, cpu(, \w+(:\d)?)*$", said)
    assert said.count("\n") == 0
    if device == "banana":
        assert "(PyTorch knows no such device)" in said


def test_the_device_is_chosen(estimator):
    assert estimator(device="auto").device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert estimator(device="cpu").device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu(estimator, tmp_path):
    space = plugins.find("search_spaces", "mbv3")(resolutions=[16, 20], widths=[1.0], depths=[2], expands=[3])
    X = space.sample(3, np.random.default_rng(0))
    made, again = (estimator(space=space, device="cuda", distillation=0.5) for _ in range(2))
    for e in (made, again):
        e.adapt(X, 0, 1, silent)
    assert values(made(X)) == values(again(X))
    made.save(tmp_path / "state")
    again.load(tmp_path / "state")
    assert same(state_of(made), state_of(again))


class Plain:
    """A space without a supernet."""

    variables = ()

    def canonicalize(self, X):
        return X


class Wrong:
    """A space whose supernet is no torch module."""

    def __init__(self, space):
        self._space = space
        self.variables = space.variables

    def __getattr__(self, name):
        return getattr(self._space, name)

    def supernet(self, n_classes, weights=None):
        return f"{n_classes} {weights}"


def test_spaces_without_a_supernet(estimator, space):
    with pytest.raises(ConfigError, match="top1_error needs a space with a supernet, and Plain has none"):
        estimator(space=Plain())
    with pytest.raises(ConfigError, match="have to be torch modules, and one is a str"):
        estimator(space=Wrong(space))


def test_the_real_space(estimator, tmp_path):
    """mbv3 of two widths at tiny sides: adapted with a teacher, measured, saved, loaded."""
    space = plugins.find("search_spaces", "mbv3")(resolutions=[16, 20], kernels=[3, 5], expands=[3], depths=[2])
    made, again = (estimator(space=space, warmup_epochs=1, batch_size=40, distillation=0.5) for _ in range(2))
    X = space.sample(4, np.random.default_rng(0))
    X[:2, 1], X[2:, 1] = 0, 1
    for e in (made, again):
        e.adapt(X, 0, 1, silent)
    assert same(state_of(made), state_of(again))
    assert values(made(X)) == values(again(X))[:4]
    made.save(tmp_path / "state")
    restored = space.supernet(4, weights=tmp_path / "state")  # what a run learnt is a checkpoint of the space
    assert same(restored.state_dict(), state_of(made))
