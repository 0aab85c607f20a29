"""The published data sets: what their folders hold, their own splits, and the statistics that the paper's code uses.

torchvision knows the layouts and reads the lists; nothing is downloaded. What is published as training and as
validation is one pool, as in the paper, and validation is carved from it; the published test pictures are `test` (of
ImageNet, whose test labels are secret, the validation pictures).
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nat_core.errors import ConfigError
from nat_datasets import packed
from nat_datasets.assembly import Recipe, assemble, refusals_named
from nat_datasets.pictures import Colour, Pictures
from nat_datasets.reading import PictureFiles, Source
from nat_datasets.tree import File, Tree, check_is_folder, expanded, find, listed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """One data set as its authors published it."""

    expected: tuple[str, ...]  # files and folders below the root
    origin: str  # where to get them, and where to unpack them
    sizes: tuple[int, int]  # pictures to train on (and to validate on), and to test on
    read: Callable[[Path], tuple[Tree, Source]]
    mean: Colour
    std: Colour


def load(name: str, root: str, recipe: Recipe) -> Pictures:
    """A data set from its folder. A ConfigError names what is missing from it, and where it is to be had."""
    published = PUBLISHED[name]
    place = expanded(root).absolute()
    with refusals_named():
        _check_complete(name, place, published)
        with _lists_named(name, place):
            tree, source = published.read(place)
    _warn_of_other_sizes(name, tree, published)
    return assemble(tree, replace(recipe, colours=(published.mean, published.std)), source)


def _check_complete(name: str, root: Path, published: Published) -> None:
    wanted = f"Expected there: {', '.join(published.expected)}. {published.origin}"
    check_is_folder(root, f"{name}.root is the folder that its archive was unpacked in. {wanted}")
    missing = [expected for expected in published.expected if not _is_there(root, expected)]
    if missing:
        inside = published.expected[0].split(" or ")[0].partition("/")[0]
        raise ConfigError(
            f"{name} is not whole in {str(root)!r}. Missing below it: {', '.join(missing)}. {wanted} "
            f"{name}.root is the folder that holds {inside!r}."
        )


def _is_there(root: Path, expected: str) -> bool:
    """Whether one of some alternatives is there; a name that ends with a slash is a folder."""
    names = expected.split(" or ")
    return any((root / name).is_dir() if name.endswith("/") else (root / name).is_file() for name in names)


@contextmanager
def _lists_named(name: str, root: Path) -> Iterator[None]:
    """Whatever a damaged list makes its reader raise: these are the user's files, not a bug."""
    try:
        yield
    except (ConfigError, OSError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigError(
            f"the lists of {name} in {str(root)!r} cannot be read, so they are damaged or not the published ones: "
            f"{reason}. {PUBLISHED[name].origin}"
        ) from error


def _warn_of_other_sizes(name: str, tree: Tree, published: Published) -> None:
    """A part of a data set may be meant, and may be an accident."""
    counts = Counter("test" if file.split == "test" else "train" for file in tree.files)
    if (found := (counts["train"], counts["test"])) != published.sizes:
        logger.warning(
            "%s has %d pictures to train and validate on and %d to test on in %s; published are %d and %d",
            *(name, *found, tree.root, *published.sizes),
        )


def _listed(root: Path, splits: Iterable[tuple[str, Sequence[str], Iterable[tuple[Any, Any]]]]) -> Tree:
    """A tree of what lists say: for each of some splits its name, its classes, and paths with labels."""
    classes: tuple[str, ...] = ()
    files: list[File] = []
    for split, names, members in splits:
        classes = classes or tuple(map(str, names))
        if tuple(map(str, names)) != classes:
            raise ConfigError(
                f"the lists in {str(root)!r} do not name the same classes: {listed(sorted({*names} ^ {*classes}))}"
            )
        files += [_file(root, Path(path), int(label), classes, split) for path, label in members]
    return Tree(root=root, classes=classes, files=tuple(files), missing=("val",), ignored={})


def _file(root: Path, path: Path, label: int, classes: Sequence[str], split: str) -> File:
    name = os.path.relpath(os.path.normpath(path), root)
    if name.split(os.sep, 1)[0] == os.pardir:
        raise ConfigError(f"a list in {str(root)!r} names {str(path)!r}, which is outside that folder")
    if not 0 <= label < len(classes):
        raise ConfigError(f"a list in {str(root)!r} gives {name!r} the label {label}; there are {len(classes)} classes")
    return File(path, Path(name).as_posix(), label, split)


def _members(data: Any) -> list[tuple[Any, Any]]:
    """Paths and labels of one of torchvision's data sets, whose loader gives back the path."""
    return [data[i] for i in range(len(data))]


def _path(path: Any) -> Any:
    return path


def _food101(root: Path) -> tuple[Tree, Source]:
    from torchvision.datasets import Food101

    data = [(split, Food101(root, split=split, loader=_path)) for split in ("train", "test")]
    return _listed(root, ((split, d.classes, _members(d)) for split, d in data)), PictureFiles()


def _aircraft(root: Path) -> tuple[Tree, Source]:
    from torchvision.datasets import FGVCAircraft

    data = {"train": FGVCAircraft(root, "trainval", loader=_path), "test": FGVCAircraft(root, "test", loader=_path)}
    return _listed(root, ((split, d.classes, _members(d)) for split, d in data.items())), PictureFiles()


def _dtd(root: Path) -> tuple[Tree, Source]:
    from torchvision.datasets import DTD

    data = [(as_, DTD(root, split, loader=_path)) for as_, split in _POOLED]
    return _listed(root, ((split, d.classes, _members(d)) for split, d in data)), PictureFiles(squash=True)


def _flowers102(root: Path) -> tuple[Tree, Source]:
    from torchvision.datasets import Flowers102

    data = [(as_, Flowers102(root, split, loader=_path)) for as_, split in _POOLED]
    return _listed(root, ((split, Flowers102.classes, _members(d)) for split, d in data)), PictureFiles()


def _pets(root: Path) -> tuple[Tree, Source]:
    from torchvision.datasets import OxfordIIITPet

    data = {"train": OxfordIIITPet(root, "trainval"), "test": OxfordIIITPet(root, "test")}
    lists = ((split, d.classes, zip(d._images, d._labels, strict=True)) for split, d in data.items())  # noqa: SLF001
    return _listed(root, lists), PictureFiles()


def _cars(root: Path) -> tuple[Tree, Source]:
    """Each car by itself: the paper's code cuts out the published box first."""
    from torchvision.datasets import StanfordCars

    data = {split: StanfordCars(root, split, loader=_path) for split in ("train", "test")}
    tree = _listed(root, ((split, d.classes, _members(d)) for split, d in data.items()))
    base = root / "stanford_cars"
    boxes = [
        *packed.car_boxes(base / "devkit" / "cars_train_annos.mat"),
        *packed.car_boxes(base / "cars_test_annos_withlabels.mat"),
    ]
    files = (replace(file, box=box) for file, box in zip(tree.files, boxes, strict=True))
    return replace(tree, files=tuple(files)), PictureFiles(squash=True)


def _cinic10(root: Path) -> tuple[Tree, Source]:
    tree = find(root)
    files = (replace(file, split="train") if file.split == "val" else file for file in tree.files)
    return replace(tree, files=tuple(files), missing=("val",)), PictureFiles()


def _imagenet(root: Path) -> tuple[Tree, Source]:
    """Folders by WordNet number. The archive of the validation pictures has no folders: a known script makes them."""
    if not any(entry.is_dir() for entry in (root / "val").iterdir()):
        raise ConfigError(
            f"{str(root / 'val')!r} holds no class folders: sort the validation pictures into folders named as those "
            "of train, as torchvision's ImageNet class or the script valprep.sh of the PyTorch examples does."
        )
    return find(root, {"train": "train", "val": "test"}), PictureFiles()


_POOLED = (("train", "train"), ("train", "val"), ("test", "test"))  # our split, and the published one
_VGG = "https://www.robots.ox.ac.uk/~vgg"
_CIFAR = "https://www.cs.toronto.edu/~kriz"

PUBLISHED = {
    "cifar10": Published(
        expected=("cifar-10-batches-bin/ or cifar-10-batches-py/",),
        origin=f"Get {_CIFAR}/cifar-10-binary.tar.gz or {_CIFAR}/cifar-10-python.tar.gz and unpack it in root.",
        sizes=(50_000, 10_000),
        read=packed.cifar10,
        mean=(0.49139968, 0.48215827, 0.44653124),
        std=(0.24703233, 0.24348505, 0.26158768),
    ),
    "cifar100": Published(
        expected=("cifar-100-binary/ or cifar-100-python/",),
        origin=f"Get {_CIFAR}/cifar-100-binary.tar.gz or {_CIFAR}/cifar-100-python.tar.gz and unpack it in root.",
        sizes=(50_000, 10_000),
        read=packed.cifar100,
        mean=(0.49139968, 0.48215827, 0.44653124),
        std=(0.24703233, 0.24348505, 0.26158768),
    ),
    "cinic10": Published(
        expected=("train/", "valid/", "test/"),
        origin="Get CINIC-10.tar.gz from https://datashare.ed.ac.uk/handle/10283/3192 and unpack it in root.",
        sizes=(180_000, 90_000),
        read=_cinic10,
        mean=(0.47889522, 0.47227842, 0.43047404),
        std=(0.24205776, 0.23828046, 0.25874835),
    ),
    "stl10": Published(
        expected=tuple(f"stl10_binary/{name}" for name in packed.STL10_FILES),
        origin="Get http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz and unpack it in root.",
        sizes=(5_000, 8_000),
        read=packed.stl10,
        mean=(0.44671097, 0.4398105, 0.4066468),
        std=(0.2603405, 0.25657743, 0.27126738),
    ),
    "food101": Published(
        expected=("food-101/images/", "food-101/meta/train.json", "food-101/meta/test.json"),
        origin="Get http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz and unpack it in root.",
        sizes=(75_750, 25_250),
        read=_food101,
        mean=(0.55774182, 0.44237353, 0.32717203),
        std=(0.25912011, 0.26311734, 0.26589116),
    ),
    "cars": Published(
        expected=(
            "stanford_cars/cars_train/",
            "stanford_cars/cars_test/",
            "stanford_cars/devkit/cars_meta.mat",
            "stanford_cars/devkit/cars_train_annos.mat",
            "stanford_cars/cars_test_annos_withlabels.mat",
        ),
        origin="Its own site is gone: https://github.com/pytorch/vision/issues/7545 says where copies are.",
        sizes=(8_144, 8_041),
        read=_cars,
        mean=(0.41052145, 0.38574357, 0.39596287),
        std=(0.28611459, 0.28013781, 0.28520088),
    ),
    "aircraft": Published(
        expected=(
            "fgvc-aircraft-2013b/data/images/",
            "fgvc-aircraft-2013b/data/variants.txt",
            "fgvc-aircraft-2013b/data/images_variant_trainval.txt",
            "fgvc-aircraft-2013b/data/images_variant_test.txt",
        ),
        origin=f"Get {_VGG}/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz and unpack it in root.",
        sizes=(6_667, 3_333),
        read=_aircraft,
        mean=(0.48933588, 0.51835374, 0.53879144),
        std=(0.22388883, 0.21641635, 0.24615606),
    ),
    "dtd": Published(
        expected=(
            "dtd/dtd/images/",
            "dtd/dtd/labels/train1.txt",
            "dtd/dtd/labels/val1.txt",
            "dtd/dtd/labels/test1.txt",
        ),
        origin=f"Get {_VGG}/data/dtd/download/dtd-r1.0.1.tar.gz and unpack it in a folder dtd of root.",
        sizes=(3_760, 1_880),
        read=_dtd,
        mean=(0.53298761, 0.47426084, 0.42627282),
        std=(0.26549756, 0.25473554, 0.26317280),
    ),
    "pets": Published(
        expected=(
            "oxford-iiit-pet/images/",
            "oxford-iiit-pet/annotations/trainval.txt",
            "oxford-iiit-pet/annotations/test.txt",
        ),
        origin=f"Get images.tar.gz and annotations.tar.gz of {_VGG}/data/pets/data and unpack both in a folder "
        "oxford-iiit-pet of root.",
        sizes=(3_680, 3_669),
        read=_pets,
        mean=(0.48288951, 0.44483949, 0.39566558),
        std=(0.25925665, 0.25327600, 0.25981017),
    ),
    "flowers102": Published(
        expected=("flowers-102/jpg/", "flowers-102/imagelabels.mat", "flowers-102/setid.mat"),
        origin=f"Get 102flowers.tgz, imagelabels.mat and setid.mat of {_VGG}/data/flowers/102 and put them, the first "
        "one unpacked, in a folder flowers-102 of root.",
        sizes=(2_040, 6_149),
        read=_flowers102,
        mean=(0.51783618, 0.41067495, 0.32864168),
        std=(0.29722391, 0.24976049, 0.28533308),
    ),
    "imagenet": Published(
        expected=("train/", "val/"),
        origin="Get the pictures of ILSVRC 2012 from https://image-net.org, and unpack them in a folder a class.",
        sizes=(1_281_167, 50_000),
        read=_imagenet,
        mean=(0.485, 0.456, 0.406),  # those that networks trained on it expect
        std=(0.229, 0.224, 0.225),
    ),
}
