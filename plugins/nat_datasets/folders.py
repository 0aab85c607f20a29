"""A folder of images as a data set: its layout in `nat_datasets.tree`, the rest in `nat_datasets.assembly`."""

from __future__ import annotations

import logging
from pathlib import Path

from nat_datasets.assembly import Recipe, assemble, refusals_named
from nat_datasets.pictures import Pictures
from nat_datasets.tree import ACCEPTED, expanded, find, listed

logger = logging.getLogger(__name__)


def load(path: str | Path, recipe: Recipe) -> Pictures:
    """The pictures of a folder. A ConfigError says what is wrong with it."""
    with refusals_named():
        tree = find(expanded(path))
    if tree.ignored:
        logger.warning("%s: not read are the folders %s. %s", tree.root, listed(tree.ignored), ACCEPTED)
    return assemble(tree, recipe)
