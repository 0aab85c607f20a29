"""Shared by all tests: one thread a process, the shared reference data, and a tiny finished run."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from command_line import SMALL_SEARCH, TINY, nat
from warm import Warm

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: tests run beside other work

pytest_plugins = ["promise_kit", "small_process"]

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A finished tiny run with all defaults but sizes: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("tiny") / "run"
    return folder, nat("run", "--out", folder, "--json", *TINY, *SMALL_SEARCH)


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """Runs command lines in processes that need not import anything."""
    source = Warm(tmp_path_factory.mktemp("warm"))
    yield source
    source.close()


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared reference data are not beside the project")
    return SHARED


@pytest.fixture
def place(tmp_path):
    """An empty folder: in memory where there is such a place, for thousands of small files."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else tmp_path))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def fresh(place):
    """Makes empty folders."""
    return lambda: Path(tempfile.mkdtemp(dir=place))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: at the end, one worker would have them to itself while the others wait."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
