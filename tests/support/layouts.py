"""Small copies of the published data sets' folders, in their exact formats: a few pictures of one colour each."""

from __future__ import annotations

import hashlib
import json
import pickle
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

CLASSES = ("apple pie", "bee", "crane")
N_TRAIN, N_TEST = 6, 2  # pictures of a class


def cifar_binary(root, folder="cifar-10-batches-bin", names="batches.meta.txt", label_bytes=1, batches=5):
    """The binary version of CIFAR-10, or of CIFAR-100 with two bytes of labels."""
    home = root / folder
    home.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def batch(name, labels):
        labels = np.array(labels, dtype=np.uint8)
        head = np.stack([labels // 2, labels], 1)[:, 2 - label_bytes :]
        pixels = rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
        (home / name).write_bytes(np.hstack([head, pixels]).tobytes())
        return pixels.reshape(-1, 3, 32, 32)

    train = [f"data_batch_{i}.bin" for i in range(1, batches + 1)] if batches > 1 else ["train.bin"]
    pixels = [batch(name, list(range(len(CLASSES))) * (30 // len(train))) for name in train]
    test = batch("test_batch.bin" if batches > 1 else "test.bin", [0, 1, 2, 2])
    (home / names).write_text("\n".join(CLASSES) + "\n\n")
    return np.concatenate(pixels), test


def cifar100_binary(root):
    return cifar_binary(root, "cifar-100-binary", "fine_label_names.txt", label_bytes=2, batches=1)


def cifar_python(root, monkeypatch, kind=datasets.CIFAR10):
    """The Python version, whose published checksums are made those of these files."""
    home = root / kind.base_folder
    home.mkdir(parents=True)
    rng, fine = np.random.default_rng(0), kind is datasets.CIFAR100

    def write(name, content):
        (home / name).write_bytes(pickle.dumps(content, protocol=2))
        return [name, hashlib.md5((home / name).read_bytes()).hexdigest()]

    def batch(name, n):
        pixels = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        return write(name, {"data": pixels, "fine_labels" if fine else "labels": [i % 3 for i in range(n)]})

    monkeypatch.setattr(kind, "train_list", [batch(name, 12) for name, _ in kind.train_list])
    monkeypatch.setattr(kind, "test_list", [batch(name, 6) for name, _ in kind.test_list])
    _, md5 = write(kind.meta["filename"], {kind.meta["key"]: list(CLASSES)})
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": md5})
    return home


def stl10(root):
    """Pixels by column, labels from 1."""
    home = root / "stl10_binary"
    home.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pictures = {}
    for split, n in (("train", 12), ("test", 6)):
        pictures[split] = rng.integers(0, 256, (n, 3, 96, 96), dtype=np.uint8)
        (home / f"{split}_X.bin").write_bytes(pictures[split].swapaxes(2, 3).tobytes())
        (home / f"{split}_y.bin").write_bytes(bytes(i % 3 + 1 for i in range(n)))
    (home / "class_names.txt").write_text("\n".join(CLASSES))
    return pictures


class Photographs:
    """Writes pictures, each of a colour of its own."""

    def __init__(self):
        self._numbers = count(1)

    def __call__(self, path, size=(9, 9)):
        n = next(self._numbers)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (n % 251, n // 251, 99)).save(path, "PNG")  # lossless, whatever the name says


def _names(splits):
    """Class, number in it, and split of every picture."""
    i = 0
    for split, n in splits.items():
        for label, name in enumerate(CLASSES):
            for _ in range(n):
                i += 1
                yield split, label, name, i


def food101(root):
    draw, home = Photographs(), root / "food-101"
    lists = {"train": {c: [] for c in CLASSES}, "test": {c: [] for c in CLASSES}}
    for split, _, name, i in _names({"train": N_TRAIN, "test": N_TEST}):
        draw(home / "images" / name / f"{i}.jpg")
        lists[split][name].append(f"{name}/{i}")
    for split, members in lists.items():
        (home / "meta").mkdir(exist_ok=True)
        (home / "meta" / f"{split}.json").write_text(json.dumps(members))


def aircraft(root):
    draw, home = Photographs(), root / "fgvc-aircraft-2013b" / "data"
    lines = {"trainval": [], "test": []}
    for split, _, name, i in _names({"trainval": N_TRAIN, "test": N_TEST}):
        draw(home / "images" / f"{i:07}.jpg")
        lines[split].append(f"{i:07} {name}")
    (home / "variants.txt").write_text("\n".join(CLASSES))
    for split, found in lines.items():
        (home / f"images_variant_{split}.txt").write_text("\n".join(found))


def dtd(root):
    draw, home = Photographs(), root / "dtd" / "dtd"
    lines = {"train": [], "val": [], "test": []}
    for split, _, name, i in _names({"train": N_TRAIN // 2, "val": N_TRAIN // 2, "test": N_TEST}):
        draw(home / "images" / name / f"{name}_{i}.jpg", size=(20, 10))
        lines[split].append(f"{name}/{name}_{i}.jpg")
    (home / "labels").mkdir()
    for split, found in lines.items():
        (home / "labels" / f"{split}1.txt").write_text("\n".join(found))


def pets(root):
    draw, home = Photographs(), root / "oxford-iiit-pet"
    lines = {"trainval": [], "test": []}
    for split, label, name, i in _names({"trainval": N_TRAIN, "test": N_TEST}):
        image_id = f"{name.replace(' ', '_')}_{i}"
        draw(home / "images" / f"{image_id}.jpg")
        lines[split].append(f"{image_id} {label + 1} 1 1")
    (home / "annotations").mkdir()
    for split, found in lines.items():
        (home / "annotations" / f"{split}.txt").write_text("\n".join(found))


def flowers102(root, monkeypatch):
    """Its lists, whose published checksums are made those of these files."""
    draw, home = Photographs(), root / "flowers-102"
    ids, labels = {"trnid": [], "valid": [], "tstid": []}, []
    for split, label, _, i in _names({"trnid": N_TRAIN // 2, "valid": N_TRAIN // 2, "tstid": N_TEST}):
        draw(home / "jpg" / f"image_{i:05}.jpg")
        ids[split].append(i)
        labels.append(label + 1)
    savemat(home / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)})
    savemat(home / "setid.mat", {split: np.array([found], dtype=np.uint16) for split, found in ids.items()})
    names = {"label": "imagelabels.mat", "setid": "setid.mat"}
    sums = {kind: (name, hashlib.md5((home / name).read_bytes()).hexdigest()) for kind, name in names.items()}
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", datasets.Flowers102._file_dict | sums)
    monkeypatch.setattr(datasets.Flowers102, "classes", list(CLASSES), raising=False)


def cars(root):
    """A car is of a strong red in a black picture; its box is all that is red."""
    home = root / "stanford_cars"
    (home / "devkit").mkdir(parents=True)
    kinds = [("bbox_x1", "O"), ("bbox_y1", "O"), ("bbox_x2", "O"), ("bbox_y2", "O"), ("class", "O"), ("fname", "O")]
    rows = {"train": [], "test": []}
    for split, label, _, i in _names({"train": N_TRAIN, "test": N_TEST}):
        picture = Image.new("RGB", (40, 20))
        picture.paste((255, i, i), (10, 5, 30, 10))
        path = home / f"cars_{split}" / f"{i:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        picture.save(path, "PNG")
        rows[split].append((11, 6, 30, 10, label + 1, f"{i:05}.jpg"))
    for split, file in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        savemat(home / file, {"annotations": np.array([rows[split]], dtype=kinds)})
    names = np.empty((1, len(CLASSES)), dtype=object)
    names[0] = CLASSES
    savemat(home / "devkit" / "cars_meta.mat", {"class_names": names})


def tree(root, *splits):
    """A folder a split, with a folder a class."""
    draw = Photographs()
    for split, _, name, i in _names({s: N_TEST if s in {"val", "test"} else N_TRAIN for s in splits}):
        draw(root / split / name / f"{i}.JPEG")


def cinic10(root):
    tree(root, "train", "valid", "test")


def imagenet(root):
    tree(root, "train", "val")


def build(name, root, monkeypatch):
    """The folder of a data set, by its name."""
    if name == "flowers102":
        flowers102(root, monkeypatch)
    elif name == "cifar10":
        cifar_binary(root)
    elif name == "cifar100":
        cifar100_binary(root)
    else:
        globals()[name](root)
    return Path(root)
