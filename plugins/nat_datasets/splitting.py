"""Which picture goes to which split: decided by its content and a seed, never by file order or by other files."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nat_core.errors import ConfigError
from nat_datasets.tree import File, Tree, listed, printable

logger = logging.getLogger(__name__)


def carve(contents: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """The split of every picture of one class, given the hashes of their contents; what is not carved stays `train`.

    Pictures are ranked by a hash of seed and content, so a picture that comes or goes moves others by rounding alone,
    and copies of a picture never part. Each share is of the distinct pictures, and at least one.
    """
    ranked = sorted(set(contents), key=lambda content: _rank(content, seed))
    split = dict.fromkeys(ranked, "train")
    start = 0
    for name, share in shares.items():
        stop = start + max(1, round(share * len(ranked)))
        split.update(dict.fromkeys(ranked[start:stop], name))
        start = stop
    return [split[content] for content in contents]


def check_seed(split_seed: int) -> None:
    """Negative seeds are refused everywhere in nat."""
    if split_seed < 0:
        raise ConfigError(f"split_seed={split_seed} is negative: any whole number from 0 on is accepted.")


def share_out(
    tree: Tree, files: Sequence[File], share: float, seed: int, unreadable: Mapping[str, str]
) -> tuple[list[File], dict[str, str]]:
    """The files in their final splits, and those left out because a held-out split has the same picture.

    Copies are looked for once more after carving: of a picture that stands in two classes, both may be carved.
    """
    given, copies = _without_copies(files)
    _check_counts(tree, given, unreadable, copies)
    _warn_of_contradictions(given)
    final, more = _without_copies(_carve(tree, given, share, seed))
    _check_present(tree, final)
    return final, copies | more


def _without_copies(files: Sequence[File]) -> tuple[list[File], dict[str, str]]:
    """No picture is in two splits: test keeps it before val, and val before train. Copies within a split may be."""
    first: dict[str, File] = {}
    for file in sorted(files, key=lambda f: ("test", "val", "train").index(f.split)):
        first.setdefault(file.content, file)
    kept = [file for file in files if file.split == first[file.content].split]
    copies = {
        printable(file.name): f"the same picture as {printable(keeper.name)}, which {keeper.split} keeps"
        for file in files
        if file.split != (keeper := first[file.content]).split
    }
    if copies:
        logger.warning("%d copies of held-out pictures are left out: %s", len(copies), listed(copies))
    return kept, copies


def _warn_of_contradictions(files: Iterable[File]) -> None:
    """One picture in two classes is for the user to settle: which of the labels is right cannot be known here."""
    first: dict[str, File] = {}
    found = [f.name for f in files if first.setdefault(f.content, f).label != f.label]
    if found:
        logger.warning("%d pictures stand in two classes: %s", len(found), listed(map(printable, found)))


def _check_counts(tree: Tree, files: Iterable[File], unreadable: Mapping[str, str], copies: Mapping[str, str]) -> None:
    """Every class has a picture for train and each split to be carved, and no class has but one."""
    needed = max(2, 1 + len(tree.missing))
    counts = Counter(label for label, _ in {(f.label, f.content) for f in files if f.split == "train"})
    few = [f"{name!r} has {counts[i]}" for i, name in enumerate(tree.classes) if counts[i] < needed]
    if few:
        more = f" and {len(few) - 5} more classes" if len(few) > 5 else ""
        purpose = f" (train, {', '.join(tree.missing)})" if tree.missing else ""
        raise ConfigError(
            f"too few different images to train on in {str(tree.root)!r}: {', '.join(few[:5])}{more}; "
            f"at least {needed} a class are needed{purpose}. Left out: {len(unreadable)} unreadable files, "
            f"{len(copies)} copies of held-out pictures. Add images, or remove the class."
        )


def _check_present(tree: Tree, files: Iterable[File]) -> None:
    """No split is empty, and train has every class: pictures may have been left out as unreadable or as copies."""
    labels: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}
    for file in files:
        labels[file.split].add(file.label)
    empty = [split for split, found in labels.items() if not found]
    if empty:
        raise ConfigError(
            f"{empty[0]} of {str(tree.root)!r} holds no picture that can be read and is in no other split. "
            "Give it pictures of its own, or remove it, and it is taken from train."
        )
    lost = [name for i, name in enumerate(tree.classes) if i not in labels["train"]]
    if lost:
        raise ConfigError(f"every picture of class {listed(lost)} in {str(tree.root)!r} is in another class too.")


def _carve(tree: Tree, files: Iterable[File], share: float, seed: int) -> list[File]:
    """The files of train shared out to the splits that are missing, class by class."""
    by_class: dict[int, list[File]] = {}
    carved = []
    for file in files:
        if file.split == "train":
            by_class.setdefault(file.label, []).append(file)
        else:
            carved.append(file)
    for members in by_class.values():
        names = carve([file.content for file in members], dict.fromkeys(tree.missing, share), seed)
        carved += [replace(file, split=name) for file, name in zip(members, names, strict=True)]
    return carved


def _rank(content: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {content}".encode()).digest()
