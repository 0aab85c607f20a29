"""Folders of images: layouts, splits, leaks, and every way in which a folder can be wrong."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nat_datasets
from nat_core.contracts import Augmentation, Dataset
from nat_core.errors import ConfigError, ResourceError
from nat_datasets.assembly import reorder
from nat_datasets.splitting import _check_present
from nat_datasets.tree import File, Tree

SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def picture(path, value):
    """A picture of one colour, so that a pixel tells which file it is from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 6), (value % 251, value // 251, 99)).save(path, "PNG")


def flat(root, counts, start=0):
    """Class folders with so many different pictures each."""
    value = start
    for name, n in counts.items():
        for i in range(n):
            picture(root / name / f"{i:03}.png", value)
            value += 1
    return root


def split(root, **splits):
    for i, (name, counts) in enumerate(splits.items()):
        flat(root / name, counts, start=1000 * i)
    return root


def load(root, **options):
    return nat_datasets.folder(str(root), **{"image_size": 4, **options})


def ids(part):
    """Which pictures a split holds, by the number in their colour."""
    return [int(image[0, 0, 0]) + 251 * int(image[1, 0, 0]) for image in part.images]


def parts(data):
    return [ids(data.train), ids(data.val), ids(data.test)]


# layouts and splits


def test_class_folders_alone_are_split_by_class(tmp_path):
    data = load(flat(tmp_path, {"dog": 40, "cat": 20, "eel": 60}))
    assert isinstance(data, Dataset)
    assert data.classes == ("cat", "dog", "eel")
    assert data.image_size == 4
    assert data.augmentation == Augmentation(min_scale=0.25, flip=True)
    assert data.skipped == {}
    assert [Counter(part.labels.tolist()) for part in (data.train, data.val, data.test)] == [
        {0: 14, 1: 28, 2: 42},
        {0: 3, 1: 6, 2: 9},
        {0: 3, 1: 6, 2: 9},
    ]


def test_splits_are_arrays_and_share_nothing(tmp_path):
    data = load(flat(tmp_path, {"a": 20, "b": 20}), flip=False, min_scale=0.5)
    assert data.train.images.shape == (28, 3, 4, 4)
    assert data.train.images.dtype == np.uint8
    assert data.train.labels.dtype == np.int64
    assert sorted(i for part in parts(data) for i in part) == list(range(40))
    assert data.mean == pytest.approx((data.train.images / 255).mean(axis=(0, 2, 3)))
    assert data.augmentation == Augmentation(min_scale=0.5, flip=False)


def test_labels_belong_to_their_pictures(tmp_path):
    data = load(flat(tmp_path, {"a": 20, "b": 20}))
    for part in (data.train, data.val, data.test):
        assert [i >= 20 for i in ids(part)] == (part.labels == 1).tolist()


def test_rows_are_reordered_in_place_however_large_they_are():
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 50, 50), dtype=np.uint8)
    order = [4, 0, 8, 7, 1, 2]
    wanted = images[order]
    reorder(images, order)
    assert np.array_equal(images[:6], wanted)


def test_the_split_is_reproducible_and_follows_its_seed(tmp_path):
    root = flat(tmp_path, {"a": 20, "b": 20})
    first, again, other = load(root), load(root), load(root, split_seed=1)
    assert parts(first) == parts(again)
    assert first.fingerprint == again.fingerprint
    assert sorted(ids(first.test)) != sorted(ids(other.test))
    assert first.fingerprint != other.fingerprint


def test_the_split_does_not_depend_on_the_order_of_the_file_system(tmp_path, monkeypatch):
    root = flat(tmp_path, {"a": 20, "b": 20})
    first = load(root)
    in_order = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(in_order(self))))
    again = load(root)
    assert parts(first) == parts(again)
    assert first.fingerprint == again.fingerprint


def test_the_split_does_not_depend_on_unrelated_files_or_on_other_classes(tmp_path):
    first = load(flat(tmp_path, {"a": 20, "b": 20}))
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "a" / "000.txt").write_text("a caption")
    (tmp_path / "a" / ".DS_Store").write_bytes(b"\0")
    again = load(tmp_path)
    assert parts(first) == parts(again)
    assert first.fingerprint == again.fingerprint
    assert list(again.skipped) == ["a/000.txt"]
    flat(tmp_path, {"c": 20}, start=500)
    assert [[i for i in part if i < 500] for part in parts(load(tmp_path))] == parts(first)


def test_a_new_picture_moves_no_other(tmp_path):
    before = parts(load(flat(tmp_path, {"a": 40, "b": 40})))
    picture(tmp_path / "a" / "new.png", 777)
    after = parts(load(tmp_path))
    moved = [set(old) - set(new) for old, new in zip(before, after, strict=True)]
    assert sum(map(len, moved)) <= 2  # by rounding


def test_all_splits_given(tmp_path):
    root = split(tmp_path, train={"a": 5, "b": 5}, val={"a": 2, "b": 3}, test={"a": 3, "b": 1})
    train, val, test = parts(load(root))
    assert (train, val, test) == (list(range(10)), list(range(1000, 1005)), list(range(2000, 2004)))


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation", "VAL"])
@pytest.mark.parametrize("train", ["train", "Train"])
def test_test_is_carved_from_train_and_never_from_validation(tmp_path, name, train):
    data = load(split(tmp_path, **{train: {"a": 20, "b": 40}}, **{name: {"a": 4, "b": 4}}))
    assert ids(data.val) == list(range(1000, 1008))
    assert Counter(data.test.labels.tolist()) == {0: 3, 1: 6}
    assert sorted(ids(data.train) + ids(data.test)) == list(range(60))


def test_validation_is_carved_from_train_and_never_from_test(tmp_path):
    data = load(split(tmp_path, train={"a": 20, "b": 40}, test={"a": 4, "b": 4}))
    assert ids(data.test) == list(range(1000, 1008))
    assert Counter(data.val.labels.tolist()) == {0: 3, 1: 6}
    assert sorted(ids(data.train) + ids(data.val)) == list(range(60))


def test_train_alone_is_split_like_class_folders_alone(tmp_path):
    inside = load(flat(tmp_path / "x" / "train", {"a": 20, "b": 20}))
    alone = load(flat(tmp_path / "y", {"a": 20, "b": 20}))
    assert parts(inside) == parts(alone)


def test_train_may_be_the_name_of_a_class(tmp_path):
    assert load(flat(tmp_path, {"train": 5, "bus": 5})).classes == ("bus", "train")


def test_classes_are_in_the_order_of_their_bytes_and_keep_their_names(tmp_path):
    names = ["z", "Zebra", "élan", "a b", "it's", '"quoted"', "10", "9", "t-shirt", "日本", "new\nline"]
    data = load(flat(tmp_path, dict.fromkeys(names, 3)))
    assert data.classes == tuple(sorted(names, key=str.encode))


def renamed(path, name):
    """Give it a name of any bytes, where the file system takes them."""
    try:
        path.rename(path.parent / os.fsdecode(name))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")


def test_names_of_files_that_are_no_text_survive(tmp_path):
    flat(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "b" / "notes.png").write_text("no image")
    renamed(tmp_path / "b" / "notes.png", b"\xff.png")
    renamed(tmp_path / "a" / "000.png", b"caf\xe9.png")
    data = load(tmp_path)
    assert list(data.skipped) == ["b/\\xff.png"]
    assert sorted(i for part in parts(data) for i in part) == list(range(10))


def test_the_fingerprint_changes_with_the_data(tmp_path):
    root = flat(tmp_path / "x", {"a": 10, "b": 10})
    seen = {load(root).fingerprint, load(root, image_size=5).fingerprint}
    picture(root / "a" / "003.png", 999)
    seen.add(load(root).fingerprint)
    (root / "a" / "004.png").rename(root / "a" / "renamed.png")
    seen.add(load(root).fingerprint)
    (root / "a").rename(root / "c")
    seen.add(load(root).fingerprint)
    assert len(seen) == 5
    assert load(root, flip=False).fingerprint in seen
    shutil.copytree(root, tmp_path / "copy")
    assert load(tmp_path / "copy").fingerprint in seen


def test_litter_is_ignored_without_a_word(tmp_path, caplog):
    flat(tmp_path, {"a": 5, "b": 5, ".ipynb_checkpoints": 1, "__MACOSX": 1})
    for name in ("Thumbs.db", "desktop.ini", ".hidden.png", "._001.png"):
        (tmp_path / "a" / name).write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert data.skipped == {}
    assert not caplog.records


def test_folders_that_are_not_read_are_named(tmp_path, caplog):
    root = split(tmp_path, train={"a": 5, "b": 5}, unlabelled={"x": 3})
    flat(root / "train" / "a", {"masks": 2})
    with caplog.at_level(logging.WARNING):
        assert load(root).skipped == {
            "unlabelled": "a folder beside train, val and test is not read",
            "train/a/masks": "a folder inside a class folder is not read",
        }
    (said,) = caplog.messages
    assert "not read are the folders 'unlabelled', 'train/a/masks'. Accepted is a folder that holds" in said


# copies


def test_a_copy_of_a_held_out_picture_leaves_train(tmp_path, caplog):
    root = split(tmp_path, train={"a": 5, "b": 5}, val={"a": 3, "b": 3}, test={"a": 3, "b": 3})
    shutil.copy(root / "test" / "a" / "000.png", root / "train" / "a" / "leak.png")
    shutil.copy(root / "test" / "a" / "001.png", root / "val" / "b" / "leak.png")
    shutil.copy(root / "val" / "a" / "002.png", root / "train" / "b" / "leak.png")
    data = load(root)
    assert data.skipped == {
        "train/a/leak.png": "the same picture as test/a/000.png, which test keeps",
        "train/b/leak.png": "the same picture as val/a/002.png, which val keeps",
        "val/b/leak.png": "the same picture as test/a/001.png, which test keeps",
    }
    assert [len(part) for part in (data.train, data.val, data.test)] == [10, 6, 6]
    assert "3 copies of held-out pictures are left out: 'train/a/leak.png'" in caplog.text


def test_copies_are_carved_into_one_split(tmp_path):
    flat(tmp_path, {"a": 20, "b": 20})
    for i in range(20):
        shutil.copy(tmp_path / "a" / f"{i:03}.png", tmp_path / "a" / f"copy{i}.png")
    data = load(tmp_path)
    train, val, test = map(set, parts(data))
    assert not train & val | train & test | val & test
    assert data.skipped == {}
    assert Counter(data.test.labels.tolist()) == {0: 6, 1: 3}


def test_a_picture_in_two_classes_is_in_one_split(tmp_path, caplog):
    flat(tmp_path, {"a": 20, "b": 30})
    for i in range(20):
        shutil.copy(tmp_path / "a" / f"{i:03}.png", tmp_path / "b" / f"copy{i}.png")
    data = load(tmp_path)
    train, val, test = map(set, parts(data))
    assert not train & val | train & test | val & test
    assert "20 pictures stand in two classes: 'b/copy0.png'" in caplog.text


def test_a_class_that_lost_every_training_picture_to_other_splits(tmp_path):
    tree = Tree(tmp_path, ("a", "b"), (), ("val", "test"), {})
    files = [File(tmp_path, "x", 0, split) for split in ("train", "val", "test")]
    with pytest.raises(ConfigError, match=r"every picture of class 'b' in .* is in another class too"):
        _check_present(tree, files)


def test_validation_that_is_a_copy_of_test_is_refused(tmp_path):
    root = split(tmp_path, train={"a": 5, "b": 5}, test={"a": 3, "b": 3})
    shutil.copytree(root / "test", root / "val")
    with pytest.raises(ConfigError, match=r"val of .* holds no picture that can be read and is in no other split"):
        load(root)


def test_train_that_is_a_copy_of_test_is_refused(tmp_path):
    root = split(tmp_path, train={"a": 5, "b": 5})
    shutil.copytree(root / "train", root / "test")
    with pytest.raises(ConfigError, match=r"'a' has 0, 'b' has 0; .* 10 copies of held-out pictures"):
        load(root)


# what is refused


def refused(root, *words, **options):
    with pytest.raises(ConfigError) as caught:
        load(root, **options)
    for word in words:
        assert word in str(caught.value)


def test_nothing_there(tmp_path):
    refused(tmp_path / "\0", "there is no folder")
    refused("~nobody-of-this-name/pictures", "there is no folder '~nobody-of-this-name/pictures'")
    refused(tmp_path / "none", "there is no folder", "none", "Accepted is a folder that holds one folder of images")


def test_a_file(tmp_path):
    picture(tmp_path / "cat.png", 1)
    refused(tmp_path / "cat.png", "cat.png' is a file, not a folder", "Accepted")


@pytest.mark.parametrize("name", ["data.zip", "data"])
def test_a_zip_file(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("a/b.txt", "x")
    refused(tmp_path / name, "is an archive: unpack it, and give the folder")


@pytest.mark.parametrize("content", [[], [".hidden"]])
def test_an_empty_folder(tmp_path, content):
    for name in content:
        (tmp_path / name).touch()
    refused(tmp_path, str(tmp_path), "is empty", "Accepted")


def test_images_without_class_folders(tmp_path):
    for i in range(7):
        picture(tmp_path / f"{i}.png", i)
    refused(tmp_path, "holds 7 files ('0.png'", "and 2 more", "no class folders", "Accepted")


def test_images_directly_in_train(tmp_path):
    picture(tmp_path / "train" / "0.png", 1)
    picture(tmp_path / "test" / "0.png", 2)
    refused(tmp_path, "train' holds 1 files", "no class folders")


def test_one_class(tmp_path):
    refused(flat(tmp_path, {"cat": 5}), "holds one class, 'cat'; at least two are needed")


def test_a_class_whose_name_is_no_text(tmp_path):
    flat(tmp_path, {"a": 5, "b": 5, "c": 5})
    renamed(tmp_path / "b", b"caf\xe9")
    refused(tmp_path, f"has to be valid UTF-8: rename the folder '{tmp_path}/caf\\xe9'.")
    renamed(tmp_path / "c", b"\xff")
    refused(tmp_path, f"rename the folder '{tmp_path}/caf\\xe9' and 1 more.")


def test_one_level_too_high(tmp_path):
    flat(tmp_path / "pets" / "train", {"a": 5, "b": 5})
    refused(tmp_path, "'train') and no images", f"Did you mean '{tmp_path / 'pets'}'?")


def test_an_empty_class(tmp_path):
    (flat(tmp_path, {"a": 5, "b": 5}) / "c").mkdir()
    refused(tmp_path, "the class folder", "/c' is empty: put images in, or remove it")


@pytest.mark.parametrize(
    ("splits", "needed"),
    [
        ({"train": {"a": 2, "b": 3}}, "'a' has 2; at least 3 a class are needed (train, val, test)"),
        (
            {"train": {"a": 1, "b": 3}, "val": {"a": 2, "b": 2}},
            "'a' has 1; at least 2 a class are needed (train, test)",
        ),
        (
            {"train": {"a": 1, "b": 1}, "val": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}},
            "'a' has 1, 'b' has 1; at least 2",
        ),
    ],
)
def test_too_few_pictures_of_a_class(tmp_path, splits, needed):
    refused(split(tmp_path, **splits), needed)


def test_the_fewest_pictures_that_are_enough(tmp_path):
    data = load(flat(tmp_path, {"a": 3, "b": 3}))
    assert [part.labels.tolist() for part in (data.train, data.val, data.test)] == [[0, 1]] * 3


def test_a_class_that_train_lacks(tmp_path):
    root = split(tmp_path, train={"a": 5, "b": 5}, val={"a": 2, "tshirt": 2})
    refused(root, "/val' holds classes that train lacks: 'tshirt'", "Train has 'a', 'b'")


def test_a_class_that_validation_lacks_is_a_warning(tmp_path, caplog):
    root = split(tmp_path, train={"a": 5, "b": 5}, val={"a": 2})
    assert load(root).val.labels.tolist() == [0, 0]
    assert "lacks classes that train has: 'b'" in caplog.text


def test_an_empty_split(tmp_path):
    root = split(tmp_path, train={"a": 5, "b": 5})
    (root / "val").mkdir()
    refused(root, "/val' holds no images: fill it, or remove it, and val is taken from train")


def test_images_directly_in_test_beside_classes_in_train(tmp_path, caplog):
    root = split(tmp_path, train={"a": 5, "b": 5})
    for i in range(3):
        picture(root / "test" / f"{i}.png", i)
    refused(
        root, "/test' holds 3 files ('0.png', '1.png', '2.png') and no class folders", "or remove 'test'", "Accepted"
    )
    assert not caplog.records


def test_no_train(tmp_path):
    refused(split(tmp_path, val={"a": 5, "b": 5}, test={"a": 5, "b": 5}), "holds 'test', 'val', but no 'train'")


def test_a_split_twice(tmp_path):
    root = split(tmp_path, train={"a": 5, "b": 5}, val={"a": 2, "b": 2}, validation={"a": 2, "b": 2})
    refused(root, "holds val twice: 'val', 'validation'")


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 0},
        {"split_seed": -1},
        {"skip_budget": 1.5},
        {"skip_budget": -0.1},
        {"min_scale": 0.0},
        {"min_scale": 2.0},
    ],
)
def test_options_out_of_range(tmp_path, options):
    refused(flat(tmp_path, {"a": 3, "b": 3}), f"{next(iter(options))}={next(iter(options.values()))}", **options)


# broken files


def test_broken_files_are_left_out_and_named(tmp_path):
    first = load(flat(tmp_path, {"a": 20, "b": 20}))
    whole = (tmp_path / "a" / "000.png").read_bytes()
    (tmp_path / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "a" / "empty.jpg").touch()
    (tmp_path / "b" / "notes.txt").write_text("notes")
    (tmp_path / "b" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "b" / "loop.png").symlink_to(tmp_path / "b" / "loop.png")
    data = load(tmp_path)
    assert parts(data) == parts(first)
    assert data.skipped["a/empty.jpg"] == "an empty file"
    assert data.skipped["b/notes.txt"].startswith("no image")
    assert data.skipped["b/gone.png"] == "No such file or directory"
    assert sorted(data.skipped) == ["a/cut.png", "a/empty.jpg", "b/gone.png", "b/loop.png", "b/notes.txt"]


def test_more_broken_files_than_the_budget_allows(tmp_path):
    flat(tmp_path, {"a": 20, "b": 20})
    for i in range(6):
        (tmp_path / "a" / f"{i}.txt").write_text("x")
    refused(tmp_path, "6 of 46 files in", "5 may be (skip_budget=0.01)", "'a/0.txt' (no image", "raise skip_budget")
    assert len(load(tmp_path, skip_budget=0.2).skipped) == 6


def test_photos_of_a_phone_are_no_riddle(tmp_path, caplog, monkeypatch):
    """HEIC is not read, and AVIF not by every Pillow: the message says what to do about them, and of the others not."""
    flat(tmp_path, {"a": 40, "b": 40})
    for name in ("1.heic", "2.HEIC", "3.heif", "4.avif", "notes.txt"):
        (tmp_path / "a" / name).write_bytes(b"\0\0\0\x18ftypheic")
    with caplog.at_level("WARNING"):
        load(tmp_path)
    assert caplog.text.count("5 files could not be read as pictures: 'a/1.heic'") == 1
    assert " 3 of them are HEIC, as phones take photos, which is not read: convert to JPEG" in caplog.text
    assert "AVIF, which" not in caplog.text
    monkeypatch.setattr("nat_datasets.reading.features.check", lambda _: False)
    (tmp_path / "a" / "5.avif").write_bytes(b"x")
    refused(tmp_path, "6 of 86 files", "3 of them are HEIC", "2 of them are AVIF, which this Pillow was built without")


def test_a_class_of_broken_files(tmp_path):
    flat(tmp_path, {"a": 5, "b": 5})
    for i in range(4):
        (tmp_path / "c").mkdir(exist_ok=True)
        (tmp_path / "c" / f"{i}.jpg").write_text("x")
    refused(tmp_path, "'c' has 0; at least 3", "4 unreadable files")


def test_a_jpeg_cut_off_anywhere(tmp_path):
    flat(tmp_path, {"a": 3, "b": 3})
    values = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "whole.jpg", quality=50)
    content = (tmp_path / "whole.jpg").read_bytes()
    for cut in range(0, len(content), 7):
        (tmp_path / "a" / f"cut{cut}.jpg").write_bytes(content[:cut])
    data = load(tmp_path, skip_budget=1.0)
    assert len(data.skipped) + sum(map(len, (data.train, data.val, data.test))) == 6 + len(range(0, len(content), 7))
    assert len(data.skipped) > 5


def test_a_pipe_does_not_hang(tmp_path):
    flat(tmp_path, {"a": 3, "b": 3})
    os.mkfifo(tmp_path / "a" / "pipe.png")
    assert load(tmp_path).skipped == {}


def test_links_in_a_circle_do_not_hang(tmp_path):
    flat(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "a").symlink_to(tmp_path / "a")
    assert load(tmp_path).classes == ("a", "b")


def test_a_class_may_be_a_link(tmp_path):
    flat(tmp_path / "elsewhere", {"cats": 5})
    flat(tmp_path / "data", {"dog": 5}, start=100)
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "elsewhere" / "cats")
    assert load(tmp_path / "data").classes == ("cat", "dog")


@pytest.mark.parametrize(("method", "name"), [("read_bytes", "a/001.png"), ("iterdir", "a")])
def test_a_refused_permission_names_the_file(tmp_path, monkeypatch, method, name):
    flat(tmp_path, {"a": 3, "b": 3})
    allowed = getattr(Path, method)

    def refuse(path):
        if path == tmp_path / name:
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path)

    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(ResourceError, match=rf"{tmp_path}/{name}' could not be read: Permission denied"):
        load(tmp_path)


def test_a_path_that_is_too_long_for_a_file_system(tmp_path):
    with pytest.raises(ResourceError, match="could not be read: File name too long"):
        load(tmp_path / ("x" * 300))


def test_more_pixels_than_memory_are_refused_at_once(tmp_path):
    with pytest.raises(ResourceError, match=r"6 pictures of 1000000 pixels take .* choose a smaller image_size"):
        load(flat(tmp_path, {"a": 3, "b": 3}), image_size=1_000_000)


# real pictures


def unpacked(folder, archive, wanted):
    """Part of a shared archive."""
    if not (SHARED_DATA / archive).is_file():
        pytest.skip(f"{archive} is not beside this checkout")
    with zipfile.ZipFile(SHARED_DATA / archive) as file:
        file.extractall(folder, [name for name in file.namelist() if wanted(name)])
    return folder


def test_clothing(tmp_path):
    data = load(unpacked(tmp_path, "clothing10_2k.zip", lambda _: True) / "clothing10", image_size=32)
    names = "dress hat longsleeve outwear pants shirt shoes shorts skirt t-shirt"
    assert data.classes == tuple(names.split())
    assert [len(part) for part in (data.train, data.val, data.test)] == [1435, 341, 372]
    assert np.bincount(data.train.labels).tolist() == [150, 123, 150, 150, 150, 150, 150, 150, 112, 150]
    assert np.bincount(data.test.labels).tolist() == [15, 12, 72, 38, 42, 26, 73, 30, 12, 52]
    assert data.skipped == {}
    assert data.train.images.std(axis=(1, 2, 3)).min() > 1  # no picture came out blank
    assert data.mean == pytest.approx((data.train.images / 255).mean(axis=(0, 2, 3)))


def test_cifar10(tmp_path):
    kept = ("/airplane/", "/frog/", "/truck/")
    data = load(
        unpacked(tmp_path, "cifar10_subset.zip", lambda name: any(k in name for k in kept)) / "cifar10", image_size=32
    )
    assert data.classes == ("airplane", "frog", "truck")
    assert np.bincount(data.train.labels).tolist() == [425] * 3
    assert np.bincount(data.val.labels).tolist() == [75] * 3
    assert np.bincount(data.test.labels).tolist() == [200] * 3
    file = min((tmp_path / "cifar10" / "test" / "airplane").iterdir())
    assert np.array_equal(data.test.images[0], np.asarray(Image.open(file)).transpose(2, 0, 1))
