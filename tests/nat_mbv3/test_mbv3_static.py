"""Networks that stand alone: NAT's published configs, and the `ofa` package's own networks of the same configs."""

from __future__ import annotations

import copy
import json
import warnings

import pytest
import torch
from net_files import SMALL, config_of, published_names

from nat_core.errors import ConfigError
from nat_mbv3.net_config import read_config
from nat_mbv3.network import MobileNetV3, initialise
from nat_mbv3.static import static_network

MISH = {"NAT-M1", "NAT-M2", "NAT-M3", "NAT-M4", "net-img@240-flops@400-top1@98.3"}


@pytest.fixture(scope="module")
def published(reference):
    files = sorted(reference.glob("*/*/net.config"))
    assert len(files) == 10
    return files


@pytest.fixture
def build(monkeypatch):
    """OFA's static network of a config; its package knows no Mish."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        networks = pytest.importorskip("ofa.imagenet_classification.networks", reason="the ofa package is not here")
        from ofa.utils import layers

    theirs = layers.build_activation

    def build_activation(name, inplace=True):  # noqa: FBT002 - as theirs
        return torch.nn.Mish() if name == "mish" else theirs(name, inplace)

    monkeypatch.setattr(layers, "build_activation", build_activation)

    def build(config):
        config = copy.deepcopy(config)
        for block in config["blocks"]:
            block["conv"] = block.pop("mobile_inverted_conv")
            block["conv"]["name"], block["name"] = "MBConvLayer", "ResidualBlock"
        net = networks.MobileNetV3.build_from_config(config)
        stream = torch.Generator().manual_seed(7)
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d):
                noise = torch.randn(module.weight.shape, generator=stream)
                module.weight.data = noise * (2 / module.weight[0].numel()) ** 0.5
            elif isinstance(module, torch.nn.BatchNorm2d):
                for tensor in (module.weight.data, module.running_var):
                    tensor.copy_(1 + 0.2 * torch.rand(tensor.shape, generator=stream))
                for tensor in (module.bias.data, module.running_mean):
                    tensor.copy_(0.1 * torch.randn(tensor.shape, generator=stream))
        return net.eval()

    return build


def old_names(state):
    """As NAT published them."""
    return {
        n.replace(".conv.", ".mobile_inverted_conv.", 1) if n.startswith("blocks") else n: t for n, t in state.items()
    }


def test_every_published_config_is_read(published, mbv3):
    mish = set()
    for file in published:
        found = read_config(file)
        subnet = {"w": 1.2, **json.loads((file.parent / "net.subnet").read_text())}
        assert found.describe() == subnet
        space = mbv3(resolutions=range(192, 257, 4))
        architecture = space.parse(found.describe())
        assert space.layout(architecture) == found.layout
        if (encoding := file.parent / "net.encoding").exists():
            assert space.describe(architecture)["architecture"] == encoding.read_text().strip()
        mish |= {file.parent.name} if found.mish else set()
    assert mish == MISH


@pytest.mark.parametrize("name", ["imagenet/NAT-M1", "imagenet/NAT-M4", "cars/*", "cinic10/*"])
def test_the_same_logits_as_ofas_static_network(reference, build, tmp_path, name):
    """Two of them with Mish, two with ReLU and hard swish, both widths; old and new names, whole and wrapped.

    In float64: statistics that no images were gathered for magnify the rounding of float32 in random networks.
    """
    (file,) = reference.glob(f"{name}/net.config")
    config = json.loads(file.read_text())
    theirs = build(config)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    with torch.inference_mode():
        wanted = copy.deepcopy(theirs).double()(images)
    assert wanted.std() > 1e-3
    old = old_names(theirs.state_dict())
    assert name != "imagenet/NAT-M1" or len(old) == 337
    zeros = {n: torch.zeros_like(t) for n, t in old.items()}
    for state in (old, {"state_dict": theirs.state_dict()}, {"state_dict": zeros, "state_dict_ema": old}):
        torch.save(state, tmp_path / "net.weights")
        found, network = static_network(file, tmp_path / "net.weights")
        assert not network.training
        assert found.n_classes == wanted.shape[1]
        assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in theirs.parameters())
        with torch.inference_mode():
            assert (network.double()(images) - wanted).abs().max() < 1e-10 * wanted.abs().max()


def test_mish_is_what_makes_the_difference(reference, build, tmp_path):
    """The same weights with OFA's own activations give other outputs: what users of NAT's M1 ran into."""
    config = json.loads((reference / "imagenet/NAT-M1/net.config").read_text())
    torch.save(build(config).state_dict(), tmp_path / "net.weights")
    plain = copy.deepcopy(config)
    stages = [2, 3, 3, 3, 4]
    acts = [
        "relu",
        *(a for a, d in zip(["relu", "relu", "h_swish", "h_swish", "h_swish"], stages, strict=True) for _ in range(d)),
    ]
    for block, act in zip(plain["blocks"], acts, strict=True):
        block["mobile_inverted_conv"]["act_func"] = act
    for name in ("first_conv", "final_expand_layer", "feature_mix_layer"):
        plain[name]["act_func"] = "h_swish"
    outputs = []
    for i, content in enumerate((config, plain)):
        (tmp_path / f"{i}").write_text(json.dumps(content))
        _, network = static_network(tmp_path / f"{i}", tmp_path / "net.weights")
        with torch.inference_mode():
            outputs.append(network(torch.ones(1, 3, 64, 64)))
    assert (outputs[0] - outputs[1]).abs().max() > 0.01 * outputs[0].abs().max()


@pytest.fixture(scope="module")
def small():
    """A config, and weights by the names of NAT."""
    network = MobileNetV3(SMALL, 7)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        initialise(network)
    return config_of(SMALL), published_names(network.state_dict())


@pytest.fixture
def written(small, tmp_path):
    """Write a changed config and changed weights; give both files."""

    def written(change=lambda _: None, weights=lambda _: None):
        config, state = copy.deepcopy(small[0]), dict(small[1])
        change(config)
        weights(state)
        (tmp_path / "net.config").write_text(json.dumps(config))
        torch.save({"state_dict": state}, tmp_path / "net.weights")
        return tmp_path / "net.config", tmp_path / "net.weights"

    return written


def block(config, i):
    return config["blocks"][i]["mobile_inverted_conv"]


def test_a_small_network(written):
    found, network = static_network(*written())
    assert found.layout == SMALL
    assert (found.side, found.n_classes, found.mish) == (32, 7, False)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    newer, _ = static_network(*written(lambda c: [b.update(conv=b.pop("mobile_inverted_conv")) for b in c["blocks"]]))
    assert newer == found
    found, _ = static_network(*written(lambda c: c.pop("img_size")))
    assert found.side == 224
    _, network = static_network(*written(lambda c: c["bn"].update(eps=1e-3)))
    assert {m.eps for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {1e-3}


CONFIGS = {
    "mixed": (lambda c: block(c, 3).update(act_func="mish"), "blocks.3.act_func is 'mish', and 'relu' is wanted"),
    "kernel": (lambda c: block(c, 2).update(kernel_size=9), "9 is none of 3, 5, 7"),
    "true": (lambda c: block(c, 0).update(stride=True), "blocks.0.stride is True, and 1 is wanted"),
    "stride": (lambda c: block(c, 2).update(stride=2), "blocks.2.stride is 2, and 1 is wanted"),
    "mid": (lambda c: block(c, 2).update(mid_channels=10**9), "mid_channels is 1000000000, and 96 is wanted"),
    "channels": (lambda c: block(c, 2).update(out_channels=25), "no net.config.*KeyError: 25"),
    "list": (lambda c: block(c, 2).update(out_channels=[24]), "no net.config.*unhashable"),
    "width": (lambda c: c["first_conv"].update(out_channels=32), "no net.config.*KeyError: 32"),
    "order": (lambda c: c["blocks"].insert(1, c["blocks"].pop()), "is wanted"),
    "short": (lambda c: c["blocks"].pop(), "blocks.*is wanted|in_channels|fit"),
    "few": (lambda c: c.update(blocks=c["blocks"][:3]), "stages have 2, 0, 0, 0, 0 layers"),
    "many": (lambda c: c.update(blocks=c["blocks"] + c["blocks"][-1:] * 1000), "layers; 1 to 4 are wanted"),
    "no blocks": (lambda c: c.pop("blocks"), "KeyError: 'blocks'"),
    "shortcut": (lambda c: c["blocks"][2].update(shortcut=None), "blocks.2.shortcut is False, and True is wanted"),
    "classes": (lambda c: c["classifier"].update(out_features=0), "out_features 0"),
    "float": (lambda c: c["classifier"].update(out_features=7.0), "7.0 is no whole number"),
    "head": (lambda c: c["classifier"].update(in_features=9), "classifier.in_features is 9, and 1280 is wanted"),
    "eps": (lambda c: c["bn"].update(eps=float("nan")), "bn.eps nan"),
    "side": (lambda c: c.update(img_size=-1), "img_size -1"),
}


@pytest.mark.parametrize("fault", CONFIGS)
def test_configs_of_other_networks(written, fault):
    change, message = CONFIGS[fault]
    with pytest.raises(ConfigError, match=message) as caught:
        static_network(*written(change))
    assert "net.config" in str(caught.value)


def test_no_configs(written, tmp_path):
    config, weights = written()
    for content in (b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 10**5, b"{}" + b" " * (1 << 20)):
        config.write_bytes(content)
        with pytest.raises(ConfigError, match=r"net\.config is no net\.config: a JSON object"):
            static_network(config, weights)
    config.write_text("{}")
    with pytest.raises(ConfigError, match=r"is no net\.config of a MobileNetV3"):
        static_network(config, weights)
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match="cannot read"):
            static_network(missing, weights)


HEAD = "classifier.linear.bias"
WEIGHTS = {
    "missing": (lambda s: s.pop(HEAD), "does not fit the network of .*in 1 of .*classifier.bias is missing"),
    "shape": (lambda s: s.update({HEAD: torch.zeros(8)}), r"classifier.bias is \(8,\) instead of \(7,\)"),
    "nan": (lambda s: s.update({HEAD: torch.full((7,), torch.nan)}), "holds NaN or infinity"),
    "block": (lambda s: s.update({"blocks.11.mobile_inverted_conv.x": torch.zeros(1)}), "stages.5.11.x is unknown"),
    "twice": (lambda s: s.update({f"module.{HEAD}": s[HEAD]}), "the same tensor under two names"),
}


@pytest.mark.parametrize("fault", WEIGHTS)
def test_weights_that_do_not_fit(written, fault):
    change, message = WEIGHTS[fault]
    with pytest.raises(ConfigError, match=message):
        static_network(*written(weights=change))


def test_a_supernet_is_no_static_network(written, mbv3, tmp_path):
    from nat_mbv3 import checkpoint

    config, _ = written()
    checkpoint.save(mbv3(widths=[1.0]).supernet(7), tmp_path / "supernet")
    with pytest.raises(ConfigError, match="does not fit the network of"):
        static_network(config, tmp_path / "supernet")
