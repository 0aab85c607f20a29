from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("calm", deadline=None)  # tests run beside other work
settings.load_profile("calm")


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
