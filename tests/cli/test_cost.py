"""`nat cost`: the output that others depend on."""

import json

from command_line import nat

M1, M4 = "08011001440551052208877", "12115105572981578947781"


def test_the_document():
    outcome = nat("cost", "--space", "mbv3", "--cost", "macs", "--cost", "params", M1, M4, "--json")
    assert outcome.json == {
        "space": "mbv3",
        "rows": [
            {"architecture": M1, "macs": 222557600, "params": 6067408},
            {"architecture": M4, "macs": 599725312, "params": 9135928},
        ],
    }


def test_a_file_of_strings_and_dictionaries(tmp_path):
    m1 = {
        "ks": [3, 3, 3, 3, 3, 5, 5, 3, 5, 5, 5, 5, 5, 3, 3],
        "e": [3, 3, 3, 4, 4, 4, 4, 3, 4, 3, 3, 6, 6, 6, 6],
        "d": [2, 3, 3, 3, 4],
        "r": 224,
        "w": 1.0,
    }
    (tmp_path / "f.jsonl").write_text(f"{json.dumps(M4)}\n{json.dumps(m1)}\n\n")
    rows = nat("cost", "--cost", "macs", "--file", tmp_path / "f.jsonl", "--json").json["rows"]
    assert rows == [{"architecture": M4, "macs": 599725312}, {"architecture": M1, "macs": 222557600}]


def test_the_number_of_classes():
    rows = nat("cost", "--cost", "params", "-s", "mbv3.classes=10", M1, "--json").json["rows"]
    assert rows[0]["params"] == 6067408 - 990 * 1281


def test_a_bad_line_is_named(tmp_path):
    (tmp_path / "f.jsonl").write_text(f'"{M1}"\n"0801"\n')
    outcome = nat("cost", "--file", tmp_path / "f.jsonl", "--json")
    assert outcome.code == 2
    assert "line 2" in outcome.err
    assert not outcome.out


def test_a_table_for_people():
    outcome = nat("cost", M1)
    assert "222,557,600" in outcome.out
    assert "6,067,408" in outcome.out
