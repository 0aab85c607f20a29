"""Costs in closed form: against published numbers, against measured tables, and against torch's own counting."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nat_core import plugins
from nat_core.encoding import Variable, as_architectures, as_encodings
from nat_core.errors import ConfigError

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
MEASURED = SHARED / "reference" / "ofa_mbv3_w1.0_imagenet.jsonl.gz"

IMAGENET = {
    "08011001440551052208877": (6_067_408, 222_557_600),
    "08111003100632076009771": (7_688_312, 302_885_360),
    "08121105451581189759771": (9_066_368, 482_413_168),
    "12115105572981578947781": (9_135_928, 599_725_312),
}
PUBLISHED = {  # million parameters, million multiply-accumulates, encoding, classes of the data set
    "imagenet M1": (6.067, 222.56, "08011001440551052208877", 1000),
    "imagenet M2": (7.688, 302.89, "08111003100632076009771", 1000),
    "imagenet M3": (9.066, 482.41, "08121105451581189759771", 1000),
    "imagenet M4": (9.136, 599.73, "12115105572981578947781", 1000),
    "aircraft": (5.101, 384.69, "15111001100533282104144", 100),
    "cars": (2.629, 197.00, "16012006400351023002400", 196),
    "cifar10": (6.862, 464.11, "08133009600943296979931", 10),
    "cifar100": (8.983, 791.26, "08197999999996996999999", 100),
    "cinic10": (8.115, 497.74, "08128009990690089909999", 10),
    "dtd": (3.077, 208.81, "09075003100710084005540", 47),
    "flowers102": (4.184, 398.67, "12123404850390083106400", 102),
    "food101": (4.466, 357.20, "15034206741431084317770", 101),
    "pets": (5.004, 384.08, "10111007700741233319900", 37),
    "stl10": (4.984, 367.68, "10063007141993599217971", 10),
}
EXTREMES = {  # million parameters, and million multiply-accumulates at sides
    (1.0, "1100" * 5): (3.411, {96: 24.5, 128: 41.5, 192: 89.8, 224: 121.3, 256: 157.6}),
    (1.0, "9999" * 5): (7.665, {192: 417.3, 224: 566.2, 256: 738.0}),
    (1.2, "1100" * 5): (4.602, {192: 142.8, 224: 193.1, 256: 251.1}),
    (1.2, "9999" * 5): (10.702, {192: 621.3, 224: 843.1, 256: 1099.1}),
}


@pytest.fixture(scope="module")
def mbv3():
    return plugins.find("search_spaces", "mbv3")


@pytest.fixture(scope="module")
def priced():
    """`priced(space, architectures)`: parameters and multiply-accumulates, (n,) each."""
    params, macs = (plugins.find("cost_models", name) for name in ("params", "macs"))

    def price(space, architectures):
        X = as_encodings(architectures, 22)
        return params(space)(X), macs(space)(X)

    return price


def divisible(c):
    rounded = max(8, int(c + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * c else rounded


def by_hand(net, n_classes):
    """The published rule, layer by layer: (parameters, multiply-accumulates) of OFA's dictionary."""
    c = [divisible(b * net["w"]) for b in (16, 16, 24, 40, 80, 112, 160, 960, 1280)]
    params = macs = 0

    def convolution(c_in, c_out, kernel, side, groups=1, *, bias=False, norm=True):
        nonlocal params, macs
        weights = c_out * (c_in // groups) * kernel**2
        params += weights + c_out * bias + 2 * c_out * norm
        macs += weights * side**2

    side = (net["r"] + 1) // 2
    convolution(3, c[0], 3, side)
    convolution(c[0], c[0], 3, side, c[0])
    convolution(c[0], c[1], 1, side)
    c_in, i = c[1], 0
    for g, (stride, se) in enumerate(zip((2, 2, 2, 1, 2), (0, 1, 0, 1, 1), strict=True)):
        for j in range(net["d"][g]):
            mid = divisible(c_in * net["e"][i])
            convolution(c_in, mid, 1, side)
            side = (side + 1) // 2 if j == 0 and stride == 2 else side
            convolution(mid, mid, net["ks"][i], side, mid)
            if se:
                convolution(mid, divisible(mid // 4), 1, 1, bias=True, norm=False)
                convolution(divisible(mid // 4), mid, 1, 1, bias=True, norm=False)
            convolution(mid, c[g + 2], 1, side)
            c_in, i = c[g + 2], i + 1
    convolution(c_in, c[7], 1, side)
    convolution(c[7], c[8], 1, 1, norm=False)
    return params + (c[8] + 1) * n_classes, macs + c[8] * n_classes


def test_the_four_imagenet_networks_exactly(mbv3, priced):
    space = mbv3()
    params, macs = priced(space, [space.parse(text) for text in IMAGENET])
    assert list(zip(params, macs, strict=True)) == list(IMAGENET.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks(mbv3, priced, name):
    params_m, macs_m, text, classes = PUBLISHED[name]
    space = mbv3(classes=classes)
    (params,), (macs,) = priced(space, [space.parse(text)])
    assert f"{params / 1e6:.3f}" == f"{params_m:.3f}"
    assert f"{macs / 1e6:.2f}" == f"{macs_m:.2f}"


def test_published_subnet_files(mbv3, priced):
    folder = SHARED / "reference" / "nat_subnets"
    if not folder.is_dir():
        pytest.skip("the published NAT networks (shared/reference/nat_subnets) are not here")
    names = {f"imagenet M{i}": f"imagenet/NAT-M{i}" for i in (1, 2, 3, 4)}
    compared = 0
    for name, (_, _, text, classes) in PUBLISHED.items():
        for file in folder.glob(f"{names.get(name, name + '/*')}/net.subnet"):
            net = {"w": 1.2, **json.loads(file.read_text())}
            space = mbv3(classes=classes)
            assert space.describe(space.parse(net))["architecture"] == text
            (params,), (macs,) = priced(space, [space.parse(net)])
            assert (params, macs) == by_hand(net, classes)
            compared += 1
    assert compared >= 10


def test_extremes(mbv3, priced):
    space = mbv3(resolutions=[96, 128, 192, 224, 256])
    for (width, codes), (params_m, table) in EXTREMES.items():
        for side, macs_m in table.items():
            text = f"{space.resolutions.index(side):02d}{int(width == 1.2)}{codes}"
            (params,), (macs,) = priced(space, [space.parse(text)])
            assert f"{params / 1e6:.3f}" == f"{params_m:.3f}"
            assert f"{macs / 1e6:.1f}" == f"{macs_m:.1f}"


def test_all_measured_networks_exactly(mbv3, priced):
    """1,279 networks whose parameters and multiply-accumulates others have counted."""
    if not MEASURED.is_file():
        pytest.skip("the measured OFA networks (shared/reference) are not here")
    with gzip.open(MEASURED, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) == 1279
    space = mbv3()
    params, macs = priced(space, [space.parse({k: row[k] for k in ("ks", "e", "d", "r", "w")}) for row in rows])
    assert params.tolist() == [row["params"] for row in rows]
    assert macs.tolist() == [row["macs"] for row in rows]


def test_against_the_published_rule(mbv3, priced):
    space = mbv3(resolutions=[1, 2, 7, 24, 28, 32, 33, 50, 100, 132, 224, 255, 256], classes=37)
    architectures = as_architectures(space.sample(400, np.random.default_rng(0)))
    params, macs = priced(space, architectures)
    expected = [by_hand(space.describe(a), 37) for a in architectures]
    assert list(zip(params, macs, strict=True)) == expected


def test_against_torch(mbv3, priced, monkeypatch):
    """Twin: torch's own count on the meta device, tiny and odd sides included.

    On maps smaller than its kernel a depthwise layer computes with the kernel's centre alone. The cost is that of the
    whole kernel, as everybody counts it, so the plain convolution stands in.
    """
    from nat_mbv3.network import Depthwise

    monkeypatch.setattr(Depthwise, "forward", nn.Conv2d.forward)
    space = mbv3(resolutions=[24, 28, 32, 50, 100, 132, 224], classes=11)
    net = space.supernet(11).to("meta")
    X = space.sample(14, np.random.default_rng(5))
    X[:, 0], X[:, 1] = np.arange(14) % 7, np.arange(14) % 2  # each side at both widths
    params, macs = priced(space, as_architectures(X))
    for architecture, n_params, n_macs in zip(as_architectures(X), params, macs, strict=True):
        subnet = net.subnet(architecture).eval()
        assert sum(p.numel() for p in subnet.parameters()) == n_params
        assert count(subnet, space.input_shape(architecture)) == 2 * n_macs


def test_where_no_kernel_is_cut_the_network_itself_agrees(mbv3, priced):
    """The last map of side 100 is 4 × 4, the smallest on which a kernel of 7 stays whole."""
    space = mbv3(resolutions=[100, 128])
    net = space.supernet(1000).to("meta")
    architectures = [space.parse(f"0{r}{w}" + "9999" * 5) for r in (0, 1) for w in (0, 1)]
    for architecture, n_macs in zip(architectures, priced(space, architectures)[1], strict=True):
        assert count(net.subnet(architecture).eval(), space.input_shape(architecture)) == 2 * n_macs


def count(network, shape):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops()


def test_operators_are_what_the_contract_says(mbv3):
    space = mbv3(resolutions=[24, 32, 64, 224])
    names = [operator.name for operator in space.operators]
    assert len(set(names)) == len(names)
    assert all(operator.macs > 0 < operator.params for operator in space.operators)
    X = space.sample(200, np.random.default_rng(1))
    index = space.layers(X)
    assert index.shape == (200, 25)
    assert index.min() == -1
    assert index.max() < len(names)
    live = [sum(space.describe(a)["d"]) for a in as_architectures(X)]
    assert (index >= 0).sum(1).tolist() == [n + 5 for n in live]
    for row, architecture in zip(index[:20], as_architectures(X), strict=False):
        side = space.input_shape(architecture)[1]
        assert names[row[0]].startswith(f"first_conv-input:{side}x{side}x3-")


def test_rows_are_priced_one_by_one(mbv3, priced):
    space = mbv3(kernels=[3, 7], expands=[4], depths=[2, 4], widths=[1.2], resolutions=[64, 96])
    architectures = as_architectures(space.sample(50, np.random.default_rng(2)))
    params, macs = priced(space, architectures)
    assert params.dtype == macs.dtype == np.float64
    assert params.shape == macs.shape == (50,)
    for i, architecture in enumerate(architectures):
        assert [v.tolist() for v in priced(space, [architecture])] == [[params[i]], [macs[i]]]
        assert (params[i], macs[i]) == by_hand(space.describe(architecture), 1000)
    assert [v.shape for v in priced(space, [])] == [(0,), (0,)]


class Bare:
    """A space without operators."""

    variables = (Variable("a", (1, 2)),)

    def canonicalize(self, X):
        return X

    def sample(self, n, rng):
        return rng.integers(0, 2, (n, 1))

    def describe(self, architecture):
        return {"architecture": str(architecture)}

    def parse(self, text_or_dict):
        return text_or_dict


@pytest.mark.parametrize("name", ["macs", "params"])
def test_a_space_without_operators(name):
    with pytest.raises(ConfigError, match=f"{name} needs a space made of operators, and Bare has none"):
        plugins.find("cost_models", name)(Bare())
