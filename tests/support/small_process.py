"""Tests that fork hundreds of children, each in a process that has imported little: `@pytest.mark.forks`.

A fork copies the tables of all memory that its process has mapped, and whoever has collected the whole suite has torch
in it: that takes three times as long as the test itself. Such a test is run by a pytest of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def pytest_addoption(parser):
    parser.addoption("--in-a-small-process", action="store_true", help="run tests that fork here")


def pytest_configure(config):
    config.addinivalue_line("markers", "forks: has hundreds of children, and is run in a process of its own")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    config = pyfuncitem.config
    if pyfuncitem.get_closest_marker("forks") is None or config.getoption("--in-a-small-process"):
        return None
    place = pyfuncitem.funcargs["tmp_path"]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--in-a-small-process"]
    words += [f"--basetemp={place / 'small'}", f"--promises={place / 'counts.json'}", pyfuncitem.nodeid]
    done = subprocess.run(words, cwd=config.rootpath, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
    for counted in json.loads((place / "counts.json").read_text()).values():
        pyfuncitem.funcargs["cases"].update(counted["cases"])
    return True
