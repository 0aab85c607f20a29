"""The supernet against its own extracted subnets: outputs, statistics and gradients."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from nat_core.encoding import as_architectures
from nat_mbv3.network import Depthwise


@pytest.fixture(scope="module")
def small(mbv3):
    """A space for training: sides down to one pixel at the end."""
    return mbv3(resolutions=[24, 32, 48])


@pytest.fixture
def net(small, loaded):
    """A supernet with OFA's random weights that a test may change."""
    fresh = copy.deepcopy(loaded)
    fresh.layout = small.layout
    return fresh


def pictures(n, side, seed=0):
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a.keys() | b.keys())


def test_outputs_equal_the_subnets_in_eval_mode(small, net, some):
    with torch.inference_mode():
        for architecture in some(small, 10):
            images = pictures(3, small.input_shape(architecture)[1])
            subnet = net.subnet(architecture)
            assert not subnet.training
            assert torch.equal(net(images, architecture), subnet(images))


def test_training_equals_training_the_subnet(small, net, some):
    """Outputs, batch-norm statistics and gradients of one training step, bit for bit; the rest of the net unmoved."""
    net.train()
    for i, architecture in enumerate(some(small, 4, seed=1)):
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        elastic = net.elastic["w10" if small.layout(architecture).width == 1.0 else "w12"]
        prefix = "elastic.w10." if elastic is net.elastic["w10"] else "elastic.w12."
        subnet = net.subnet(architecture)
        assert subnet.training
        images = pictures(4, small.input_shape(architecture)[1], seed=i)
        ours, theirs = net(images, architecture), subnet(images)
        assert torch.equal(ours, theirs)
        net.zero_grad()
        ours.square().mean().backward()
        theirs.square().mean().backward()

        after = net.state_dict()
        touched = set()
        for name, buffer in subnet.named_buffers():
            full = f"{prefix}network.{name}"
            part = tuple(slice(0, n) for n in buffer.shape)
            assert torch.equal(after[full][part], buffer)
            assert not torch.equal(before[full][part], buffer)
            rest = torch.ones(after[full].shape, dtype=torch.bool)
            rest[part] = False
            assert torch.equal(after[full][rest], before[full][rest])
            touched.add(full)
        assert all(torch.equal(before[name], after[name]) for name in before.keys() - touched)

        parameters = dict(elastic.network.named_parameters())
        for name, parameter in subnet.named_parameters():
            assert parameter.grad is not None
            if name.startswith("stages.") and name.endswith("depthwise.conv.weight") and parameter.shape[-1] < 7:
                continue  # their gradients go through the kernel transforms: below
            part = tuple(slice(0, n) for n in parameter.shape)
            gradient = parameters[name].grad
            assert torch.equal(gradient[part], parameter.grad)
            assert gradient.count_nonzero() == parameter.grad.count_nonzero()
        check_kernel_gradients(elastic, subnet, small.layout(architecture))
        for other in {"w10", "w12"} - {prefix[8:11]}:
            assert all(p.grad is None for p in net.elastic[other].parameters())


def check_kernel_gradients(elastic, subnet, layout):
    """The shared kernels and transforms get the subnet's kernel gradients through the written-out chain of maps."""
    for g, stage in enumerate(layout.stages):
        for j, layer in enumerate(stage):
            transform = elastic.transforms[g][j]
            weight = elastic.network.stages[g][j].depthwise.conv.weight
            if layer.kernel == 7:
                assert transform.to5.grad is None
                continue
            gradient = subnet.stages[g][j].depthwise.conv.weight.grad
            leaves = [t.detach().clone().requires_grad_() for t in (weight, transform.to5, transform.to3)]
            by_hand(leaves[0][: len(gradient)], *leaves[1:], layer.kernel).backward(gradient)
            for leaf, shared in zip(leaves, (weight, transform.to5, transform.to3), strict=True):
                if leaf.grad is None:
                    assert shared.grad is None
                else:
                    assert (shared.grad - leaf.grad).abs().max() <= 1e-5 * leaf.grad.abs().max()


def by_hand(weight, to5, to3, size):
    """OFA's rule, one channel at a time."""
    kernels = []
    for channel in weight[:, 0, 1:6, 1:6]:
        kernel = (to5 @ channel.reshape(25)).reshape(5, 5)
        kernels.append(kernel if size == 5 else (to3 @ kernel[1:4, 1:4].reshape(9)).reshape(3, 3))
    return torch.stack(kernels)[:, None]


def test_kernels_shrink_through_both_transforms(net):
    transform = net.elastic["w10"].transforms[2][1]
    weight = net.elastic["w10"].network.stages[2][1].depthwise.conv.weight
    for size, channels in itertools.product((5, 3), (1, len(weight) - 8, len(weight))):
        expected = by_hand(weight[:channels], transform.to5, transform.to3, size)
        kernels = transform(weight, torch.Size((channels, 1, size, size)))
        torch.testing.assert_close(kernels, expected, rtol=1e-5, atol=1e-6)


def test_nothing_is_kept_between_calls(small, net, some):
    """Architectures in turn give what each gives alone, and leave the weights as they were."""
    images = pictures(2, 32)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    architectures = some(small, 6, seed=2)
    with torch.inference_mode():
        alone = []
        for architecture in architectures:
            fresh = copy.deepcopy(net)
            alone.append(fresh(images, architecture))
        in_turn = [net(images, a) for a in architectures]
        backwards = [net(images, a) for a in reversed(architectures)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(alone, in_turn, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(in_turn, backwards, strict=True))
    assert not any(torch.equal(in_turn[0], other) for other in in_turn[1:])
    assert same(before, net.state_dict())


def test_two_supernets_do_not_meet(small, net):
    """Same shapes, other weights: what is cached by layout holds no weights and no mode."""
    other = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    images, architecture = pictures(2, 24), small.parse("000" + "5500" * 5)
    first = net(images, architecture)
    other.train()
    second = other(images, architecture)
    assert not torch.equal(first, second)
    assert torch.equal(net(images, architecture), first)


def test_a_subnet_has_a_copy_of_the_weights(small, net, some):
    for architecture in some(small, 3, seed=3):
        subnet = net.subnet(architecture)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        assert all(p.requires_grad and p.is_leaf for p in subnet.parameters())
        assert all(t.is_contiguous() for t in subnet.state_dict().values())
        with torch.no_grad():
            for tensor in subnet.state_dict().values():
                tensor.zero_()
        assert same(before, net.state_dict())
        assert net.subnet(architecture).classifier.weight.any()


def test_a_subnet_follows_the_supernets_type(small, net):
    architecture = small.parse("000" + "5500" * 5)
    assert {p.dtype for p in net.double().subnet(architecture).parameters()} == {torch.float64}
    assert net.to("meta").subnet(architecture).classifier.weight.is_meta


def test_random_numbers_of_others_are_left_alone(some, mbv3):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    space = mbv3(resolutions=[24], widths=[1.0], depths=[2], kernels=[3], expands=[3, 4])
    net = space.supernet(3)
    (architecture,) = some(space, 1, seed=4)
    net.subnet(architecture)
    net(pictures(2, 24), architecture)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_decides_the_random_weights(mbv3):
    states = [mbv3(widths=[1.0], seed=seed).supernet(4).state_dict() for seed in (0, 0, 1)]
    assert same(states[0], states[1])
    stem = "elastic.w10.network.stem.conv.weight"
    assert not torch.equal(states[0][stem], states[2][stem])
    assert all(t.isfinite().all() for t in states[0].values())


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_kernels_without_their_rim_compute_the_same(kernel, stride):
    stream = torch.Generator().manual_seed(kernel)
    layer = Depthwise(6, 6, kernel, stride, kernel // 2, groups=6, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=stream, dtype=torch.float64))
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        layer.to(dtype)
        for height, width in [(s, s) for s in range(1, 12)] + [(1, 5), (5, 1), (2, 3)]:
            images = torch.rand(2, 6, height, width, generator=stream, dtype=dtype).requires_grad_()
            gradients = []
            for forward in (layer.forward, lambda x: nn.Conv2d.forward(layer, x)):
                layer.weight.grad = images.grad = None
                y = forward(images)
                y.sin().sum().backward()
                gradients.append((y.detach(), images.grad, layer.weight.grad))
            for ours, plain in zip(*gradients, strict=True):
                torch.testing.assert_close(ours, plain, rtol=10 * tolerance, atol=10 * tolerance)
            assert (gradients[0][0] - gradients[1][0]).abs().max() < tolerance * 2


def test_any_side_gives_logits(mbv3):
    space = mbv3(resolutions=[1, 2, 3, 7, 17, 31, 45], widths=[1.0])
    net = space.supernet(5).eval()
    largest = tuple(len(v.choices) - 1 for v in space.variables)
    with torch.inference_mode():
        for i, side in enumerate(space.resolutions):
            logits = net(pictures(1, side), (i, *largest[1:]))
            assert logits.shape == (1, 5)
            assert logits.isfinite().all()


def test_architectures_are_tuples_lists_or_rows(small, net):
    X = small.sample(2, np.random.default_rng(0))
    images = pictures(1, 24)
    for row, architecture in zip(X, as_architectures(X), strict=True):
        assert torch.equal(net(images, row), net(images, architecture))
        assert torch.equal(net(images, list(architecture)), net(images, architecture))
