"""The space `lite`: its encodings, texts and dictionaries, and what it refuses."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nat_core import plugins
from nat_core.contracts import FeatureSpace, OperatorSpace, SupernetSpace
from nat_core.encoding import as_architectures, as_encodings, random_encodings, sizes
from nat_core.errors import ConfigError

LITE1, LITE0 = "15-555-666-5555-6666-66666-5", "15-550-660-5550-6660-66660-5"
DEPTHS, KERNELS = (3, 3, 4, 4, 5, 1), (3, 5, 3, 5, 5, 3)  # published, of the six stages
LEFT_OUT = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]


@pytest.fixture(scope="module")
def whole(lite):
    return lite()


def network(space, row):
    """Brute force: what a row stands for, from the variables' choices alone."""
    codes = [variable.choices[i] for variable, i in zip(space.variables, row, strict=True)]
    stages, start = [], 1
    for depth in DEPTHS:
        live = [c for c in codes[start : start + depth] if c]
        while depth > 1 and depth - len(live) not in space.left_out:
            live.pop()
        stages.append(tuple(((3, 5)[(c - 1) % 2], (3, 4, 6)[(c - 1) // 2]) for c in live))
        start += depth
    return (codes[0], *stages)


def as_network(space, architecture):
    stages = (tuple((layer.kernel, layer.expand) for layer in stage) for stage in space.layout(architecture).stages)
    return (space.input_shape(architecture)[1], *stages)


def test_variables(whole):
    assert isinstance(whole, SupernetSpace)
    assert isinstance(whole, OperatorSpace)
    assert isinstance(whole, FeatureSpace)
    assert [v.name for v in whole.variables[:5]] == [
        "resolution",
        "stage1.layer1",
        "stage1.layer2",
        "stage1.layer3",
        "stage2.layer1",
    ]
    assert whole.variables[0].choices == tuple(range(120, 241, 8))
    layers = iter(whole.variables[1:])
    for depth, kernel in zip(DEPTHS, KERNELS, strict=True):
        live = (1, 3, 5) if kernel == 3 else (1, 2, 3, 4, 5, 6)
        for j in range(depth):
            assert next(layers).choices == ((0, *live) if depth > 1 and j >= depth - 2 else live)
    assert next(layers, None) is None


def test_the_published_networks(whole):
    lite1, lite0 = (whole.describe(whole.parse(text)) for text in (LITE1, LITE0))
    assert lite1["ks"] == [k for k, d in zip(KERNELS, DEPTHS, strict=True) for _ in range(d)]
    assert lite1["e"] == [6] * 20
    assert lite1["d"] == list(DEPTHS)
    assert lite1["r"] == 240
    assert lite0["d"] == [2, 2, 3, 3, 4, 1]
    assert whole.parse(LITE1) == tuple(len(v.choices) - 1 for v in whole.variables)


def test_round_trips(whole):
    X = whole.canonicalize(random_encodings(whole.variables, 200, np.random.default_rng(0)))
    for architecture in as_architectures(X):
        described = whole.describe(architecture)
        text = described["architecture"]
        for form in (
            text,
            f" {text}\n",
            described,
            json.loads(json.dumps(described)),
            architecture,
            list(architecture),
        ):
            assert whole.parse(form) == architecture
        assert whole.parse({k: described[k] for k in ("ks", "e", "d", "r")}) == architecture
        assert whole.parse(tuple(np.array(architecture))) == architecture
        codes = [v.choices[i] for v, i in zip(whole.variables[1:], architecture[1:], strict=True)]
        assert text.replace("-", "") == f"{architecture[0]:02d}" + "".join(map(str, codes))


def test_a_gap_moves_forward(whole):
    assert whole.parse("00-506-666-5505-6666-66605-5".replace("506", "505")) == whole.parse(
        "00-550-666-5550-6666-66650-5"
    )


@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_one_network_has_one_canonical_encoding(lite, left_out):
    """Every row of a space with one kind of layer."""
    space = lite(resolutions=[32, 40], kernels=[5], expands=[4], left_out=left_out)
    n = sizes(space.variables)
    X = np.stack(np.unravel_index(np.arange(n.prod()), tuple(n)), axis=1)
    before = X.copy()
    canonical = space.canonicalize(X)
    assert (before == X).all()
    assert canonical.dtype == np.int64
    assert (space.canonicalize(canonical) == canonical).all()
    encodings = {}
    for row, architecture in zip(as_architectures(X), as_architectures(canonical), strict=True):
        assert as_network(space, architecture) == as_network(space, row) == network(space, row)
        assert encodings.setdefault(network(space, row), architecture) == architecture
    assert len(set(encodings.values())) == len(encodings) == 2 * len(left_out) ** 5


@pytest.mark.parametrize("left_out", LEFT_OUT)
@pytest.mark.parametrize(("stage", "start"), [(1, 4), (2, 7), (4, 15)])
def test_canonical_rows_of_one_stage(lite, left_out, stage, start):
    """Every row of one stage with two kinds of layer, the other stages fixed."""
    space = lite(resolutions=[32], kernels=[5], expands=[3, 6], left_out=left_out)
    n, depth = sizes(space.variables), DEPTHS[stage]
    block = list(itertools.product(*(range(k) for k in n[start : start + depth])))
    X = np.zeros((len(block), 21), dtype=np.int64)
    X[:, start : start + depth] = block
    canonical = space.canonicalize(X)
    assert (space.canonicalize(canonical) == canonical).all()
    pairs = {network(space, r): a for r, a in zip(X.tolist(), as_architectures(canonical), strict=True)}
    assert len(set(pairs.values())) == len(pairs) == sum(2 ** (depth - k) for k in left_out)
    assert all(network(space, a) == net == as_network(space, a) for net, a in pairs.items())


@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_samples_are_canonical_and_uniform_over_depths(lite, left_out):
    space = lite(resolutions=[24, 32, 48], kernels=[3, 5], expands=[4], left_out=left_out)
    X = space.sample(1500, np.random.default_rng(7))
    assert X.dtype == np.int64
    assert (X >= 0).all()
    assert (sizes(space.variables) > X).all()
    assert (space.canonicalize(X) == X).all()
    seen = [as_network(space, a) for a in as_architectures(X)]
    assert {side for side, *_ in seen} == {24, 32, 48}
    for g, (depth, kernel) in enumerate(zip(DEPTHS, KERNELS, strict=True)):
        shares = np.bincount([depth - len(s[1 + g]) for s in seen], minlength=3) / len(seen)
        expected = [(k in left_out) / len(left_out) for k in range(3)] if depth > 1 else [1, 0, 0]
        assert np.abs(shares - expected).max() < 0.05
        assert {layer for s in seen for layer in s[1 + g]} == ({(3, 4), (5, 4)} if kernel == 5 else {(3, 4)})


def test_features_tell_networks_apart(whole):
    X = np.unique(whole.sample(500, np.random.default_rng(1)), axis=0)
    found = whole.features(X)
    assert len(np.unique(found, axis=0)) == len(X)
    assert found.min() >= 0
    corners = as_encodings([[0] * 21, [len(v.choices) - 1 for v in whole.variables]], 21)
    small, large = whole.features(whole.canonicalize(corners))
    assert (small <= found).all()
    assert (found <= large).all()
    assert whole.features(X[:0]).shape == (0, found.shape[1])


DICTIONARY = {"ks": [3] * 10, "e": [3] * 10, "d": [1, 1, 2, 2, 3, 1], "r": 240}
FORMS = "two digits.*dictionary with ks, e, d and r.*tuple of 21"
ROWS = "555-666-5555-6666-66666-5"
BAD = {
    "short": (LITE1[:-1], FORMS),
    "long": (LITE1 + "0", FORMS),
    "no dashes": (LITE1.replace("-", ""), FORMS),
    "other digits": (LITE1.replace("5", chr(0x665)), FORMS),
    "empty text": ("", FORMS),
    "resolution": (f"16-{ROWS}", "resolution has index 16; this space has 0 … 15"),
    "first layer": ("00-055-666-5555-6666-66666-5", "stage1.layer1 has code 0; this space has 1, 3, 5"),
    "kernel": ("00-556-666-5555-6666-66666-5", "stage1.layer3 has code 6; this space has 0, 1, 3, 5"),
    "no such code": ("00-555-667-5555-6666-66666-5", "stage2.layer3 has code 7; this space has 0, 1, 2"),
    "last stage": ("00-555-666-5555-6666-66666-0", "stage6.layer1 has code 0"),
    "none": (None, FORMS),
    "number": (15, FORMS),
    "float": (0.5, FORMS),
    "bytes": (b"\0" * 21, FORMS),
    "set": ({1, 2}, FORMS),
    "deep": ([[[[[[1]]]]]], FORMS),
    "no lists": ({}, FORMS),
    "half": ({"ks": [3] * 10, "e": [3] * 10}, FORMS),
    "text for a list": ({**DICTIONARY, "ks": "3" * 10}, FORMS),
    "floats": ({**DICTIONARY, "ks": [3.0] * 10}, FORMS),
    "nan": ({**DICTIONARY, "e": [math.nan] * 10}, FORMS),
    "bools": ({**DICTIONARY, "d": [True] * 6}, FORMS),
    "kernel in a list": ({**DICTIONARY, "ks": [5] * 10}, "ks of stage1 has 5; this space has 3"),
    "kernel 7": ({**DICTIONARY, "ks": [3, 7] + [3] * 8}, "ks of stage2 has 7; this space has 3, 5"),
    "expansion": ({**DICTIONARY, "e": [5] * 10}, "e has 5; this space has 3, 4, 6"),
    "depth": ({**DICTIONARY, "d": [4, 1, 1, 1, 2, 1]}, "d of stage1 is 4; this space has 1, 2, 3"),
    "two last": (
        {"ks": [3] * 13, "e": [3] * 13, "d": [1, 1, 2, 2, 5, 2], "r": 240},
        "d of stage6 is 2; this space has 1",
    ),
    "negative depth": ({**DICTIONARY, "d": [-1, 3, 2, 2, 3, 1]}, "d of stage1 is -1; this space has"),
    "ks short": ({**DICTIONARY, "ks": [3] * 9}, r"ks has 9 entries, e 10.*one entry for each layer .10."),
    "five stages": ({**DICTIONARY, "d": [2, 2, 2, 2, 2]}, "d needs 6 depths"),
    "r off the grid": ({**DICTIONARY, "r": 225}, "r is 225; this space has 120 … 240"),
    "r float": ({**DICTIONARY, "r": 240.0}, FORMS),
    "r missing": ({k: v for k, v in DICTIONARY.items() if k != "r"}, FORMS),
    "20 indices": ((0,) * 20, FORMS),
    "float indices": ((0.0,) * 21, FORMS),
    "index too large": ((16, *[0] * 20), "resolution has choice index 16; this space has 0 … 15"),
    "slot index too large": ((0, 3, *[0] * 19), "stage1.layer1 has choice index 3; this space has 0, 1, 2"),
    "negative index": ((-1, *[0] * 20), "resolution has choice index -1"),
    "vast index": ((10**30, *[0] * 20), "resolution has choice index 10000"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_architectures(whole, case):
    given_, message = BAD[case]
    whole.parse(DICTIONARY)
    with pytest.raises(ConfigError, match=rf"(?s){message}") as caught:
        whole.parse(given_)
    assert len(str(caught.value)) < 1000


def test_a_space_refuses_what_it_has_left_out(whole, lite):
    """A network that the space lacks is refused, never turned into another."""
    narrow = lite(kernels=[3], expands=[3, 6], left_out=[0, 2])
    cases = {
        "00-555-666-5555-5555-55555-5": "stage2.layer1 has code 6; this space has 1, 5",
        "00-355-555-5555-5555-55555-5": "stage1.layer1 has code 3; this space has 1, 5",
        "00-555-550-5555-5555-55555-5": "stage2 has depth 2; this space has 1, 3",
        "00-555-505-5555-5555-55555-5": "stage2 has depth 2; this space has 1, 3",
    }
    for text, message in cases.items():
        whole.parse(text)
        with pytest.raises(ConfigError, match=message):
            narrow.parse(text)
    deep = lite(left_out=[0])
    with pytest.raises(ConfigError, match=r"stage1\.layer3 has code 0; this space has 1"):
        deep.parse(LITE0)
    with pytest.raises(ConfigError, match="d of stage1 is 1; this space has 3"):
        deep.parse(DICTIONARY)


ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=25)
JUNK = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner))
LISTS = st.lists(st.integers(-1, 8) | st.sampled_from([3, 5]) | ATOMS, max_size=21)
DICTIONARIES = st.fixed_dictionaries(
    {}, optional={"ks": LISTS | JUNK, "e": LISTS | JUNK, "d": LISTS | JUNK, "r": ATOMS | LISTS}
)
TEXTS = st.lists(st.text(alphabet="0123456789", min_size=1, max_size=5), min_size=7, max_size=7).map("-".join)
INDICES = st.lists(st.integers(-1, 7), min_size=20, max_size=22)


@settings(max_examples=400, deadline=None)
@given(text_or_dict=JUNK | DICTIONARIES | TEXTS | INDICES)
def test_parse_raises_config_errors_alone(text_or_dict):
    space = plugins.find("search_spaces", "lite")(left_out=[0, 2])
    try:
        architecture = space.parse(text_or_dict)
    except ConfigError:
        return
    X = as_encodings([architecture], 21)
    assert (space.canonicalize(X) == X).all()
    assert space.parse(space.describe(architecture)) == architecture


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolutions": []}, "lite.resolutions.*1 to 100 sides"),
        ({"resolutions": [0, 32]}, "lite.resolutions.*at least 1"),
        ({"resolutions": [64, 32]}, "lite.resolutions.*rising order"),
        ({"resolutions": [32, 32]}, "lite.resolutions.*each once"),
        ({"resolutions": range(32, 133)}, "lite.resolutions.*1 to 100"),
        ({"kernels": [7]}, "lite.kernels.*3, 5"),
        ({"expands": [5]}, "lite.expands.*3, 4, 6"),
        ({"left_out": [3]}, "lite.left_out.*0, 1, 2"),
        ({"left_out": []}, "lite.left_out.*0, 1, 2"),
        ({"left_out": [1, 0]}, "lite.left_out.*rising"),
        ({"classes": 0}, "lite.classes.*at least one"),
        ({"mean": [0.5] * 3}, "lite.mean and lite.std belong together"),
        ({"mean": [0.5] * 3, "std": [0.0, 1, 1]}, "lite.std.*above 0"),
        ({"mean": [0.5] * 2, "std": [0.5] * 3}, "lite.mean.*three numbers"),
        ({"mean": [math.nan] * 3, "std": [0.5] * 3}, "lite.mean.*three numbers"),
    ],
)
def test_bad_options(lite, options, message):
    with pytest.raises(ConfigError, match=message):
        lite(**options)


def test_default_resolutions(lite):
    """Multiples of 8 in rising order, from half of the side, which is held in 32 … 240."""
    for size in range(-5, 600):
        sides = lite(image_size=size).resolutions
        top = min(max(size, 32), 240)
        assert list(sides) == list(range(sides[0], sides[-1] + 1, 8))
        assert sides[0] % 8 == 0
        assert top - 8 < sides[-1] <= top
        assert sides[-1] / 2 - 8 < sides[0] <= sides[-1] / 2
    assert lite().resolutions == lite(image_size=240).resolutions == lite(image_size=4000).resolutions
    assert lite(image_size=8).resolutions == (16, 24, 32)
    assert lite(image_size=64, resolutions=[40]).resolutions == (40,)
    assert lite(resolutions=[224]).input_shape((0,) * 21) == (3, 224, 224)
