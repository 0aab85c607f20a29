from __future__ import annotations

import pytest
from worked import Toy

from nat_core import plugins


@pytest.fixture
def toy(tmp_path, monkeypatch):
    info = tmp_path / "toy_worked-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-worked\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[nat_core]\ntoy_worked = toy_worked\n")
    (tmp_path / "orders").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("nat_plots.files.draw_front", lambda *_: None)
    plugins.registry.cache_clear()
    yield Toy(tmp_path)
    plugins.registry.cache_clear()


@pytest.fixture
def undisturbed(toy):
    """What a run without workers finds."""
    assert toy.run("undisturbed").code == 0
    return toy.archive("undisturbed")
