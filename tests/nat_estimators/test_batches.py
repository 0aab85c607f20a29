"""Pictures to tensors: resizing as torchvision does, crops that stay inside, and no randomness of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.transforms import v2

from nat_core.contracts import Augmentation, Split
from nat_estimators.batches import _grid, _home, batches, random_crops

CPU = torch.device("cpu")
WHOLE = Augmentation(min_scale=1.0, flip=False)


@pytest.fixture
def train(data):
    return batches(data.train, data, CPU)


def all_rows(part):
    return torch.arange(len(part))


def augmented(train, *arguments):
    return train.normalised(train.cropped(*arguments))


def normalised(data, images):
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (data.mean, data.std))
    return (images - mean) / std


@pytest.mark.parametrize("side", [5, 8, 11, 12, 32])
def test_plain_is_torchvisions_resize(data, train, side):
    """Of bytes where the picture shrinks, which rounds to one of 255 levels, and of floats where it grows."""
    pictures = torch.from_numpy(data.train.images)
    exact = v2.functional.resize(pictures.float() / 255, [side, side], antialias=True)
    rounded = v2.functional.resize(pictures, [side, side], antialias=True).float() / 255
    rows = torch.tensor([5, 0, 5, 99])
    plain = train.plain(rows, side)
    assert plain.shape == (4, 3, side, side)
    expected = rounded if side < data.image_size else exact
    torch.testing.assert_close(plain, normalised(data, expected)[rows], rtol=0, atol=1e-5)
    assert (rounded - exact).abs().max() < 2 / 255  # rounded along the rows, and again along the columns


def test_a_single_pixel(data, train):
    pictures = torch.from_numpy(data.train.images).float()
    rounded = v2.functional.resize(pictures, [1, 1], antialias=True).round() / 255
    torch.testing.assert_close(train.plain(all_rows(train), 1), normalised(data, rounded), rtol=0, atol=1e-5)


def test_antialiasing_averages(data):
    """A chequerboard shrunk to a quarter is grey, not one of its colours."""
    board = np.indices((8, 8)).sum(0) % 2 * 255
    part = Split(np.tile(board.astype(np.uint8), (1, 3, 1, 1)), np.zeros(1, np.int64))
    plain = batches(part, replace(data, mean=(0, 0, 0), std=(1, 1, 1)), CPU).plain(torch.tensor([0]), 2)
    assert (plain - 0.5).abs().max() < 0.1


@pytest.mark.parametrize("side", [8, 12, 20])
def test_the_whole_picture_as_a_crop_is_plain(train, side):
    """Bilinear both, so they agree where the picture grows or stays."""
    images = augmented(train, all_rows(train), side, WHOLE, np.random.default_rng(0))
    torch.testing.assert_close(images, train.plain(all_rows(train), side), rtol=0, atol=1e-4)


def test_augmentation_depends_on_the_generator_alone(train):
    how = Augmentation()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the state that has to stay untouched
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (augmented(train, all_rows(train), 10, how, np.random.default_rng(s)) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_every_picture_gets_a_crop_of_its_own(data):
    part = Split(np.repeat(data.train.images[:1], 10, axis=0), data.train.labels[:10])
    images = augmented(batches(part, data, CPU), torch.arange(10), 8, Augmentation(), np.random.default_rng(0))
    assert len({image.numpy().tobytes() for image in images}) == 10


@pytest.mark.parametrize("min_scale", [0.08, 0.25, 0.7, 0.95, 1.0])
def test_crops(min_scale):
    maps = random_crops(4000, Augmentation(min_scale, flip=False), np.random.default_rng(0)).astype(np.float64)
    width, height, x, y = maps[:, 0, 0], maps[:, 1, 1], maps[:, 0, 2], maps[:, 1, 2]
    assert (maps[:, [0, 1], [1, 0]] == 0).all()
    assert (np.abs(x) + width <= 1 + 1e-6).all()
    assert (np.abs(y) + height <= 1 + 1e-6).all()
    area = width * height
    assert area.min() >= min_scale - 1e-6
    assert area.max() <= 1 + 1e-6
    assert (width > 0).all()
    ratio = width / height
    assert ratio.min() >= 3 / 4 - 1e-6
    assert ratio.max() <= 4 / 3 + 1e-6
    if min_scale < 0.9:  # uniform area; both kinds of ratio; offsets spread over all that is free
        assert abs(area.mean() - (1 + min_scale) / 2) < 0.01
        assert 0.45 < (ratio > 1).mean() < 0.55
        free = x[width < 0.9] / (1 - width[width < 0.9])
        assert abs(free.mean()) < 0.05
        assert abs(free.std() - 1 / 3**0.5) < 0.02


def test_crops_see_nothing_from_outside(data):
    """A picture framed in white, cropped to its inner half at most, shows a frame only where the crop has one."""
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    part = Split(np.stack([ramp, ramp.T, ramp])[None].repeat(200, axis=0), np.zeros(200, np.int64))
    train = batches(part, replace(data, mean=(0, 0, 0), std=(1, 1, 1)), CPU)
    maps = random_crops(200, Augmentation(flip=False), np.random.default_rng(5))
    images = augmented(train, torch.arange(200), 32, Augmentation(flip=False), np.random.default_rng(5)) * 255 / 4
    centres = (np.arange(32) * 2 + 1) / 32 - 1
    for image, crop in zip(images.numpy(), maps, strict=True):
        across = ((crop[0, 0] * centres + crop[0, 2] + 1) * 64 - 1) / 2
        down = ((crop[1, 1] * centres + crop[1, 2] + 1) * 64 - 1) / 2
        np.testing.assert_allclose(image[0][16], across.clip(0, 63), atol=1e-2)
        np.testing.assert_allclose(image[1][:, 16], down.clip(0, 63), atol=1e-2)


def test_mirrored_only_where_that_is_allowed():
    for flip, share in ((True, 0.5), (False, 0.0)):
        maps = random_crops(2000, Augmentation(flip=flip), np.random.default_rng(1))
        assert abs((maps[:, 0, 0] < 0).mean() - share) < 0.05 * flip + 1e-9
        assert (maps[:, 1, 1] > 0).all()


def test_a_flip_mirrors_the_picture(train):
    """Whole pictures are either plain or mirrored."""
    rows = all_rows(train)
    images = augmented(train, rows, 8, Augmentation(min_scale=1.0), np.random.default_rng(2))
    plain = train.plain(rows, 8)
    straight = (images - plain).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (images - plain.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert (straight ^ mirrored).all()
    assert 0.3 < mirrored.float().mean() < 0.7


def test_all_rows_in_order(train):
    rows = list(train.in_order(50))
    assert [len(r) for r in rows] == [50, 50, 20]
    assert torch.equal(torch.cat(rows), torch.arange(120))


def test_read_only_arrays_are_read(data):
    """As memory-mapped files are."""
    images, labels = data.val.images.copy(), data.val.labels.copy()
    images.flags.writeable = labels.flags.writeable = False
    part = batches(Split(images, labels), data, CPU)
    assert torch.equal(part.images, torch.from_numpy(data.val.images))
    expected = normalised(data, torch.from_numpy(data.val.images[:3]).float() / 255)
    torch.testing.assert_close(part.plain(torch.arange(3), 8), expected)
    assert functional.cross_entropy(torch.zeros(50, 4), part.labels) > 0


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_numbers_of_numpy_as_mean_and_deviation(data, train, kind):
    """A tensor of doubles would fail in the first layer of a network."""
    mean, std = (tuple(map(kind, values)) for values in (data.mean, data.std))
    part = batches(data.train, replace(data, mean=mean, std=std), CPU)
    for side in (5, 8, 12):
        torch.testing.assert_close(part.plain(all_rows(part), side), train.plain(all_rows(train), side))
    crops = [augmented(p, all_rows(p), 8, Augmentation(), np.random.default_rng(0)) for p in (part, train)]
    torch.testing.assert_close(*crops)


@pytest.mark.parametrize("side", [1, 2, 7, 16])
def test_where_a_crop_is_sampled_is_torchs_affine_grid(side):
    crops = torch.from_numpy(random_crops(20, Augmentation(), np.random.default_rng(0)))
    expected = functional.affine_grid(crops, [20, 3, side, side], align_corners=False)
    torch.testing.assert_close(_grid(crops, side), expected)


@pytest.mark.parametrize(
    ("device", "n_bytes", "wanted"), [("cuda", 50, "cuda"), ("cuda", 51, "cpu"), ("cpu", 51, "cpu")]
)
def test_pictures_that_would_fill_a_gpu_stay_in_main_memory(monkeypatch, device, n_bytes, wanted):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (100, 200))
    assert _home(n_bytes, torch.device(device)).type == wanted


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_pictures_in_main_memory_are_the_same_on_a_gpu(data, monkeypatch):
    on_gpu = batches(data.train, data, torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 0))
    beside = batches(data.train, data, torch.device("cuda"))
    assert (on_gpu.images.device.type, beside.images.device.type) == ("cuda", "cpu")
    rows = torch.arange(5, device="cuda")
    assert torch.equal(beside.plain(rows, 5), on_gpu.plain(rows, 5))
    crops = [part.cropped(rows, 5, Augmentation(), np.random.default_rng(0)) for part in (beside, on_gpu)]
    assert torch.equal(*crops)
