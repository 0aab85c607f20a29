"""A table that is not the whole and sound table is refused, naming the file and the place."""

from __future__ import annotations

import json

import pytest

from nat_core import plugins
from nat_core.errors import ConfigError


def load(file):
    return plugins.find("search_spaces", "nas-bench-macro")(table=str(file))


def without(*codes):
    return lambda entries: {code: row for code, row in entries.items() if code not in codes}


def but(code, **changes):
    return lambda entries: entries | {code: entries[code] | changes}


def lacking(code, key):
    return lambda entries: entries | {code: {k: v for k, v in entries[code].items() if k != key}}


FAULTS = {
    "one missing": (without("02012100"), r"lacks architectures: '02012100' \(1 in all\)"),
    "many missing": (
        without(*(f"0000{i:04b}" for i in range(16))),
        r"lacks architectures: '00000000'.*… \(16 in all\)",
    ),
    "empty": (lambda _: {}, r"lacks architectures: .*6,561 in all"),
    "another code": (lambda e: e | {"03000000": e["00000000"]}, "no architecture: '03000000'"),
    "a longer code": (lambda e: e | {"000000000": e["00000000"]}, "no architecture: '000000000'"),
    "a list": (lambda e: [e], "has to be an object"),
    "a number": (lambda _: 3, "has to be an object"),
    "a row of another kind": (lambda e: e | {"11111111": [1, 2]}, r"11111111 has \[1, 2\]; expected are flops"),
    "a key missing": (lacking("11111111", "flops"), "11111111 has .*; expected are flops, mean_acc"),
    "a key more": (but("11111111", latency=3), "11111111 has .*'latency'"),
    "accuracy too high": (but("11111111", mean_acc=100.5), "11111111: mean_acc holds 100.5, which is no percentage"),
    "accuracy negative": (but("11111111", test_acc=[90, -1, 90]), "11111111: test_acc holds -1"),
    "accuracy a text": (but("11111111", mean_acc="90"), "11111111: mean_acc holds '90'"),
    "accuracy a truth": (but("11111111", mean_acc=True), "11111111: mean_acc holds True"),
    "accuracy none": (but("11111111", mean_acc=None), "11111111: mean_acc holds None"),
    "no trainings": (but("11111111", test_acc=[]), "11111111: test_acc has to be a list"),
    "trainings a number": (but("11111111", test_acc=90.0), "11111111: test_acc has to be a list"),
    "not the mean": (but("11111111", mean_acc=12.5), "11111111: mean_acc is 12.5, which is not the mean"),
    "cost a fraction": (but("11111111", params=10.5), "11111111: params is 10.5"),
    "cost zero": (but("11111111", flops=0), "11111111: flops is 0"),
    "cost too large": (but("11111111", flops=2**53), "11111111: flops is 9007199254740992"),
    "cost that is no sum": (but("11111111", flops=123_456), r"flops of 11111111 is 123,456, and its layers add up to"),
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_table(tmp_path, entries, fault, said):
    file = tmp_path / "faulty.json"
    file.write_text(json.dumps(fault(dict(entries))))
    with pytest.raises(ConfigError, match=said) as caught:
        load(file)
    assert str(file) in str(caught.value)
    assert len(str(caught.value)) < 600


TEXTS = {
    "nothing": ("", "Expecting value"),
    "cut short": ('{"00000000": {"test_acc": [1.0, ', "Expecting value"),
    "NaN": ('{"00000000": {"mean_acc": NaN}}', "NaN is no value of JSON"),
    "infinity": ('{"00000000": {"mean_acc": -Infinity}}', "-Infinity is no value of JSON"),
    "twice": ('{"00000000": 1, "00000000": 2}', "'00000000' is there twice"),
    "deep": ("[" * 100_000, "not JSON"),
    "long number": ("9" * 5000, "not JSON"),
}


@pytest.mark.parametrize(("text", "said"), TEXTS.values(), ids=TEXTS)
def test_text_that_is_no_strict_json(tmp_path, text, said):
    file = tmp_path / "t.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load(file)
    assert str(file) in str(caught.value)


def test_an_accuracy_beyond_all_numbers(tmp_path, entries):
    file = tmp_path / "t.json"
    text = json.dumps(entries | {"11111111": entries["11111111"] | {"mean_acc": 12345.5}})
    file.write_text(text.replace("12345.5", "1e999"))
    with pytest.raises(ConfigError, match="11111111: mean_acc holds inf"):
        load(file)


def test_no_such_file_and_no_text(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the table .*nowhere"):
        load(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match="cannot read the table"):
        load(tmp_path)
    (tmp_path / "bytes").write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match="not JSON"):
        load(tmp_path / "bytes")
    with pytest.raises(ConfigError, match="cannot read the table"):
        load("a\0b")
    with pytest.raises(ConfigError, match="cannot read the table"):
        load("~nobody-by-that-name/t.json")
