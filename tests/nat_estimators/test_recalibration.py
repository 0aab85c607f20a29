"""Batch-norm statistics measured again: exact, and nothing else changed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nat_core import plugins
from nat_estimators.recalibration import recalibrate


@pytest.fixture
def network(space):
    net = space.supernet(4)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.fill_(9.0)
                module.running_var.fill_(7.0)
                module.weight.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(1))
    return net.subnet((0, 2, 0))


def pictures(n, seed, side=8):
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(seed)) * (1 + seed)


def norms_of(network):
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def by_hand(network, batches):
    """OFA's rule in float64: mean and biased variance of each batch, averaged; each batch normalised by its own."""
    twin = copy.deepcopy(network).double().eval()
    sums = {norm: [0.0, 0.0] for norm in norms_of(twin)}

    def normalise(norm, inputs, _output):
        (x,) = inputs
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        sums[norm][0] += mean / len(batches)
        sums[norm][1] += var / len(batches)
        shape = (1, -1, 1, 1)
        scaled = (x - mean.view(shape)) / (var.view(shape) + norm.eps).sqrt()
        return scaled * norm.weight.view(shape) + norm.bias.view(shape)

    for norm in sums:
        norm.register_forward_hook(normalise)
    with torch.no_grad():
        for images in batches:
            twin(images.double())
    return list(sums.values())


def test_exact(network):
    batches = [pictures(6, s) for s in range(4)]
    expected = by_hand(network, batches)
    recalibrate(network, batches)
    for norm, (mean, var) in zip(norms_of(network), expected, strict=True):
        torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(norm.running_var.double(), var, rtol=1e-5, atol=1e-7)


def test_exact_in_a_real_network():
    space = plugins.find("search_spaces", "mbv3")(resolutions=[24], widths=[1.0], depths=[2], expands=[3], kernels=[5])
    network = space.supernet(4).subnet((0,) * 22).double()
    batches = [pictures(4, s, side=24).double() for s in range(3)]
    expected = by_hand(network, batches)
    recalibrate(network, batches)
    for norm, (mean, var) in zip(norms_of(network), expected, strict=True):
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(norm.running_var, var, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_else_changes(network, training):
    network.train(training)
    momenta = [0.1, 0.02, 0.3, 0.4]
    for norm, momentum in zip(norms_of(network), momenta, strict=True):
        norm.momentum = momentum
    parameters = [p.detach().clone() for p in network.parameters()]
    recalibrate(network, iter([pictures(4, 1)]))
    assert not any(m.training for m in network.modules())
    assert [norm.momentum for norm in norms_of(network)] == momenta
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in network.modules())
    assert all(torch.equal(a, b) for a, b in zip(parameters, network.parameters(), strict=True))
    assert all(p.grad is None for p in network.parameters())


def test_statistics_of_before_do_not_matter(network):
    other = copy.deepcopy(network)
    for norm in norms_of(other):
        norm.running_mean.fill_(-3.0)
        norm.running_var.fill_(50.0)
    for net in (network, other):
        recalibrate(net, [pictures(4, 1), pictures(4, 2)])
    assert all(torch.equal(a, b) for a, b in zip(network.buffers(), other.buffers(), strict=True))


def test_a_fault_on_the_way_leaves_no_hooks(network):
    def broken():
        yield pictures(4, 1)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        recalibrate(network, broken())
    assert [norm.momentum for norm in norms_of(network)] == [0.1] * 4
    assert not any(m._forward_pre_hooks for m in network.modules())
    assert not network.training


class Partly(nn.Module):
    """A layer that keeps no statistics, and one that no image reaches."""

    def __init__(self):
        super().__init__()
        self.bare, self.idle = nn.BatchNorm2d(3, track_running_stats=False), nn.BatchNorm2d(3)

    def forward(self, images):
        return self.bare(images)


def test_unused_and_missing_statistics():
    network = Partly()
    recalibrate(network, [pictures(4, 1)])
    assert network.bare.running_mean is None
    assert network.idle.momentum == 0.1
    assert not network.training
