"""`nat doctor` as a user has it: real commands on a real run that is damaged."""

from __future__ import annotations

import pytest
from command_line import COSTS, nat, records


@pytest.mark.slow
def test_a_damaged_run_is_mended_and_goes_on(tmp_path):
    folder = tmp_path / "run"
    assert nat("run", "--out", folder, *COSTS).code == 0
    whole, file = records(folder), folder / "journal.jsonl"
    good = nat("doctor", folder)
    assert good.code == 0
    assert good.out.splitlines()[-1] == "Nothing is wrong."
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:9], b"{}\n", *lines[9:]]))
    damaged = file.read_bytes()
    bad = nat("doctor", folder, "--json")
    assert bad.code == 1
    assert not bad.json["ok"]
    assert "line 10" in next(f["text"] for f in bad.json["findings"] if f["level"] == "fault")
    assert nat("resume", folder).code == 3
    assert file.read_bytes() == damaged
    repaired = nat("doctor", folder, "--repair")
    assert repaired.code == 0
    assert (folder / "aside" / "0001" / "journal.jsonl").read_bytes() == damaged
    assert str(folder / "aside" / "0001" / "journal.jsonl") in repaired.out
    assert nat("resume", folder).code == 0
    assert records(folder) == whole


@pytest.mark.parametrize(
    ("words", "code", "said"), [(("--repair",), 2, "needs the folder of a run"), (("nothing",), 3, "holds no run")]
)
def test_wrong_words(tmp_path, words, code, said):
    outcome = nat("doctor", *words, cwd=tmp_path)
    assert outcome.code == code
    assert said in outcome.err


@pytest.mark.slow
def test_this_machine_as_json(tmp_path):
    outcome = nat("doctor", "--json", cwd=tmp_path)
    assert outcome.code == (not outcome.json["ok"])
    assert {"nat", "torch", "plugins", "runs", "cache"} <= {f["subject"] for f in outcome.json["findings"]}
    assert list(tmp_path.iterdir()) == []
