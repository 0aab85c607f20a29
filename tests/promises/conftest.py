from __future__ import annotations

import pytest
from command_line import COSTS
from in_process import here


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
