"""The largest network of `lite` against EfficientNet-Lite1 written out in plain torch functions."""

from __future__ import annotations

import pytest
import torch

from nat_lite.supernet import importance, sort_channels

LITE1, LITE0 = "00-555-666-5555-6666-66666-5", "00-550-660-5550-6660-66660-5"
DOUBLE = 1e-10  # rounding errors alone: both compute the same sums in another order


def doubled(state):
    return {n: t.double() if t.is_floating_point() else t for n, t in state.items()}


@pytest.mark.parametrize("side", [240, 64, 33])
def test_imagenet_weights(lite, imagenet, reference, pictures, side):
    space = lite(resolutions=[side])
    images = pictures(2, side)
    with torch.inference_mode():
        net = space.supernet(1000).eval()
        theirs = reference(imagenet, images)
        ours = net(images, space.parse(LITE1))
        assert ours.shape == (2, 1000)
        assert theirs.std() > 0.5
        assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()
        exact = reference(doubled(imagenet), images.double())
        assert (net.double()(images.double(), space.parse(LITE1)) - exact).abs().max() < DOUBLE


def test_random_weights(lite, published, reference, pictures, tmp_path):
    """In double precision: a random network makes much of single precision's rounding errors."""
    torch.save(published(12), tmp_path / "lite1.pth")
    sides = [31, 32, 48, 75, 96]
    space = lite(resolutions=sides)
    net = space.supernet(12, weights=tmp_path / "lite1.pth").eval().double()
    state = doubled(published(12))
    with torch.inference_mode():
        for i, side in enumerate(sides):
            images = pictures(2, side, seed=i).double()
            theirs = reference(state, images)
            assert theirs.std() > 0.1
            assert (net(images, space.parse(f"0{i}{LITE1[2:]}")) - theirs).abs().max() < DOUBLE


def test_channels_are_sorted_and_the_function_is_not_changed(lite, published, pictures, tmp_path):
    torch.save(published(12), tmp_path / "lite1.pth")
    space = lite(resolutions=[48])
    net = space.supernet(12, weights=tmp_path / "lite1.pth").eval()
    images = pictures(2, 48).double()
    layers = [layer for stage in net.network.stages for layer in stage]
    assert len(layers) == 20
    for layer in layers:
        assert (importance(layer).diff() <= 0).all()
    net.double()
    with torch.inference_mode():
        before = net.network(images)
        stream = torch.Generator().manual_seed(1)
        for layer in layers:  # another order of the channels is another network with the same function
            order = torch.randperm(len(layer.expand.conv.weight), generator=stream)
            for name, tensor in layer.state_dict().items():
                if name == "project.conv.weight":
                    tensor.copy_(tensor[:, order])
                elif tensor.dim() and not name.startswith("project"):
                    tensor.copy_(tensor[order])
        assert (net.network(images) - before).abs().max() < DOUBLE
        sorted_again = {name: tensor.clone() for name, tensor in net.network.state_dict().items()}
        sort_channels(net.network)
        assert (net.network(images) - before).abs().max() < DOUBLE
    assert any(not torch.equal(t, sorted_again[n]) for n, t in net.network.state_dict().items())


@pytest.mark.usefixtures("imagenet")
def test_importance_is_the_variance_that_a_channel_brings_to_the_output(lite):
    """Beside normal draws through a layer's own activation and projection, one channel at a time."""
    layer = lite(resolutions=[64], weights="imagenet").supernet(1000).network.stages[3][0]
    norm, weight = layer.depthwise.bn, layer.project.conv.weight[:, :, 0, 0].double()
    z = torch.randn(4000, generator=torch.Generator().manual_seed(0)).double()
    for c in range(0, weight.shape[1], 24):
        activation = layer.activation(z * norm.weight[c].double() + norm.bias[c].double())
        drawn = (activation[:, None] * weight[:, c]).var(0).sum()
        assert abs(importance(layer)[c] - drawn) <= 0.2 * drawn + 1e-4 * importance(layer).max()


@pytest.mark.usefixtures("imagenet")
def test_the_important_channels_are_kept(lite):
    """Expansion 3 keeps the half of the channels that bring more than the other half."""
    space = lite(resolutions=[64], weights="imagenet")
    net = space.supernet(1000)
    small = net.subnet(space.parse("00-555-666-5555-6666-66666-1")).stages[5][0]
    assert small.project.conv.weight.shape == (320, 576, 1, 1)
    every = importance(net.network.stages[5][0])
    torch.testing.assert_close(importance(small), every.sort(descending=True).values[:576])
    assert importance(small).sum() > 0.6 * every.sum()


def test_lite0s_shape_is_in_the_space(lite):
    """Published: 4.652 million parameters and 0.385 billion multiply-accumulates at 224; Lite1 5.417 and 0.600."""
    from nat_core import plugins
    from nat_core.encoding import as_encodings

    space = lite(resolutions=[224, 240])
    X = as_encodings([space.parse(LITE0), space.parse(f"01{LITE1[2:]}")], 21)
    params, macs = (plugins.find("cost_models", name)(space)(X) for name in ("params", "macs"))
    assert [f"{p / 1e6:.3f}" for p in params] == ["4.652", "5.417"]
    assert [f"{m / 1e9:.3f}" for m in macs] == ["0.385", "0.600"]


@pytest.mark.parametrize("side", [32, 45])
def test_images_in_another_normalisation_give_the_same_logits(lite, published, reference, tmp_path, side):
    """The data's mean and deviation are undone inside the network, borders included."""
    torch.save(published(12), tmp_path / "lite1.pth")
    mean, std = (0.55, 0.44, 0.33), (0.26, 0.21, 0.3)
    space = lite(resolutions=[side], mean=mean, std=std)
    net = space.supernet(12, weights=tmp_path / "lite1.pth").eval().double()
    pixels = torch.randint(0, 256, (2, 3, side, side), generator=torch.Generator().manual_seed(0)).double()
    as_trained = (pixels - 127) / 128
    as_given = (pixels / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.inference_mode():
        theirs = reference(doubled(published(12)), as_trained)
        ours = net(as_given, space.parse(LITE1))
        assert (ours - theirs).abs().max() < 1e-5
        assert (net.subnet(space.parse(LITE1))(as_given) - theirs).abs().max() < 1e-5
