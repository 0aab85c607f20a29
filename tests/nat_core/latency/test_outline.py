"""The part of YAML that tables are written in: what is written is read again, and what is no table is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_core.errors import ConfigError
from nat_core.latency.outline import dump, parse

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
outlines = st.dictionaries(
    words, st.recursive(words, lambda below: st.dictionaries(words, below, min_size=1, max_size=3), max_leaves=6)
)


@given(outlines)
def test_what_is_written_is_read_again(outline):
    assert parse(dump(outline), "table") == outline


def test_comments_quotes_and_numbers():
    text = "# made by hand\n---\na: 1.50 # ms\n'b': x\n\"c: d\":\n    e-input:3x3:  0.25\n\n    f: 'it''s'\n"
    assert parse(text, "t") == {"a": "1.50", "'b'": "x", "c: d": {"e-input:3x3": "0.25", "f": "it's"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a: "b" c', "behind the quotes of"),
        ('a: "b', "do not end"),
        ("a:\n\tb: 1", "line 2: the line is indented with a"),
    ],
)
def test_what_would_be_read_as_something_else(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text, "t")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        found = parse(text, "t")
    except ConfigError as error:
        found = str(error)
    assert isinstance(found, dict) or found.startswith("t, line ")


@pytest.mark.parametrize("text", ["a: [1, 2]", "a: &x 1", "a: *x", "a: !!int 3", "a: {b: 1}", "a: |", "- 1", "a"])
def test_what_a_table_has_no_use_for(text):
    with pytest.raises(ConfigError, match="t, line 1: cannot read"):
        parse(text, "t")
