"""benchmarks/report.py at its smallest."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest
from browser import found

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "report.py"


@pytest.mark.skipif(found() is None, reason="no Chromium here: apt-get install chromium")
def test_report(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--evaluations", "30", "--opens", "1"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    row = capsys.readouterr().out.splitlines()[-1]
    evaluations, size, _, *opening = map(float, re.findall(r"[\d.]+", row))
    assert evaluations == 30
    assert 0 < size < 1
    assert len(opening) == 3
    assert min(opening) > 0
