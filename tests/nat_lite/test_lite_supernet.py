"""The supernet against its own extracted subnets: outputs, statistics and gradients."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from nat_core import plugins
from nat_core.encoding import as_architectures, as_encodings


@pytest.fixture(scope="module")
def space(lite):
    """A space for training: sides down to one pixel at the end."""
    return lite(resolutions=[24, 32, 48], mean=(0.5, 0.4, 0.3), std=(0.3, 0.2, 0.25))


@pytest.fixture(scope="module")
def loaded(space, published, tmp_path_factory):
    """A supernet with all weights, statistics and transforms random. Not to be changed."""
    file = tmp_path_factory.mktemp("lite") / "lite1.pth"
    torch.save(published(7), file)
    net = space.supernet(7, weights=file).eval()
    stream = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for transform in net.transforms.values():
            transform.to3.add_(0.05 * torch.randn(9, 9, generator=stream))
    return net


@pytest.fixture
def net(loaded):
    """One that a test may change."""
    return copy.deepcopy(loaded)


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a.keys() | b.keys())


def test_outputs_equal_the_subnets_in_eval_mode(space, net, some, pictures):
    with torch.inference_mode():
        for architecture in some(space, 10):
            images = pictures(3, space.input_shape(architecture)[1])
            subnet = net.subnet(architecture)
            assert not subnet.training
            assert torch.equal(net(images, architecture), subnet(images))


def test_training_equals_training_the_subnet(space, net, some, pictures):
    """Outputs, batch-norm statistics and gradients of one training step, bit for bit; the rest of the net unmoved."""
    net.train()
    for i, architecture in enumerate(some(space, 4, seed=1)):
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        subnet = net.subnet(architecture)
        assert subnet.training
        images = pictures(4, space.input_shape(architecture)[1], seed=i)
        ours, theirs = net(images, architecture), subnet(images)
        assert torch.equal(ours, theirs)
        net.zero_grad()
        ours.square().mean().backward()
        theirs.square().mean().backward()
        require_statistics(before, net.state_dict(), subnet)
        require_gradients(net, subnet)


def require_statistics(before, after, subnet):
    """The slices that the subnet uses moved as the subnet's own did, and nothing else moved."""
    touched = set()
    for name, buffer in subnet.named_buffers():
        full = f"network.{name}"
        part = tuple(slice(0, n) for n in buffer.shape)
        assert torch.equal(after[full][part], buffer)
        assert torch.equal(before[full][part], buffer) == name.startswith("rescale.")
        rest = torch.ones(after[full].shape, dtype=torch.bool)
        rest[part] = False
        assert torch.equal(after[full][rest], before[full][rest])
        touched.add(full)
    assert all(torch.equal(before[name], after[name]) for name in before.keys() - touched)


def require_gradients(net, subnet):
    parameters = dict(net.network.named_parameters())
    for name, parameter in subnet.named_parameters():
        shared, gradient = parameters[name], parameter.grad
        assert gradient is not None
        if shared.shape[2:] != parameter.shape[2:]:  # a kernel of 5 that shrank: through the transform, by hand
            _, g, j, *_ = name.split(".")
            to3 = net.transforms[f"{g}-{j}"].to3
            leaves = [t.detach().clone().requires_grad_() for t in (shared, to3)]
            by_hand(leaves[0][: len(gradient)], leaves[1]).backward(gradient)
            for leaf, moved in zip(leaves, (shared, to3), strict=True):
                assert (moved.grad - leaf.grad).abs().max() <= 1e-5 * leaf.grad.abs().max()
            continue
        part = tuple(slice(0, n) for n in parameter.shape)
        assert torch.equal(shared.grad[part], gradient)
        assert shared.grad.count_nonzero() == gradient.count_nonzero()


def by_hand(weight, to3):
    """The centre of every kernel through the matrix, one channel at a time."""
    return torch.stack([(to3 @ channel[1:4, 1:4].reshape(9)).reshape(3, 3) for channel in weight[:, 0]])[:, None]


def test_kernels_shrink_to_their_centre_at_first(lite):
    space = lite(resolutions=[32], weights="none")
    net = space.supernet(3)
    small = net.subnet(space.parse("00-555-555-5555-5555-55555-5"))
    assert len(net.transforms) == 3 + 4 + 5
    for g in (1, 3, 4):
        for ours, full in zip(small.stages[g], net.network.stages[g], strict=True):
            assert torch.equal(ours.depthwise.conv.weight, full.depthwise.conv.weight[:, :, 1:4, 1:4])


def test_nothing_is_kept_between_calls(space, net, some, pictures):
    """Architectures in turn give what each gives alone, and leave the weights as they were."""
    images = pictures(2, 32)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    architectures = some(space, 6, seed=2)
    with torch.inference_mode():
        alone = [copy.deepcopy(net)(images, a) for a in architectures]
        in_turn = [net(images, a) for a in architectures]
        backwards = [net(images, a) for a in reversed(architectures)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(alone, in_turn, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(in_turn, backwards, strict=True))
    assert not any(torch.equal(in_turn[0], other) for other in in_turn[1:])
    assert same(before, net.state_dict())


def test_a_subnet_has_a_copy_of_the_weights(space, net, some):
    for architecture in some(space, 3, seed=3):
        subnet = net.subnet(architecture)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        assert all(p.requires_grad and p.is_leaf for p in subnet.parameters())
        assert all(t.is_contiguous() for t in subnet.state_dict().values())
        with torch.no_grad():
            for tensor in subnet.state_dict().values():
                tensor.zero_()
        assert same(before, net.state_dict())
        assert net.subnet(architecture).classifier.weight.any()


def test_a_subnet_follows_the_supernets_type(space, net, some):
    (architecture,) = some(space, 1)
    assert {p.dtype for p in net.double().subnet(architecture).parameters()} == {torch.float64}
    assert net.to("meta").subnet(architecture).classifier.weight.is_meta


def test_the_seed_decides_the_random_weights_and_leaves_others_alone(lite):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    states = [lite(weights="none", seed=seed).supernet(4).state_dict() for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert same(states[0], states[1])
    stem = "network.stem.conv.weight"
    assert not torch.equal(states[0][stem], states[2][stem])
    assert all(t.isfinite().all() for t in states[0].values())


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("depthwise", [True, False])
def test_padding_is_tensorflows(kernel, stride, depthwise):
    """Every size of map, also oblong; outputs and gradients against padding by the definition."""
    from nat_lite.network import Convolution, Depthwise

    stream = torch.Generator().manual_seed(kernel)
    layer = Depthwise(6, kernel, stride) if depthwise else Convolution(6, 4, kernel, stride)
    layer.weight = nn.Parameter(torch.randn(layer.weight.shape, generator=stream, dtype=torch.float64))
    for height, width in [(s, s) for s in range(1, 12)] + [(1, 6), (6, 1), (2, 3), (8, 5)]:
        images = torch.rand(2, 6, height, width, generator=stream, dtype=torch.float64).requires_grad_()
        total = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in (width, height)]
        rims = [rim for t in total for rim in (t // 2, t - t // 2)]
        gradients = []
        for forward in (
            layer,
            lambda x, rims=rims: functional.conv2d(
                functional.pad(x, rims), layer.weight, stride=stride, groups=layer.groups
            ),
        ):
            layer.weight.grad = images.grad = None
            y = forward(images)
            assert y.shape[2:] == (-(-height // stride), -(-width // stride))
            y.sin().sum().backward()
            gradients.append((y.detach(), images.grad, layer.weight.grad))
        for ours, plain in zip(*gradients, strict=True):
            torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)


def test_any_side_gives_logits(lite, pictures):
    space = lite(resolutions=[1, 2, 3, 7, 17, 31, 46], weights="none")
    net = space.supernet(5).eval()
    largest = tuple(len(v.choices) - 1 for v in space.variables)
    with torch.inference_mode():
        for i, side in enumerate(space.resolutions):
            logits = net(pictures(1, side), (i, *largest[1:]))
            assert logits.shape == (1, 5)
            assert logits.isfinite().all()


def test_architectures_are_tuples_lists_or_rows(space, net, pictures):
    X = space.sample(2, np.random.default_rng(0))
    images = pictures(1, 24)
    for row, architecture in zip(X, as_architectures(X), strict=True):
        assert torch.equal(net(images, row), net(images, architecture))
        assert torch.equal(net(images, list(architecture)), net(images, architecture))


def test_costs_against_torch(lite, monkeypatch):
    """Torch's own count on the meta device, odd sides included.

    A depthwise layer of stride 2 computes with a row of zeros before its kernel where that is faster. The cost is that
    of the kernel itself, so the plain convolution on a padded picture stands in.
    """
    from nat_lite.network import Convolution, Depthwise

    monkeypatch.setattr(
        Depthwise,
        "_uneven",
        lambda layer, x, rim, low, left: functional.conv2d(
            functional.pad(x, (rim - left, rim, rim - low, rim)), layer.weight, None, layer.stride, groups=layer.groups
        ),
    )
    assert Depthwise._uneven is not Convolution._uneven
    space = lite(resolutions=[24, 33, 50, 100, 132, 224, 240], classes=11, weights="none")
    net = space.supernet(11).to("meta")
    X = space.sample(14, np.random.default_rng(5))
    X[:, 0] = np.arange(14) % 7
    X = np.vstack([X, as_encodings([[6, *(len(v.choices) - 1 for v in space.variables[1:])]], 21)])
    params, macs = (plugins.find("cost_models", name)(space)(X) for name in ("params", "macs"))
    for architecture, n_params, n_macs in zip(as_architectures(X), params, macs, strict=True):
        subnet = net.subnet(architecture).eval()
        assert sum(p.numel() for p in subnet.parameters()) == n_params
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            subnet(torch.empty(1, *space.input_shape(architecture), device="meta"))
        assert counter.get_total_flops() == 2 * n_macs


def test_operators_are_what_the_contract_says(lite):
    space = lite(resolutions=[24, 32, 64, 224])
    names = [operator.name for operator in space.operators]
    assert len(set(names)) == len(names)
    assert all(operator.macs > 0 < operator.params for operator in space.operators)
    X = space.sample(200, np.random.default_rng(1))
    index = space.layers(X)
    assert index.shape == (200, 24)
    assert index.min() == -1
    live = [sum(space.describe(a)["d"]) for a in as_architectures(X)]
    assert (index >= 0).sum(1).tolist() == [n + 4 for n in live]
