"""Any encoding, any network, any order of appends, ends and torn writes: against the simplest twin of each."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toyrun import Quiet

from nat_core import plugins
from nat_core.encoding import (
    Variable,
    as_architectures,
    as_encodings,
    corners,
    everything,
    new_rows,
    random_encodings,
    sized_encodings,
    sizes,
)
from nat_core.errors import ResourceError
from nat_core.journal import Journal, read

LEFT_OUT = 0  # the choice of a layer that is not there
numbers = st.lists(st.integers(1, 5), min_size=1, max_size=5)  # of choices, variable by variable


def variables(found):
    return tuple(Variable(f"v{i}", tuple(range(n))) for i, n in enumerate(found))


@given(numbers)
def test_all_encodings_are_every_choice_with_every_other(found):
    rows = [list(row) for row in itertools.product(*map(range, found))]
    X = everything(variables(found))
    assert X.tolist() == rows
    assert corners(variables(found)).tolist() == [rows[0], rows[-1]]
    assert as_architectures(new_rows(np.vstack([X, X[::-1]]))) == list(map(tuple, rows))
    assert as_encodings(as_architectures(X), len(found)).tolist() == rows


@given(numbers, st.lists(st.floats(0, 1), max_size=20), st.integers(0, 2**32))
def test_what_is_drawn_is_there(found, size, seed):
    rng = np.random.default_rng(seed)
    for X in (sized_encodings(variables(found), np.array(size), rng), random_encodings(variables(found), 7, rng)):
        assert X.shape[1] == len(found)
        assert all(0 <= choice < n for row in X.tolist() for choice, n in zip(row, found, strict=True))


@pytest.fixture(scope="module", params=["mbv3", "lite"])
def space(request):
    return plugins.find("search_spaces", request.param)(image_size=32, classes=10)


def network(space, row):
    """What an encoding stands for: stage by stage the layers that are not left out, and everything else as it is."""
    stages = {}
    for variable, index in zip(space.variables, row, strict=True):
        if (choice := variable.choices[index]) != LEFT_OUT:
            stages.setdefault(variable.name.partition(".")[0], []).append(choice)
    return stages


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_encodings_are_one_in_their_canonical_form_where_they_say_one_network(space, data):
    n = sizes(space.variables).tolist()
    rows = st.tuples(*(st.just(0) | st.integers(0, most - 1) for most in n))  # 0 leaves a layer out, in many variables
    row, other = data.draw(rows), data.draw(rows)
    near = list(row)  # two choices of a stage in the other order are often one network
    for i in data.draw(st.sets(st.integers(0, len(n) - 2), max_size=8)):
        near[i], near[i + 1] = min(near[i + 1], n[i] - 1), min(near[i], n[i + 1] - 1)
    X = np.array([row, near, other])
    before, canonical = X.copy(), space.canonicalize(X)
    assert (before == X).all()
    assert (space.canonicalize(canonical) == canonical).all()
    assert as_architectures(np.vstack([space.canonicalize(X[i : i + 1]) for i in range(3)])) == as_architectures(
        canonical
    )
    for i, j in itertools.product(range(3), repeat=2):
        one = network(space, X[i].tolist()) == network(space, X[j].tolist())
        assert one == (canonical[i] == canonical[j]).all()
    for encoded, form in zip(X.tolist(), canonical.tolist(), strict=True):
        assert network(space, encoded) == network(space, form)
        assert list(space.parse(space.describe(tuple(encoded))["architecture"])) == form


class Refusing(Quiet):
    """Writes a share of what it is given, and then nothing, once."""

    share: float | None = None

    def write(self, descriptor, data):
        if self.share is None:
            return super().write(descriptor, data)
        os.write(descriptor, data[: int(len(data) * self.share)])
        self.share = None
        raise OSError(28, os.strerror(28))


fields = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers() | st.text(max_size=4), max_size=2)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), fields),
        st.tuples(st.just("refused"), st.floats(0, 0.99)),
        st.tuples(st.just("torn"), st.binary(max_size=30).filter(lambda junk: b"\n" not in junk)),
        st.tuples(st.just("again"), st.none()),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_a_journal_is_the_list_of_what_was_appended(fresh, taken):
    """A process may end between any two steps, or in a write; the twin is a list."""
    file, twin, disk = fresh() / "journal.jsonl", [], Refusing()
    journal = Journal(file, disk)
    for step, with_what in taken:
        if step == "append":
            journal.append("kind", **with_what)
            twin.append({"kind": "kind", **with_what})
        elif step == "refused":
            disk.share = with_what
            with pytest.raises(ResourceError):
                journal.append("lost", text="which is not on the disk")
        else:
            journal.close()
            if step == "torn":
                with file.open("ab") as stream:
                    stream.write(with_what)
            journal = Journal(file, disk)
        assert journal.records == twin
        assert read(file) == twin
    journal.close()
