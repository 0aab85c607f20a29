"""The published data sets: every layout at a small size, their splits, and every way in which a folder can be wrong."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from collections import Counter
from pathlib import Path

import layouts
import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

import nat_datasets
from nat_core.contracts import Dataset
from nat_core.errors import ConfigError
from nat_datasets.official import PUBLISHED

NAMES = tuple(PUBLISHED)
PHOTOGRAPHS = ("food101", "cars", "aircraft", "dtd", "pets", "flowers102", "imagenet", "cinic10")


def load(name, root, **options):
    size = {} if name in {"cifar10", "cifar100", "stl10"} else {"image_size": 8}
    return getattr(nat_datasets, name)(str(root), **{"val_share": 0.34, **size, **options})


def counts(data):
    return [Counter(split.labels.tolist()) for split in (data.train, data.val, data.test)]


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def root(name, tmp_path, monkeypatch):
    return layouts.build(name, tmp_path / "data", monkeypatch)


def test_every_data_set_of_the_paper_is_there():
    paper = "cifar10 cifar100 cinic10 stl10 food101 cars aircraft dtd pets flowers102 imagenet"
    assert set(paper.split()) == set(NAMES) == set(nat_datasets.register_datasets()) - {"digits", "folder"}


def test_it_is_a_data_set_with_its_class_names_and_its_own_test_split(name, root):
    data = load(name, root)
    assert isinstance(data, Dataset)
    wanted = ("Apple Pie", "Bee", "Crane") if name == "pets" else layouts.CLASSES  # torchvision writes pets so
    assert data.classes == wanted
    for split in (data.train, data.val, data.test):
        assert split.images.shape == (len(split), 3, data.image_size, data.image_size)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
    train, val, test = counts(data)
    assert test == {"cifar10": {0: 1, 1: 1, 2: 2}, "cifar100": {0: 1, 1: 1, 2: 2}}.get(name, dict.fromkeys(range(3), 2))
    pool = {"cifar10": 30, "cifar100": 30, "stl10": 4, "cinic10": 12}.get(name, 6)
    assert {label: train[label] + val[label] for label in range(3)} == dict.fromkeys(range(3), pool)
    assert set(val.values()) == {round(0.34 * pool)}  # class by class
    assert (data.mean, data.std) == (PUBLISHED[name].mean, PUBLISHED[name].std)
    assert data.skipped == {}


def test_validation_never_takes_from_test(name, root):
    first, other = load(name, root), load(name, root, split_seed=1)
    test = [{image.tobytes() for image in data.test.images} for data in (first, other)]
    held = [{image.tobytes() for image in data.val.images} for data in (first, other)]
    assert test[0] == test[1]
    assert held[0] != held[1]
    assert not (held[0] | held[1]) & test[0]
    assert first.fingerprint != other.fingerprint


def test_the_same_folder_gives_the_same_pictures_in_memory_and_on_disk(name, root):
    in_memory, on_disk, again = load(name, root), load(name, root, cache="disk"), load(name, root, cache="disk")
    for data in (on_disk, again):
        assert data.fingerprint == in_memory.fingerprint
        assert (data.mean, data.std) == (in_memory.mean, in_memory.std)
        for split in ("train", "val", "test"):
            assert np.array_equal(getattr(data, split).images, getattr(in_memory, split).images)
            assert np.array_equal(getattr(data, split).labels, getattr(in_memory, split).labels)


def test_a_folder_that_holds_something_else_says_what_was_expected(name, tmp_path):
    (tmp_path / "holiday").mkdir()
    with pytest.raises(ConfigError) as caught:
        load(name, tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message
    for expected in PUBLISHED[name].expected:
        assert message.count(expected) == 2  # among what is missing, and among what is expected
    assert PUBLISHED[name].origin in message


@pytest.mark.parametrize("missing", ["all", "file"])
def test_no_folder_at_all(name, tmp_path, missing):
    place = tmp_path / "nowhere"
    if missing == "file":
        place.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"there is no folder|is a file, not a folder") as caught:
        load(name, place)
    assert PUBLISHED[name].origin in str(caught.value)
    assert "Accepted is" not in str(caught.value)  # of a folder of one's own pictures


def test_each_missing_file_is_named(name, root):
    for expected in PUBLISHED[name].expected:
        wanted = expected.split(" or ")[0]
        if not (root / wanted).exists():
            continue
        aside = root.parent / "aside"
        (root / wanted.rstrip("/")).rename(aside)
        with pytest.raises(ConfigError, match=f"Missing below it: {expected}"):
            load(name, root)
        aside.rename(root / wanted.rstrip("/"))
    load(name, root)


def test_a_part_of_a_data_set_is_a_warning(name, root, caplog):
    load(name, root)
    assert [r for r in caplog.records if "published are" in r.message and r.levelno == logging.WARNING]


def test_options_out_of_range(name, root):
    for options in ({"image_size": 0}, {"val_share": 0.0}, {"val_share": 0.6}, {"split_seed": -1}, {"min_scale": 2.0}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            load(name, root, **options)


@pytest.mark.parametrize("name", ["cifar10", "stl10"])
def test_pictures_of_another_size(name, root):
    data = load(name, root, image_size=16)
    assert data.train.images.shape[1:] == (3, 16, 16)
    native = load(name, root)
    assert data.fingerprint != native.fingerprint
    assert abs(float(data.test.images.mean()) - float(native.test.images.mean())) < 1


# CIFAR and STL-10


def test_binary_cifar_has_the_pixels_and_labels_of_its_files(tmp_path):
    train, test = layouts.cifar_binary(tmp_path)
    data = load("cifar10", tmp_path)
    assert np.array_equal(data.test.images, test)
    assert data.test.labels.tolist() == [0, 1, 2, 2]
    pool = {image.tobytes(): i % 3 for i, image in enumerate(train)}
    for split in (data.train, data.val):
        assert [pool[image.tobytes()] for image in split.images] == split.labels.tolist()


def test_cifar100_has_its_fine_labels(tmp_path):
    _, test = layouts.cifar100_binary(tmp_path)
    data = load("cifar100", tmp_path)
    assert np.array_equal(data.test.images, test)
    assert data.test.labels.tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize(("name", "kind"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)])
def test_the_python_version_of_cifar(tmp_path, monkeypatch, name, kind):
    layouts.cifar_python(tmp_path, monkeypatch, kind)
    data = load(name, tmp_path)
    assert data.classes == layouts.CLASSES
    wanted = kind(tmp_path, train=False)
    assert np.array_equal(data.test.images, wanted.data.transpose(0, 3, 1, 2))
    assert data.test.labels.tolist() == wanted.targets
    assert len(data.train) + len(data.val) == len(kind(tmp_path, train=True))


def test_the_binary_version_is_preferred(tmp_path, monkeypatch):
    layouts.cifar_python(tmp_path, monkeypatch)
    _, test = layouts.cifar_binary(tmp_path)
    assert np.array_equal(load("cifar10", tmp_path).test.images, test)


class Canary:
    """Makes a file as soon as it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("file", ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"])
def test_a_file_that_is_not_the_published_one_is_never_unpickled(tmp_path, monkeypatch, file):
    home = layouts.cifar_python(tmp_path, monkeypatch)
    sung = tmp_path / "sung"
    (home / file).write_bytes(pickle.dumps(Canary(sung)))
    with pytest.raises(ConfigError, match=rf"{file} \(is not the published file\)"):
        load("cifar10", tmp_path)
    assert not sung.exists()
    pickle.loads((home / file).read_bytes())
    assert sung.exists()  # it would have


def test_every_damaged_or_missing_file_of_cifar_is_named(tmp_path, monkeypatch):
    home = layouts.cifar_python(tmp_path, monkeypatch)
    (home / "data_batch_2").unlink()
    (home / "test_batch").write_bytes(b"cut")
    with pytest.raises(ConfigError, match=r"data_batch_2 \(is missing\), test_batch \(is not the published file\)"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize("file", ["data_batch_3.bin", "test_batch.bin", "batches.meta.txt"])
def test_a_missing_file_of_binary_cifar_is_named(tmp_path, file):
    layouts.cifar_binary(tmp_path)
    (tmp_path / "cifar-10-batches-bin" / file).unlink()
    with pytest.raises(ConfigError, match=f"lacks {file}"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("data_batch_1.bin", b"", "has 0 bytes"),
        ("data_batch_1.bin", bytes(3072), "no whole number of records of 3073"),
        ("test_batch.bin", bytes([3]) + bytes(3072), "labels from 3 to 3; classes: 3"),
        ("batches.meta.txt", b"a\na\nb", "names of two or more classes"),
        ("batches.meta.txt", b"\xff\xfe", "cannot be read"),
    ],
)
def test_damaged_binary_cifar(tmp_path, file, content, reason):
    layouts.cifar_binary(tmp_path)
    (tmp_path / "cifar-10-batches-bin" / file).write_bytes(content)
    with pytest.raises(ConfigError, match=reason):
        load("cifar10", tmp_path)


def test_stl10_turns_its_columns_into_rows(tmp_path):
    pictures = layouts.stl10(tmp_path)
    data = load("stl10", tmp_path)
    assert np.array_equal(data.test.images, pictures["test"])
    assert data.test.labels.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("train_X.bin", bytes(100), "no whole number of records"),
        ("train_y.bin", bytes([1]), "12 pictures and 1 labels to train"),
        ("test_y.bin", bytes([0] * 6), "labels from -1 to -1"),
    ],
)
def test_damaged_stl10(tmp_path, file, content, reason):
    layouts.stl10(tmp_path)
    (tmp_path / "stl10_binary" / file).write_bytes(content)
    with pytest.raises(ConfigError, match=reason):
        load("stl10", tmp_path)


# photographs


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_broken_photographs_are_left_out_and_named(name, root):
    pictures = sorted(p for p in root.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})
    pictures[0].write_bytes(b"")
    pictures[1].write_text("no picture")
    pictures[2].write_bytes(bomb())
    data = load(name, root)
    reasons = {Path(file).name: reason for file, reason in data.skipped.items()}
    assert set(reasons) == {p.name for p in pictures[:3]}
    assert reasons[pictures[0].name] == "an empty file"
    assert "exceeds limit" in reasons[pictures[2].name]


@pytest.mark.parametrize("name", [n for n in PHOTOGRAPHS if n not in {"imagenet", "cinic10"}])  # which have no lists
def test_a_listed_photograph_that_is_missing_is_named(name, root):
    picture = next(p for p in root.rglob("*.jpg"))
    picture.unlink()
    data = load(name, root)
    assert data.skipped == {picture.relative_to(root).as_posix(): "No such file or directory"}


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_more_broken_photographs_than_the_budget_allows(name, root):
    pictures = sorted(p for p in root.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})
    for picture in pictures[:6]:
        picture.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"6 of \d+ files .* could not be read"):
        load(name, root)


def bomb():
    """A PNG whose header says 30,000 by 30,000 pixels."""
    from io import BytesIO

    stream = BytesIO()
    Image.new("1", (30_000, 30_000)).save(stream, "PNG")
    return stream.getvalue()


def test_a_class_with_too_few_photographs(tmp_path):
    layouts.imagenet(tmp_path)
    files = sorted((tmp_path / "train" / "bee").iterdir())
    for file in files[1:]:
        file.unlink()
    with pytest.raises(ConfigError, match=r"too few different images .*'bee' has 1; at least 2 a class are needed"):
        load("imagenet", tmp_path)


def test_a_training_photograph_that_is_a_copy_of_a_test_one_is_left_out(tmp_path):
    layouts.food101(tmp_path)
    images = tmp_path / "food-101" / "images" / "bee"
    numbers = sorted(int(p.stem) for p in images.iterdir())
    shutil.copy(images / f"{numbers[-1]}.jpg", images / f"{numbers[0]}.jpg")
    data = load("food101", tmp_path)
    (file, reason), *more = data.skipped.items()
    assert not more
    assert file.endswith(f"bee/{numbers[0]}.jpg")
    assert "which test keeps" in reason
    assert counts(data)[2] == dict.fromkeys(range(3), 2)


def test_a_car_is_cut_to_its_box_and_pressed_into_a_square(tmp_path):
    layouts.cars(tmp_path)
    data = load("cars", tmp_path)
    for split in (data.train, data.val, data.test):
        assert (split.images[:, 0, 2:-2, 2:-2] == 255).all()  # its edges are blurred by what is around it
        assert (split.images[:, 0] > 128).all()


def test_textures_are_pressed_into_a_square_and_other_photographs_are_cut(tmp_path):
    for name, file in (("dtd", "dtd/dtd/images/bee/bee_4.jpg"), ("food101", "food-101/images/bee/7.jpg")):
        getattr(layouts, name)(tmp_path)
        left = Image.new("RGB", (20, 10), "white")
        left.paste((0, 0, 0), (0, 0, 5, 10))  # the left quarter, which a square in the middle does not see
        left.save(tmp_path / file, "PNG")
    everything = [np.concatenate([s.images for s in (d.train, d.val)]) for d in both(tmp_path)]
    assert [has_black(images) for images in everything] == [True, False]


def both(root):
    return load("dtd", root), load("food101", root)


def has_black(images):
    return bool((images.max(axis=1) < 20).any())


@pytest.mark.parametrize(
    ("name", "file", "content", "reason"),
    [
        ("food101", "food-101/meta/train.json", "{", "JSONDecodeError"),
        ("food101", "food-101/meta/train.json", "[]", "cannot be read"),
        (
            "food101",
            "food-101/meta/test.json",
            '{"apple pie": [], "wasp": []}',
            "do not name the same classes: 'bee', 'crane', 'wasp'",
        ),
        ("aircraft", "fgvc-aircraft-2013b/data/images_variant_test.txt", "0000001 zeppelin", "KeyError: 'zeppelin'"),
        ("pets", "oxford-iiit-pet/annotations/trainval.txt", "bee_1 1", "ValueError"),
        ("dtd", "dtd/dtd/labels/val1.txt", "bee", "ValueError"),
        ("cars", "stanford_cars/devkit/cars_train_annos.mat", "text", "cannot be read"),
        ("cars", "stanford_cars/devkit/cars_meta.mat", "", "cannot be read"),
        ("flowers102", "flowers-102/setid.mat", "text", "not found or corrupted"),
    ],
)
def test_damaged_lists(tmp_path, monkeypatch, name, file, content, reason):
    root = layouts.build(name, tmp_path / "data", monkeypatch)
    (root / file).write_text(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        load(name, root)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize("path", ["../../../secret", "bee/../../../../../secret"])
def test_a_list_that_leads_outside_is_refused(tmp_path, path):
    layouts.food101(tmp_path / "data")
    file = tmp_path / "data" / "food-101" / "meta" / "train.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"bee": [path]}))
    with pytest.raises(ConfigError, match="is outside that folder"):
        load("food101", tmp_path / "data")


def test_a_label_that_no_class_has(tmp_path):
    layouts.pets(tmp_path)
    file = tmp_path / "oxford-iiit-pet" / "annotations" / "trainval.txt"
    file.write_text(file.read_text() + "\nbee_99 9 1 1")
    with pytest.raises(ConfigError, match=r"do not name the same classes|gives .* the label 8"):
        load("pets", tmp_path)


def test_validation_pictures_of_imagenet_without_class_folders(tmp_path):
    layouts.imagenet(tmp_path)
    shutil.rmtree(tmp_path / "val")
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"holds no class folders: sort the validation pictures .* valprep\.sh"):
        load("imagenet", tmp_path)


def test_the_rest_of_imagenet_is_not_in_the_way(tmp_path):
    layouts.imagenet(tmp_path)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "ILSVRC2012_test_00000001.JPEG").write_bytes(b"")
    (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(b"")
    assert counts(load("imagenet", tmp_path))[2] == dict.fromkeys(range(3), 2)


def test_the_fingerprint_changes_with_the_data(tmp_path):
    layouts.food101(tmp_path)
    first = load("food101", tmp_path).fingerprint
    assert load("food101", tmp_path).fingerprint == first
    picture = next((tmp_path / "food-101" / "images" / "bee").iterdir())
    Image.new("RGB", (9, 9), "red").save(picture, "PNG")
    assert load("food101", tmp_path).fingerprint != first
    assert load("food101", tmp_path, image_size=9).fingerprint != first
