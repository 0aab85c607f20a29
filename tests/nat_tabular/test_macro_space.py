"""The space nas-bench-macro and its estimator, on a table made up here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nat_core import plugins
from nat_core.contracts import Fingerprinted, OperatorSpace
from nat_core.encoding import as_encodings, everything
from nat_core.errors import ConfigError
from nat_core.testing import CostModelContract, SearchSpaceContract
from nat_tabular.table import CODES


class TestSpace(SearchSpaceContract):
    pass


@pytest.mark.parametrize("name", ["macs", "params"])
class TestCosts(CostModelContract):
    @pytest.fixture
    def space(self, table):
        return plugins.find("search_spaces", "nas-bench-macro")(table=str(table))

    @pytest.fixture
    def cost_model(self, space, name):
        return plugins.find("cost_models", name)(space)


@pytest.fixture
def X(space):
    return everything(space.variables)


@pytest.mark.parametrize(("cost", "column"), [("macs", "flops"), ("params", "params")])
def test_cost_models_give_every_row_of_the_table(space, entries, X, cost, column):
    names = [space.describe(tuple(x))["architecture"] for x in X.tolist()]
    assert sorted(names) == sorted(entries)
    y = plugins.find("cost_models", cost)(space)(X)
    assert y.tolist() == [entries[name][column] for name in names]


def test_its_estimator_gives_every_error_of_the_table(space, entries, X):
    measured = plugins.find("estimators", "nas-bench-macro")(space)(X)
    names = [space.describe(tuple(x))["architecture"] for x in X.tolist()]
    errors = [1 - sum(entries[name]["test_acc"]) / 300 for name in names]
    assert [m.value for m in measured] == pytest.approx(errors, abs=1e-12)
    assert not any(m.reason for m in measured)


def test_its_estimator_wants_its_space():
    with pytest.raises(ConfigError, match="--space nas-bench-macro"):
        plugins.find("estimators", "nas-bench-macro")(plugins.find("search_spaces", "mbv3")())


def test_every_code_stays_as_it_is(space, X):
    assert (space.canonicalize(X) == X).all()


def test_two_orders_of_a_block_and_an_identity_are_one_network(space, X):
    """Of layers of equal shape: the fourth with the fifth, the seventh with the eighth; of no others."""
    features = space.features(X)
    assert features.shape == (6561, 18)
    assert features.min() == 0
    assert features.max() == 1
    assert len(np.unique(features, axis=0)) == 3**4 * 7 * 7
    for one, other, same in (
        ("00001000", "00010000", True),
        ("00000002", "00000020", True),
        ("00021000", "00012000", False),
        ("01000000", "00100000", False),
        ("10000000", "01000000", False),
        ("00000010", "00000100", False),
        ("00001000", "00002000", False),
    ):
        rows = space.features(as_encodings([space.parse(one), space.parse(other)], 8))
        assert (rows[0] == rows[1]).all() == same, (one, other)


def test_features_look_and_do_not_touch(space, X):
    before = X.copy()
    space.features(X)
    assert (before == X).all()


def test_forms_of_an_architecture(space):
    described = space.describe((0, 2, 0, 1, 2, 1, 0, 0))
    assert described == {
        "architecture": "02012100",
        "layers": ["Identity", "MB6_K5", "Identity", "MB3_K3", "MB6_K5", "MB3_K3", "Identity", "Identity"],
    }
    for form in ("02012100", " 02012100\n", described, {"architecture": "02012100"}, [0, 2, 0, 1, 2, 1, 0, 0]):
        assert space.parse(form) == (0, 2, 0, 1, 2, 1, 0, 0)


@pytest.mark.parametrize(
    "form",
    ["", "0201210", "020121000", "02012103", "0201210x", "٠١٢٠١٢٠١", "-2012100", {}, {"architecture": 3}, None, 2012100,
     (0,) * 7, (0, 1, 2, 0, 1, 2, 0, 3), (0, 1, 2, 0, 1, 2, 0, -1), (True,) * 8, (0.0,) * 8, b"02012100", "0" * 10**5],
)  # fmt: skip
def test_what_is_no_architecture(space, form):
    with pytest.raises(ConfigError, match=r"accepted are 8 digits of 0, 1, 2 \(Identity, MB3_K3, MB6_K5\)") as caught:
        space.parse(form)
    assert len(str(caught.value)) < 400


def test_its_table_is_recognised(space, table, tmp_path, entries):
    assert isinstance(space, OperatorSpace)
    assert isinstance(space, Fingerprinted)
    other = tmp_path / "t.json"
    other.write_text(json.dumps(entries | {"00000000": entries["00000000"] | {"std": 0.5}}))
    assert plugins.find("search_spaces", "nas-bench-macro")(table=str(other)).fingerprint != space.fingerprint
    other.write_bytes(table.read_bytes())
    assert plugins.find("search_spaces", "nas-bench-macro")(table=str(other)).fingerprint == space.fingerprint


def test_the_published_table(published):
    """Sizes and costs as published, its costs as sums."""
    space = plugins.find("search_spaces", "nas-bench-macro")(table=str(published))
    X, rows = everything(space.variables), json.loads(published.read_text())
    assert set(rows) == set(CODES)
    macs, params = (plugins.find("cost_models", name)(space)(X) for name in ("macs", "params"))
    errors = np.array([m.value for m in plugins.find("estimators", "nas-bench-macro")(space)(X)])
    assert macs.tolist() == [rows[code]["flops"] for code in CODES]
    assert params.tolist() == [rows[code]["params"] for code in CODES]
    assert errors == pytest.approx([1 - rows[code]["mean_acc"] / 100 for code in CODES], abs=1e-12)


def test_equal_networks_have_equal_rows_in_the_published_table(published):
    """Why the features are equal for the two orders of a block and an Identity."""
    rows = json.loads(published.read_text())
    for first, second in ((3, 4), (6, 7)):
        for code in CODES:
            if code[first] == "0" != code[second]:
                other = list(code)
                other[first], other[second] = code[second], code[first]
                assert rows[code] == rows["".join(other)]
