"""The space `mbv3`: its encodings, texts and dictionaries, and what it refuses."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nat_core import plugins
from nat_core.contracts import OperatorSpace, SearchSpace, SupernetSpace
from nat_core.encoding import as_architectures, as_encodings, random_encodings, sizes
from nat_core.errors import ConfigError

M1 = "08011001440551052208877"
IMAGENET = {
    "NAT-M1": (M1, 224, 1.0, [2, 3, 3, 3, 4]),
    "NAT-M2": ("08111003100632076009771", 224, 1.2, [2, 2, 3, 2, 4]),
    "NAT-M3": ("08121105451581189759771", 224, 1.2, [3, 4, 4, 4, 4]),
    "NAT-M4": ("12115105572981578947781", 240, 1.2, [3, 4, 4, 4, 4]),
}
DEPTHS = [(2,), (3,), (4,), (2, 3), (2, 4), (3, 4), (2, 3, 4)]
KERNELS, EXPANDS = (3, 5, 7), (3, 4, 6)


@pytest.fixture(scope="module")
def paper(mbv3):
    return mbv3()


def network(space, row):
    """Brute force: what a row stands for, from the variables' choices alone."""
    codes = [space.variables[i].choices[row[i]] for i in range(2, 22)]
    stages = []
    for g in range(5):
        live = [c for c in codes[4 * g : 4 * g + 4] if c]
        while len(live) not in space.depths:
            live.pop()
        stages.append(tuple((KERNELS[(c - 1) % 3], EXPANDS[(c - 1) // 3]) for c in live))
    return (space.variables[0].choices[row[0]], space.variables[1].choices[row[1]], *stages)


def as_network(space, architecture):
    layout = space.layout(architecture)
    stages = (tuple((layer.kernel, layer.expand) for layer in stage) for stage in layout.stages)
    return (space.input_shape(architecture)[1], layout.width, *stages)


def test_variables(paper):
    assert isinstance(paper, SearchSpace)
    assert isinstance(paper, SupernetSpace)
    assert isinstance(paper, OperatorSpace)
    assert len(paper.variables) == 22
    assert paper.variables[0].choices == tuple(range(192, 257, 4))
    assert paper.variables[1].choices == (1.0, 1.2)
    for i, variable in enumerate(paper.variables[2:]):
        assert variable.choices == tuple(range(1 if i % 4 < 2 else 0, 10))
    assert len({v.name for v in paper.variables}) == 22


@pytest.mark.parametrize("name", IMAGENET)
def test_published_imagenet_networks(paper, reference, name):
    text, side, width, depths = IMAGENET[name]
    folder = reference / "imagenet" / name
    assert (folder / "net.encoding").read_text().strip() == text
    subnet = json.loads((folder / "net.subnet").read_text())
    architecture = paper.parse(text)
    assert architecture == paper.parse(subnet)
    described = paper.describe(architecture)
    assert described == {"architecture": text, **subnet}
    assert (described["r"], described["w"], described["d"]) == (side, width, depths)


def test_every_published_subnet_file_is_read(mbv3, reference):
    files = sorted(reference.glob("*/*/net.subnet"))
    assert len(files) >= 10
    space = mbv3()
    for file in files:
        subnet = {"w": 1.2, **json.loads(file.read_text())}  # the published CIFAR-100 and CINIC-10 lack w
        described = space.describe(space.parse(subnet))
        assert {key: described[key] for key in subnet} == subnet


def test_round_trips(paper):
    rng = np.random.default_rng(0)
    X = paper.canonicalize(random_encodings(paper.variables, 300, rng))
    for architecture in as_architectures(X):
        described = paper.describe(architecture)
        text = described["architecture"]
        assert len(text) == 23
        assert paper.parse(text) == architecture
        assert paper.parse(f" {text}\n") == architecture
        assert paper.parse(described) == architecture
        assert paper.parse(json.loads(json.dumps(described))) == architecture
        assert paper.parse({k: described[k] for k in ("ks", "e", "d", "r", "w")}) == architecture
        assert paper.parse({**described, "r": [described["r"]]}) == architecture
        assert paper.parse(architecture) == architecture
        assert paper.parse(list(architecture)) == architecture
        assert paper.parse(tuple(np.array(architecture))) == architecture


def test_the_text_is_the_codes_themselves(paper):
    for architecture in as_architectures(paper.sample(50, np.random.default_rng(1))):
        codes = [v.choices[i] for v, i in zip(paper.variables[2:], architecture[2:], strict=True)]
        assert paper.describe(architecture)["architecture"] == f"{architecture[0]:02d}{architecture[1]}" + "".join(
            map(str, codes)
        )


def test_lists_of_all_20_layers(paper):
    """OFA samples 20 kernels and expansions whatever the depths; those of skipped layers mean nothing."""
    full = {"ks": [3, 5, 7, 7] * 5, "e": [6, 4, 3, 0] * 5, "d": [3] * 5, "r": 224, "w": 1.0}
    live = {**full, "ks": [3, 5, 7] * 5, "e": [6, 4, 3] * 5}
    assert paper.parse(full) == paper.parse(live)


def test_a_gap_moves_forward(paper):
    assert paper.parse("080" + "1105" * 5) == paper.parse("080" + "1150" * 5)


def test_what_is_left_out_has_to_be_unique(mbv3):
    space = mbv3(resolutions=[224], widths=[1.2])
    given_ = {"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5}
    assert space.describe(space.parse(given_))["architecture"] == "001" + "1100" * 5
    for missing, options in (("w", {"resolutions": [224]}), ("r", {"widths": [1.0]})):
        with pytest.raises(ConfigError, match=rf"^{missing} is missing.*this space has"):
            mbv3(**options).parse(given_)


@pytest.mark.parametrize("depths", DEPTHS)
def test_one_network_has_one_canonical_encoding(mbv3, depths):
    """Every row of a space with one kind of layer: 2 sides × 2 widths × up to 1,024."""
    space = mbv3(resolutions=[32, 36], kernels=[5], expands=[4], depths=depths)
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
    assert len(set(encodings.values())) == len(encodings) == 4 * len(depths) ** 5


@pytest.mark.parametrize("depths", DEPTHS)
def test_canonical_rows_of_one_stage(mbv3, depths):
    """Every row of one stage with four kinds of layer, the other stages fixed."""
    space = mbv3(resolutions=[32], widths=[1.0], kernels=[3, 7], expands=[3, 6], depths=depths)
    n = sizes(space.variables)
    for g in range(5):
        block = list(itertools.product(*(range(k) for k in n[2 + 4 * g : 6 + 4 * g])))
        X = np.zeros((len(block), 22), dtype=np.int64)
        X[:, 2 + 4 * g : 6 + 4 * g] = block
        canonical = space.canonicalize(X)
        assert (space.canonicalize(canonical) == canonical).all()
        pairs = {network(space, r): a for r, a in zip(X.tolist(), as_architectures(canonical), strict=True)}
        assert len(set(pairs.values())) == len(pairs) == sum(4**d for d in depths)
        assert all(network(space, a) == net == as_network(space, a) for net, a in pairs.items())


def test_canonicalize_takes_any_memory_order_and_no_rows(paper):
    X = random_encodings(paper.variables, 200, np.random.default_rng(3))
    expected = paper.canonicalize(X)
    assert (expected != X).any()
    assert (paper.canonicalize(np.asfortranarray(X)) == expected).all()
    assert (paper.canonicalize(X[::-1])[::-1] == expected).all()
    assert paper.canonicalize(X[:0]).shape == (0, 22)
    assert paper.sample(0, np.random.default_rng(0)).shape == (0, 22)


@pytest.mark.parametrize("depths", DEPTHS)
def test_samples_are_canonical_and_within_the_options(mbv3, depths):
    space = mbv3(resolutions=[24, 32, 48], widths=[1.2], kernels=[3, 7], expands=[4], depths=depths)
    X = space.sample(400, np.random.default_rng(7))
    assert X.dtype == np.int64
    assert (X >= 0).all()
    assert (sizes(space.variables) > X).all()
    assert (space.canonicalize(X) == X).all()
    seen = [as_network(space, a) for a in as_architectures(X)]
    assert {side for side, *_ in seen} == {24, 32, 48}
    assert {width for _, width, *_ in seen} == {1.2}
    for g in range(5):
        assert {len(s[2 + g]) for s in seen} == set(depths)
        assert {layer for s in seen for layer in s[2 + g]} == {(3, 4), (7, 4)}
    assert (space.sample(400, np.random.default_rng(7)) == X).all()


def test_samples_are_uniform_over_depths(paper):
    """A third of each depth: uniform over rows would give nine tenths of depth 4."""
    X = paper.sample(3000, np.random.default_rng(2))
    depth = (paper._slots(X).reshape(-1, 4) != 0).sum(1)
    shares = np.bincount(depth, minlength=5)[2:] / len(depth)
    assert np.abs(shares - 1 / 3).max() < 0.02


def test_subset_spaces_read_and_write_the_published_text(mbv3):
    space = mbv3(widths=[1.2], kernels=[3, 5], expands=[3, 6], depths=[2, 4])
    for architecture in as_architectures(space.sample(50, np.random.default_rng(0))):
        described = space.describe(architecture)
        assert described["architecture"][2] == "1"
        assert space.parse(described) == space.parse(described["architecture"]) == architecture


DICTIONARY = {"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 224, "w": 1.0}
FORMS = "23 digits.*dictionary with ks, e, d, r and w.*tuple of 22"
BAD = {
    "short": (M1[:-1], FORMS),
    "long": (M1 + "0", FORMS),
    "letters": ("x" * 23, FORMS),
    "superscripts": ("²" * 23, FORMS),
    "other digits": ("٠٨٠١١٠٠١٤٤٠٥٥١٠٥٢٢٠٨٨٧٧", FORMS),
    "empty text": ("", FORMS),
    "resolution": ("17" + M1[2:], "resolution has index 17; this space has 0 … 16"),
    "width": ("082" + M1[3:], "width has index 2; this space has 0, 1"),
    "first slot": ("080" + "0111" * 5, "stage1.layer1 has code 0; this space has 1, 2"),
    "second slot": ("080" + "1111" * 4 + "1011", "stage5.layer2 has code 0; this space has 1, 2"),
    "none": (None, FORMS),
    "number": (8011001440551052208877, FORMS),
    "float": (0.5, FORMS),
    "bool": (True, FORMS),
    "bytes": (b"\0" * 22, FORMS),
    "set": ({1, 2}, FORMS),
    "deep": ([[[[[[1]]]]]], FORMS),
    "no lists": ({}, FORMS),
    "half": ({"ks": [3] * 10, "e": [3] * 10}, FORMS),
    "text for a list": ({**DICTIONARY, "ks": "3333333333"}, FORMS),
    "number for a list": ({**DICTIONARY, "ks": 3}, FORMS),
    "null for a list": ({**DICTIONARY, "e": None}, FORMS),
    "dictionary for a list": ({**DICTIONARY, "d": {2: 2, 3: 3, 4: 4}}, FORMS),
    "floats": ({**DICTIONARY, "ks": [3.0] * 10}, FORMS),
    "infinite": ({**DICTIONARY, "ks": [math.inf] * 10}, FORMS),
    "nan": ({**DICTIONARY, "e": [math.nan] * 10}, FORMS),
    "bools": ({**DICTIONARY, "d": [True] * 5}, FORMS),
    "nested": ({**DICTIONARY, "d": [[2]] * 5}, FORMS),
    "kernel": ({**DICTIONARY, "ks": [3] * 9 + [9]}, "ks has 9; this space has 3, 5, 7"),
    "expansion": ({**DICTIONARY, "e": [5] * 10}, "e has 5; this space has 3, 4, 6"),
    "depth": ({**DICTIONARY, "d": [1, 2, 2, 2, 3]}, "d has 1; this space has 2, 3, 4"),
    "negative depth": ({**DICTIONARY, "d": [-2, 4, 2, 2, 4]}, "d has -2; this space has"),
    "ks short": ({**DICTIONARY, "ks": [3] * 9}, "ks has 9 entries, e 10.*each live layer .10. or for all 20"),
    "too few for d": ({**DICTIONARY, "d": [4] * 5}, "ks has 10 entries.*live layer .20. or for all 20"),
    "four stages": ({**DICTIONARY, "d": [2, 2, 3, 3]}, "d needs 5 depths"),
    "r off the grid": ({**DICTIONARY, "r": 225}, "r is 225; this space has 192 … 256"),
    "r nan": ({**DICTIONARY, "r": math.nan}, "r is nan; this space has"),
    "r infinite": ({**DICTIONARY, "r": math.inf}, "r is inf; this space has"),
    "r vast": ({**DICTIONARY, "r": 10**400}, "r is 1000.*; this space has"),
    "r text": ({**DICTIONARY, "r": "224"}, FORMS),
    "r list": ({**DICTIONARY, "r": [192, 224]}, FORMS),
    "w": ({**DICTIONARY, "w": 1.1}, "w is 1.1; this space has 1.0, 1.2"),
    "w bool": ({**DICTIONARY, "w": True}, FORMS),
    "w missing": ({k: v for k, v in DICTIONARY.items() if k != "w"}, "w is missing.*this space has 1.0, 1.2"),
    "21 indices": ((0,) * 21, FORMS),
    "float indices": ((0.0,) * 22, FORMS),
    "bool indices": ((False,) * 22, FORMS),
    "none among indices": ((0,) * 21 + (None,), FORMS),
    "index too large": ((17, *[0] * 21), "resolution has choice index 17; this space has 0 … 16"),
    "slot index too large": ((0, 0, 9, *[0] * 19), "stage1.layer1 has choice index 9; this space has 0, 1.*8"),
    "negative index": ((-1, *[0] * 21), "resolution has choice index -1"),
    "vast index": ((10**30, *[0] * 21), "resolution has choice index 10000"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_architectures(paper, case):
    given_, message = BAD[case]
    with pytest.raises(ConfigError, match=rf"(?s){message}"):
        paper.parse(given_)


def test_a_space_refuses_what_it_has_left_out(mbv3):
    """A network that the space lacks is refused, never turned into another."""
    whole = mbv3()
    narrow = mbv3(kernels=[3, 5], expands=[3, 6], depths=[2, 4], widths=[1.2])
    cases = {
        "kernel": ({**DICTIONARY, "w": 1.2, "ks": [7] * 10}, "ks has 7; this space has 3, 5"),
        "expansion": ({**DICTIONARY, "w": 1.2, "e": [4] * 10}, "e has 4; this space has 3, 6"),
        "depth": (
            {**DICTIONARY, "w": 1.2, "ks": [3] * 15, "e": [3] * 15, "d": [3] * 5},
            "d has 3; this space has 2, 4",
        ),
        "depth in digits": ("081" + "1110" * 5, "stage1 has depth 3; this space has 2, 4"),
        "gap in digits": ("081" + "1100" * 4 + "1101", "stage5 has depth 3; this space has 2, 4"),
        "kernel in digits": ("081" + "1300" * 5, "stage1.layer2 has code 3; this space has 1, 2, 7, 8"),
        "width in digits": ("080" + "1100" * 5, "width has index 0; this space has 1"),
        "width": (DICTIONARY, r"w is 1.0; this space has 1\.2"),
    }
    for given_, message in cases.values():
        if "w is" not in message:
            whole.parse(given_)
        with pytest.raises(ConfigError, match=message):
            narrow.parse(given_)
    deep = mbv3(depths=[3])
    with pytest.raises(ConfigError, match="d has 2; this space has 3"):
        deep.parse(DICTIONARY)
    with pytest.raises(ConfigError, match="this space has"):
        deep.parse("080" + "1100" * 5)


def test_messages_stay_short(paper):
    deep = []
    for _ in range(5000):
        deep = [deep]
    for junk in ("9" * 100_000, [0] * 100_000, {str(i): i for i in range(10_000)}, deep, {"ks": deep}):
        with pytest.raises(ConfigError) as caught:
            paper.parse(junk)
        assert len(str(caught.value)) < 1000


ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=25)
JUNK = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner))
LISTS = st.lists(st.integers(-1, 8) | st.sampled_from([3, 5, 7]) | ATOMS, max_size=21)
DICTIONARIES = st.fixed_dictionaries(
    {}, optional={"ks": LISTS | JUNK, "e": LISTS | JUNK, "d": LISTS | JUNK, "r": ATOMS | LISTS, "w": ATOMS | LISTS}
)
DIGITS = st.text(alphabet="0123456789", min_size=22, max_size=24)
INDICES = st.lists(st.integers(-1, 10), min_size=21, max_size=23)


@settings(max_examples=400, deadline=None)
@given(text_or_dict=JUNK | DICTIONARIES | DIGITS | INDICES)
def test_parse_raises_config_errors_alone(text_or_dict):
    space = plugins.find("search_spaces", "mbv3")(depths=[2, 4])
    try:
        architecture = space.parse(text_or_dict)
    except ConfigError:
        return
    X = as_encodings([architecture], 22)
    assert (space.canonicalize(X) == X).all()
    assert space.parse(space.describe(architecture)) == architecture


@settings(max_examples=200, deadline=None)
@given(head=st.integers(0, 16), width=st.integers(0, 1), codes=st.lists(st.integers(1, 9), min_size=20, max_size=20))
def test_parse_reads_every_valid_text(head, width, codes):
    space = plugins.find("search_spaces", "mbv3")()
    text = f"{head:02d}{width}" + "".join(map(str, codes))
    assert space.describe(space.parse(text))["architecture"] == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolutions": []}, "mbv3.resolutions.*1 to 100 sides"),
        ({"resolutions": [0, 32]}, "mbv3.resolutions.*at least 1"),
        ({"resolutions": [64, 32]}, "mbv3.resolutions.*rising order"),
        ({"resolutions": [32, 32]}, "mbv3.resolutions.*each once"),
        ({"resolutions": range(32, 133)}, "mbv3.resolutions.*1 to 100"),
        ({"widths": []}, "mbv3.widths.*1.0, 1.2"),
        ({"widths": [1.1]}, "mbv3.widths.*1.0, 1.2"),
        ({"widths": [1.2, 1.0]}, "mbv3.widths.*rising"),
        ({"kernels": [4]}, "mbv3.kernels.*3, 5, 7"),
        ({"expands": [5]}, "mbv3.expands.*3, 4, 6"),
        ({"depths": [1, 2]}, "mbv3.depths.*2, 3, 4"),
        ({"depths": [2, 2]}, "mbv3.depths.*each once"),
        ({"classes": 0}, "mbv3.classes.*at least one"),
    ],
)
def test_bad_options(mbv3, options, message):
    with pytest.raises(ConfigError, match=message):
        mbv3(**options)


def test_default_resolutions(mbv3):
    """Multiples of 4 in rising order, from three quarters of the side, which is held in 32 … 256."""
    for size in range(-5, 600):
        sides = mbv3(image_size=size).resolutions
        top = min(max(size, 32), 256)
        assert list(sides) == list(range(sides[0], sides[-1] + 1, 4))
        assert sides[0] % 4 == 0
        assert top - 4 < sides[-1] <= top
        assert sides[-1] * 3 / 4 - 4 < sides[0] <= sides[-1] * 3 / 4
    assert mbv3().resolutions == mbv3(image_size=256).resolutions == mbv3(image_size=4000).resolutions
    assert mbv3(image_size=8).resolutions == (24, 28, 32)
    assert mbv3(image_size=64, resolutions=[40]).resolutions == (40,)
    assert mbv3(resolutions=[224]).input_shape((0,) * 22) == (3, 224, 224)
