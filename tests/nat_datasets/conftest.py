"""No test leaves anything in the user's own cache."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAT_CACHE", str(tmp_path / "cache of this test"))
