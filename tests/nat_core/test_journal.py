from __future__ import annotations

import hashlib
import itertools
import json
import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toyrun import Quiet

from nat_core.errors import StateError
from nat_core.journal import Journal, read

QUIET = Quiet()


def fill(file, n=18, salt=""):
    with Journal(file, QUIET) as journal:
        journal.append("begun", format=1, config=f"{salt}é{'0123456789abcdef' * 2}")
        for i in range(n):
            journal.append(
                "measured", iteration=i // 6, architecture=[i, 1, 2, 3] * 5, objectives={"e": i / 7, "m": 1e20}
            )
    return read(file)


@pytest.fixture
def kept(place):
    """A journal of about 3 KB: its file, its bytes, its records."""
    file = place / "journal.jsonl"
    records = fill(file)
    content = file.read_bytes()
    assert 2500 < len(content) < 4000
    return file, content, records


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def outcome(file, content, records):
    """How many of the records a changed journal gives, in their order; −1 if it is refused. Nothing else may happen."""
    file.write_bytes(content)
    before = digest(file)
    try:
        seen = read(file)
        with Journal(file, QUIET) as journal:
            assert journal.records == seen == records[: len(seen)]
    except StateError as error:
        refusal = str(error)
    else:
        return len(seen)
    assert f"{file}, line " in refusal
    with pytest.raises(StateError):
        Journal(file, QUIET)
    assert digest(file) == before
    return -1


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name != "kind"),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    )
)
def test_round_trip(tmp_path_factory, fields):
    file = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(file, QUIET) as journal:
        assert journal.append("any", **fields) == {"kind": "any", **fields}
        journal.append("crc", crc="00000000")
        live = journal.records
    assert read(file) == live
    for line in file.read_text(encoding="ascii").splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_what_is_live_is_what_will_be_read(tmp_path):
    """A tuple comes back as a list: better at once than after a resume."""
    with Journal(tmp_path / "j", QUIET) as journal:
        mine = [1, 2]
        record = journal.append("x", pair=(1, 2), mine=mine)
        mine.append(3)
        assert record == {"kind": "x", "pair": [1, 2], "mine": [1, 2]}
        assert journal.records == read(tmp_path / "j") == [record]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"deep": [math.nan]}])
def test_a_number_that_is_not_finite_is_refused_and_leaves_no_trace(tmp_path, value):
    with Journal(tmp_path / "j", QUIET) as journal:
        journal.append("one")
        with pytest.raises(ValueError, match="not JSON compliant"):
            journal.append("two", value=value)
        journal.append("three")
    assert [r["kind"] for r in read(tmp_path / "j")] == ["one", "three"]


def test_find_and_first(tmp_path):
    with Journal(tmp_path / "j", QUIET) as journal:
        for i in range(4):
            journal.append("odd" if i % 2 else "even", i=i, half=i // 2)
        assert [r["i"] for r in journal.find("odd")] == [1, 3]
        assert [r["i"] for r in journal.find("even", half=1)] == [2]
        assert journal.first("odd")["i"] == 1
        assert journal.first("odd", other=1) is None


def test_truncated_at_every_byte(kept, caplog, cases):
    file, content, records = kept
    ends = [i + 1 for i, byte in enumerate(content) if byte == 10]
    for size in range(len(content) + 1):
        complete = sum(end <= size for end in ends)
        file.write_bytes(content[:size])
        assert read(file) == records[:complete]
        caplog.clear()
        with Journal(file, QUIET) as journal:
            assert journal.records == records[:complete]
            journal.append("more", size=size)
        cut = size - ([0, *ends][complete])
        assert (f"cut {cut} bytes of an unfinished record at byte {size - cut}" in caplog.text) == bool(cut)
        assert read(file) == [*records[:complete], {"kind": "more", "size": size}]
        cases["damaged journals"] += 1
    assert cases["damaged journals"] == len(content) + 1 > 2500


def test_three_flips_of_every_byte(kept, cases):
    file, content, records = kept
    refused = 0
    for i, bit in itertools.product(range(len(content)), (0, 3, 5)):
        changed = bytearray(content)
        changed[i] ^= 1 << bit
        left = outcome(file, bytes(changed), records)
        assert left in {-1, len(records) - 1}  # only the end of the last line may look like a write cut short
        cases["damaged journals"] += 1
        refused += left < 0
    assert cases["damaged journals"] == 3 * len(content)
    assert cases["damaged journals"] - refused <= 16


def test_lines_removed_swapped_doubled_or_foreign(kept, tmp_path, cases):
    file, content, records = kept
    fill(tmp_path / "other.jsonl", salt="another run ")
    lines = content.splitlines(keepends=True)
    others = (tmp_path / "other.jsonl").read_bytes().splitlines(keepends=True)
    n = len(lines)
    for i in range(n):
        assert outcome(file, b"".join(lines[:i] + lines[i + 1 :]), records) == (n - 1 if i == n - 1 else -1)
        assert outcome(file, b"".join(lines[: i + 1] + lines[i:]), records) == -1
        for j in range(n):
            foreign = b"".join([*lines[:i], others[j], *lines[i + 1 :]])
            assert outcome(file, foreign, records) == -1
            cases["damaged journals"] += 1
        for j in range(i):
            swapped = lines.copy()
            swapped[i], swapped[j] = swapped[j], swapped[i]
            assert outcome(file, b"".join(swapped), records) == -1
            cases["damaged journals"] += 1
        cases["damaged journals"] += 2
    assert cases["damaged journals"] == n * (2 + n) + n * (n - 1) // 2


def test_a_last_line_without_its_end_is_cut_whatever_stands_there(kept):
    file, content, records = kept
    for byte in range(256):
        expected = len(records) if byte == 10 else len(records) - 1
        assert outcome(file, content[:-1] + bytes([byte]), records) == expected


@pytest.mark.parametrize("zeros", [1, 100, 4096])
def test_zeros_behind_the_records_are_a_write_that_never_came(kept, zeros):
    file, content, records = kept
    start = content[:-1].rindex(b"\n") + 1
    assert outcome(file, content + b"\0" * zeros, records) == len(records)
    assert outcome(file, content[:start] + b"\0" * zeros, records) == len(records) - 1
    assert outcome(file, content[:start] + b"\0" * 40 + content[start + 40 :], records) == len(records) - 1
    before = content[:start][:-1].rindex(b"\n") + 1
    assert outcome(file, content[:before] + b"\0" * 40 + content[before + 40 :], records) == -1


@pytest.mark.parametrize(
    "content", [b"\n", b"{}\n", b"not a journal\n", b'{"kind":"begun"}\n', b"\xff\xfe\n", b"\0\n\n"]
)
def test_a_foreign_file_is_refused_and_left_alone(tmp_path, content):
    assert outcome(tmp_path / "j", content, []) == -1


def test_what_cannot_be_read_is_a_state_error(tmp_path):
    with pytest.raises(StateError, match="cannot read the journal"):
        read(tmp_path / "absent")


def test_a_reader_sees_a_prefix_while_another_writes(place):
    file, seen = place / "j", []
    with Journal(file, QUIET) as journal:

        def write():
            while len(seen) < 30 and len(journal.records) < 2000:  # however slow the reader
                journal.append("n", i=len(journal.records), pad="x" * 3000)

        writer = threading.Thread(target=write)
        writer.start()
        while writer.is_alive() or len(seen) < 30:
            seen.append([r["i"] for r in read(file)])
        writer.join()
        assert [r["i"] for r in read(file)] == list(range(len(journal.records)))
    assert all(s == list(range(len(s))) for s in seen)
    assert len(seen) >= 30


def test_a_journal_closed_twice_stays_closed(tmp_path):
    journal = Journal(tmp_path / "j", QUIET)
    journal.close()
    journal.close()
    with pytest.raises(Exception, match="Bad file descriptor"):
        journal.append("late")
