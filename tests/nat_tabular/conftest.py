"""A table made up here, so that most tests need no file; and the published one where it is beside the project."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nat_core import plugins
from nat_tabular.table import CODES


def made_up():
    """All 6,561 rows: costs that are sums, and errors that fall with size, with some noise."""
    noise = np.random.default_rng(0).normal(0, 0.3, (len(CODES), 3))
    rows = {}
    for code, wobble in zip(CODES, noise, strict=True):
        layers = [int(digit) for digit in code]
        size = sum((i + 2) * (0, 2, 5)[c] for i, c in enumerate(layers))
        tries = [float(v) for v in 95 - 40 / (1 + 0.1 * size) + wobble]
        rows[code] = {
            "test_acc": tries,
            "mean_acc": sum(tries) / 3,
            "std": float(np.std(tries)),
            "params": 1000 + sum((0, 30, 77)[c] * (i + 1) ** 2 for i, c in enumerate(layers)),
            "flops": 50_000 + 1000 * size,
        }
    return rows


@pytest.fixture(scope="session")
def entries():
    return made_up()


@pytest.fixture(scope="session")
def table(tmp_path_factory, entries):
    file = tmp_path_factory.mktemp("table") / "macro.json"
    file.write_text(json.dumps(entries))
    return file


@pytest.fixture(scope="session")
def space(table):
    return plugins.find("search_spaces", "nas-bench-macro")(table=str(table))


@pytest.fixture(scope="session")
def published(shared):
    return shared / "reference" / "nas_bench_macro" / "nas-bench-macro_cifar10.json"
