from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from command_line import COSTS
from in_process import here


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


@pytest.fixture
def nat_here(monkeypatch):
    """The function `here`, without the pictures that a run draws: they take most of its time."""
    monkeypatch.setattr("nat_plots.files.draw_front", lambda *_: None)
    return here


@pytest.fixture(scope="session")
def costs_run(tmp_path_factory):
    """A finished run that measured nothing but costs."""
    folder = tmp_path_factory.mktemp("costs") / "run"
    assert here("run", "--out", folder, *COSTS).code == 0
    return folder
