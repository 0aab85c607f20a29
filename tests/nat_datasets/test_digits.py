from __future__ import annotations

import inspect
import subprocess
import sys
import typing

import numpy as np
import pytest
from sklearn.datasets import load_digits

import nat_datasets
from nat_core.contracts import Augmentation, Dataset
from nat_core.errors import ConfigError


@pytest.fixture(scope="module")
def digits():
    return nat_datasets.digits()


def test_is_a_data_set(digits):
    assert isinstance(digits, Dataset)
    assert digits.classes == tuple("0123456789")
    assert digits.image_size == 8
    assert digits.augmentation == Augmentation(min_scale=0.65, flip=False)
    assert digits.skipped == {}


def test_every_digit_is_in_one_split(digits):
    splits = (digits.train, digits.val, digits.test)
    assert [len(split) for split in splits] == [1079, 359, 359]
    bunch = load_digits()
    wanted = np.sort((bunch.images.reshape(-1, 64) * 255 / 16).round() @ np.arange(64) + 1e7 * bunch.target)
    got = [s.images[:, 0].reshape(-1, 64).astype(float) @ np.arange(64) + 1e7 * s.labels for s in splits]
    assert np.array_equal(np.sort(np.concatenate(got)), wanted)


def test_pixels_are_grey_bytes_over_the_full_range(digits):
    images = digits.train.images
    assert images.shape == (1079, 3, 8, 8)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
    assert np.array_equal(images[:, 0], images[:, 1])
    assert np.array_equal(images[:, 0], images[:, 2])


def test_stratified(digits):
    for split, share in ((digits.train, 0.6), (digits.val, 0.2), (digits.test, 0.2)):
        counts = np.bincount(split.labels, minlength=10)
        assert np.all(np.abs(counts - share * np.bincount(load_digits().target)) <= 1)


def test_statistics_are_those_of_the_training_pixels(digits):
    pixels = digits.train.images / 255
    assert digits.mean == pytest.approx(pixels.mean(axis=(0, 2, 3)))
    assert digits.std == pytest.approx(pixels.std(axis=(0, 2, 3)))


def test_the_split_follows_its_seed(digits):
    again, other = nat_datasets.digits(), nat_datasets.digits(split_seed=1)
    assert np.array_equal(again.val.images, digits.val.images)
    assert again.fingerprint == digits.fingerprint
    assert len(digits.fingerprint) == 64
    assert not np.array_equal(other.val.images, digits.val.images)
    assert other.fingerprint != digits.fingerprint


@pytest.mark.parametrize("options", [{"min_scale": 0.0}, {"min_scale": 1.5}, {"split_seed": -1}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        nat_datasets.digits(**options)


def test_the_hook_gives_factories_before_and_after_use(digits):
    assert digits
    offered = nat_datasets.register_datasets()
    assert offered == {name: getattr(nat_datasets, name) for name in offered}
    assert all(inspect.isfunction(factory) for factory in nat_datasets.register_datasets().values())


@pytest.mark.parametrize("name", nat_datasets.register_datasets())
def test_every_option_is_typed_and_described(name):
    factory = nat_datasets.register_datasets()[name]
    hints = typing.get_type_hints(factory, include_extras=True)
    for option in inspect.signature(factory).parameters:
        kind, description = typing.get_args(hints[option])
        assert kind in {str, int, float, bool, str | None} or typing.get_origin(kind) is typing.Literal
        assert "\n" not in description


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, nat_datasets; print({'numpy', 'PIL', 'sklearn', 'torch'} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"
