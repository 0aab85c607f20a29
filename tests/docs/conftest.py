"""The generator of the pages, and the example plugin installed apart from this environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import command_line
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `pages`, which the tests beside this file import

from pages import EXAMPLE, load_generator


@pytest.fixture(scope="session")
def generator():
    return load_generator()


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """A folder with the example plugin installed in it, and nothing else."""
    pytest.importorskip("setuptools")
    source = tmp_path_factory.mktemp("source") / EXAMPLE.name  # a copy: setuptools writes beside what it builds
    shutil.copytree(EXAMPLE, source)
    target = tmp_path_factory.mktemp("site")
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *flags, "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    return target


@pytest.fixture
def nat(tmp_path):
    """Runs `nat` in another process, with some folders of plugins installed."""

    def run(*arguments, sites=(), **environment):
        path = os.pathsep.join([*map(str, sites), *filter(None, [os.environ.get("PYTHONPATH")])])
        return command_line.nat(*arguments, cwd=tmp_path, PYTHONPATH=path, **environment)

    return run
