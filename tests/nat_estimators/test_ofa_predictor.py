"""The estimator ofa-predictor: its input, its values, and what it refuses. Most tests use random weights."""

from __future__ import annotations

import copy
import math
import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from nat_core import plugins
from nat_core.encoding import as_encodings
from nat_core.errors import ConfigError

SIDES = (160, 176, 192, 208, 224)
SIZES = ((0, 128, 400), (2, 400, 400), (4, 400, 400), (6, 400, 1))


def mbv3(**options):
    return plugins.find("search_spaces", "mbv3")(**{"widths": (1.2,), "resolutions": SIDES, **options})


def made(space, file):
    return plugins.find("estimators", "ofa-predictor")(space, weights=str(file))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    layers = [nn.Linear(128, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(400, 1))


@pytest.fixture
def file(tmp_path, network):
    torch.save(network.state_dict(), tmp_path / "p.pth")
    return tmp_path / "p.pth"


@pytest.fixture
def estimator(file):
    return made(mbv3(), file)


def by_hand(described):
    """The layout as once-for-all's tutorial states it, from OFA's dictionary over live layers."""
    row = np.zeros(128)
    live = zip(described["ks"], described["e"], strict=True)
    for stage, depth in enumerate(described["d"]):
        for position in range(depth):
            kernel, expand = next(live)
            layer = 4 * stage + position
            row[3 * layer + (3, 5, 7).index(kernel)] = 1
            row[60 + 3 * layer + (3, 4, 6).index(expand)] = 1
    row[120 + (described["r"] - 112) // 16] = 1
    return row


@pytest.mark.parametrize(
    "options",
    [{}, {"resolutions": (176, 224)}, {"kernels": (3, 7), "expands": (4,)}, {"depths": (2, 4)}, {"depths": (3,)}],
    ids=str,
)
def test_its_input_is_laid_out_as_published(file, options):
    space = mbv3(**options)
    X = space.sample(200, np.random.default_rng(0))
    expected = [by_hand(space.describe(tuple(x))) for x in X.tolist()]
    assert (made(space, file).inputs(X) == np.array(expected)).all()


def test_a_row_that_is_not_canonical_is_the_network_that_it_is(estimator):
    gap, moved = (as_encodings([(0, 0, *stage * 5)], 22) for stage in ((0, 0, 0, 5), (0, 0, 5, 0)))
    assert (estimator.inputs(gap) == estimator.inputs(moved)).all()


def test_it_is_one_minus_what_the_network_says(estimator, network):
    X = estimator.space.sample(300, np.random.default_rng(1))
    with torch.inference_mode():
        said = copy.deepcopy(network).double()(torch.from_numpy(estimator.inputs(X))).numpy()[:, 0]
    measured = estimator(X)
    assert [m.value for m in measured] == pytest.approx(1 - said, abs=1e-12)
    assert not any(m.reason for m in measured)
    alone = [estimator(X[[i]])[0].value for i in range(20)]
    assert alone == pytest.approx([m.value for m in measured[:20]], abs=1e-12)
    assert estimator(X[:0]) == []


def test_a_prediction_that_is_no_number_is_a_failure_with_its_reason(tmp_path, network):
    torch.save({n: torch.full_like(t, 3e38) for n, t in network.state_dict().items()}, tmp_path / "h.pth")
    huge = made(mbv3(), tmp_path / "h.pth")
    assert math.isfinite(huge(mbv3().sample(1, np.random.default_rng(0)))[0].value)
    huge._weights["6.bias"][:] = np.nan
    (measurement,) = huge(mbv3().sample(1, np.random.default_rng(0)))
    assert math.isnan(measurement.value)
    assert "not finite" in measurement.reason


@pytest.mark.parametrize(
    "options",
    [
        {"widths": (1.0,)},
        {"widths": (1.0, 1.2)},
        {"resolutions": (144, 160)},
        {"resolutions": (164,)},
        {"resolutions": tuple(range(192, 257, 4))},
    ],
    ids=str,
)
def test_another_space_is_refused_saying_what_to_set(file, options):
    with pytest.raises(ConfigError, match=r"-s mbv3.widths=1.2 -s mbv3.resolutions=160,176,192,208,224"):
        made(mbv3(**options), file)


def test_a_space_of_another_kind_is_refused(file, space):
    with pytest.raises(ConfigError, match="mbv3 alone, and this is a ToySpace"):
        made(space, file)


def changed(**changes):
    return lambda state: {**state, **changes}


FAULTS = {
    "a layer missing": (lambda s: {n: t for n, t in s.items() if n != "4.bias"}, r"4.bias is absent, not \(400,\)"),
    "a layer more": (changed(**{"8.bias": torch.zeros(3)}), "'8.bias' is unknown"),
    "another input": (changed(**{"0.weight": torch.zeros(400, 82)}), r"0.weight is \(400, 82\), not \(400, 128\)"),
    "transposed": (changed(**{"0.weight": torch.zeros(128, 400)}), r"0.weight is \(128, 400\)"),
    "not finite": (changed(**{"2.bias": torch.full((400,), math.nan)}), "2.bias holds values that are not finite"),
    "no names": (lambda s: list(s.values()), "holds a list that is not a mapping"),
    "no tensors": (lambda s: dict.fromkeys(s, 3), "not a mapping from names to tensors"),
    "nested": (lambda s: {"state_dict": s}, "not a mapping from names to tensors"),
    "nothing": (lambda _: {}, "0.weight is absent"),
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)
def test_a_file_of_something_else(tmp_path, network, fault, said):
    torch.save(fault(dict(network.state_dict())), tmp_path / "f.pth")
    with pytest.raises(ConfigError, match=said) as caught:
        made(mbv3(), tmp_path / "f.pth")
    assert "f.pth" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"PK\x03\x04 cut", b"not a file of torch", bytes(range(256)) * 9]
)
def test_a_damaged_file(tmp_path, content):
    (tmp_path / "f.pth").write_bytes(content)
    with pytest.raises(ConfigError, match=r"f.pth cannot be read safely"):
        made(mbv3(), tmp_path / "f.pth")


def test_a_file_cut_short(tmp_path, file):
    (tmp_path / "f.pth").write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(ConfigError, match=r"f.pth cannot be read safely"):
        made(mbv3(), tmp_path / "f.pth")


class Touch:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (self.canary,)


def test_a_pickle_is_not_run(tmp_path, network):
    canary = tmp_path / "canary"
    with (tmp_path / "p.pth").open("wb") as stream:
        pickle.dump({"0.weight": Touch(str(canary))}, stream)
    torch.save({**network.state_dict(), "0.bias": Touch(str(canary))}, tmp_path / "t.pth")
    for name in ("p.pth", "t.pth"):
        with pytest.raises(ConfigError, match="other objects than tensors, or is damaged"):
            made(mbv3(), tmp_path / name)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["nowhere.pth", ".", "a\0b", "~nobody-by-that-name/p.pth"])
def test_no_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot read ofa-predictor.weights="):
        made(mbv3(), name)


def test_its_fingerprint_is_the_files(tmp_path, file, estimator, network):
    (tmp_path / "copy.pth").write_bytes(file.read_bytes())
    assert made(mbv3(), tmp_path / "copy.pth").fingerprint == estimator.fingerprint
    torch.save({n: t + 1 for n, t in network.state_dict().items()}, tmp_path / "other.pth")
    assert made(mbv3(), tmp_path / "other.pth").fingerprint != estimator.fingerprint


SMALLEST, LARGEST = "1100" * 5, "9" * 20


@pytest.mark.parametrize(
    ("side", "smallest", "largest"), [(160, 0.7531, 0.8075), (192, 0.7704, 0.8271), (224, 0.7774, 0.8359)]
)
def test_check_values_of_the_published_file(shared, side, smallest, largest):
    estimator = made(mbv3(), shared / "reference" / "ofa_acc_predictor.pth")
    codes = [estimator.space.parse(f"{SIDES.index(side):02d}1{layers}") for layers in (SMALLEST, LARGEST)]
    assert estimator.accuracy(as_encodings(codes, 22)) == pytest.approx([smallest, largest], abs=5e-5)


@pytest.mark.parametrize(
    ("layers", "accuracy"),
    [("11003100632076009771", 0.8125), ("21105451581189759771", 0.8324), ("15105572981578947781", 0.8321)],
    ids=["NAT-M2", "NAT-M3", "NAT-M4"],
)
def test_published_networks_at_224(shared, layers, accuracy):
    estimator = made(mbv3(), shared / "reference" / "ofa_acc_predictor.pth")
    X = as_encodings([estimator.space.parse("041" + layers)], 22)
    assert estimator.accuracy(X) == pytest.approx([accuracy], abs=5e-5)
