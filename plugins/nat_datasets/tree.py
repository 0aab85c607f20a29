"""The image files of a folder: which layout it has, which file is of which class and split.

Two layouts: `train/`, perhaps `val/` and `test/`, with class folders inside; or class folders alone. Nothing is opened
here, and nothing below a class folder is entered, so links that lead in a circle do no harm.
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nat_core.errors import ConfigError

ACCEPTED = (
    "Accepted is a folder that holds one folder of images per class, or one that holds train/ and perhaps val/ and "
    "test/, each with one folder of images per class."
)
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LITTER = {"thumbs.db", "desktop.ini", "__macosx", "@eadir"}  # what operating systems and servers leave behind
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)  # of which there may be a million
class File:
    """One file that should be a picture, or one picture of a file that holds many."""

    path: Path
    name: str  # the path from the root on, with slashes
    label: int
    split: str  # train, val or test
    content: str = ""  # sha256 of the bytes, once they are read
    row: int = -1  # of the images in memory, once they are read
    box: tuple[int, int, int, int] | None = None  # the part that is to be seen: left, top, right, bottom
    index: int = 0  # in a file that holds many


@dataclass(frozen=True)
class Tree:
    """What a folder holds, in the order of the names' bytes."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[File, ...]
    missing: tuple[str, ...]  # splits that the folder lacks: to be carved from train
    ignored: Mapping[str, str]  # folders that are not read, and why


def find(root: Path, splits: Mapping[str, str] = SPLITS) -> Tree:
    """The layout of a folder, or a ConfigError that says what it holds instead.

    `splits` says which folder names, in small letters, stand for which split.
    """
    check_is_folder(root)
    homes = _split_folders(root, splits)
    classes = _class_names(homes["train"], root)
    files = tuple(file for split, home in homes.items() for file in _files(root, split, home, classes))
    return Tree(
        root=root,
        classes=classes,
        files=files,
        missing=tuple(split for split in ("val", "test") if split not in homes),
        ignored=_ignored(root, homes),
    )


def expanded(path: str | Path) -> Path:
    """With `~` and `~name` for home folders; where there is no such name, the path as it stands."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises on an unknown ~name


def printable(name: str) -> str:
    """A file name that can be written as UTF-8: bytes that are none stand as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def listed(names: Iterable[object], most: int = 5) -> str:
    """The first few names, quoted."""
    shown = [repr(str(name)) for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def check_is_folder(root: Path, accepted: str = ACCEPTED) -> None:
    """Raise a ConfigError that says what is there instead."""
    if root.is_dir():
        return
    if not root.exists():
        raise ConfigError(f"there is no folder {str(root)!r}. {accepted}")
    if root.name.lower().endswith(ARCHIVES) or zipfile.is_zipfile(root):
        raise ConfigError(f"{str(root)!r} is an archive: unpack it, and give the folder. {accepted}")
    raise ConfigError(f"{str(root)!r} is a file, not a folder. {accepted}")


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, hidden files and litter left out, in the order of the names' bytes."""
    entries = [e for e in folder.iterdir() if not e.name.startswith(".") and e.name.lower() not in LITTER]
    return sorted(entries, key=lambda entry: os.fsencode(entry.name))


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, without links that lead back to it or above it."""
    here = folder.resolve()
    return [entry for entry in _entries(folder) if entry.is_dir() and not here.is_relative_to(entry.resolve())]


def _image_files(folder: Path) -> list[Path]:
    """The files in a folder. Dangling links count, to be named as unreadable; pipes and devices do not."""
    return [entry for entry in _entries(folder) if entry.is_file() or not entry.exists()]


def _split_folders(root: Path, splits: Mapping[str, str]) -> dict[str, Path]:
    """The folder of each split that there is. Without any, the root itself holds the classes, all of them `train`."""
    folders = _folders(root)
    named = [folder for folder in folders if folder.name.lower() in splits]
    # "train" may be a class, beside "bus" and "tram": it is a split if it holds folders, or stands among splits only
    if not any(_folders(folder) for folder in named) and len(named) < len(folders):
        return {"train": root}
    homes: dict[str, Path] = {}
    for folder in named:
        split = splits[folder.name.lower()]
        if split in homes:
            raise ConfigError(f"{str(root)!r} holds {split} twice: {listed([homes[split].name, folder.name])}.")
        homes[split] = folder
    if named and "train" not in homes:
        raise ConfigError(f"{str(root)!r} holds {listed(f.name for f in named)}, but no 'train'. {ACCEPTED}")
    return homes or {"train": root}


def _class_names(home: Path, root: Path) -> tuple[str, ...]:
    """The class folders of the training split, each with files in it."""
    folders = _folders(home)
    if not folders:
        raise ConfigError(f"{str(home)!r} {_loose(home) or 'is empty'}. {ACCEPTED}")
    _check_are_text(folders)
    for folder in folders:
        _check_holds_files(folder)
    if len(folders) < 2:
        raise ConfigError(f"{str(home)!r} holds one class, {folders[0].name!r}; at least two are needed. {ACCEPTED}")
    logger.info("%s: %d classes", root, len(folders))
    return tuple(folder.name for folder in folders)


def _loose(home: Path) -> str:
    """What is said of a folder that holds files where class folders should be; empty where there are none."""
    files = _image_files(home)
    return f"holds {len(files)} files ({listed(f.name for f in files)}) and no class folders" if files else ""


def _check_are_text(folders: Sequence[Path]) -> None:
    """Names of classes are written to a run's files, which are UTF-8; a file system takes any bytes."""
    wrong = [folder for folder in folders if printable(folder.name) != folder.name]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ConfigError(
            f"the name of a class has to be valid UTF-8: rename the folder '{printable(str(wrong[0]))}'{more}."
        )


def _check_holds_files(folder: Path) -> None:
    if _image_files(folder):
        return
    inner = _folders(folder)
    if not inner:
        raise ConfigError(f"the class folder {str(folder)!r} is empty: put images in, or remove it.")
    guess = f" Did you mean {str(folder)!r}?" if any(f.name.lower() in SPLITS for f in inner) else ""
    raise ConfigError(
        f"{str(folder)!r} should be a class, but holds folders ({listed(f.name for f in inner)}) and no images."
        f"{guess} {ACCEPTED}"
    )


def _files(root: Path, split: str, home: Path, classes: Sequence[str]) -> list[File]:
    """The files of one split, by class and then by name."""
    folders = _folders(home)
    paths = [(folder.name, path) for folder in folders for path in _image_files(folder)]
    if not paths:  # before its classes are compared: that each of them is lacking would only distract
        if not folders and (loose := _loose(home)):
            raise ConfigError(
                f"{str(home)!r} {loose}: sort them into such folders, or remove {home.name!r}, and {split} is taken "
                f"from train. {ACCEPTED}"
            )
        raise ConfigError(f"{str(home)!r} holds no images: fill it, or remove it, and {split} is taken from train.")
    _check_classes(home, [folder.name for folder in folders], classes)
    label = {name: i for i, name in enumerate(classes)}
    return [File(path, path.relative_to(root).as_posix(), label[name], split) for name, path in paths]


def _check_classes(home: Path, found: Sequence[str], classes: Sequence[str]) -> None:
    """A class that training does not know is an error; one that a held-out split lacks is merely not measured."""
    extra = [name for name in found if name not in classes]
    if extra:
        raise ConfigError(
            f"{str(home)!r} holds classes that train lacks: {listed(extra)}. Train has {listed(classes)}."
        )
    lacking = [name for name in classes if name not in found]
    if lacking:
        logger.warning("%s lacks classes that train has: %s", home, listed(lacking))


def _ignored(root: Path, homes: Mapping[str, Path]) -> dict[str, str]:
    """Folders that look like data and are not read."""
    ignored: dict[Path, str] = {}
    if root not in homes.values():
        beside = [folder for folder in _folders(root) if folder not in homes.values()]
        ignored.update((f, "a folder beside train, val and test") for f in beside)
    inner = [f for home in homes.values() for folder in _folders(home) for f in _folders(folder)]
    ignored.update((f, "a folder inside a class folder") for f in inner)
    return {printable(f.relative_to(root).as_posix()): f"{why} is not read" for f, why in ignored.items()}
