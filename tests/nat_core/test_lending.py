"""Hollow parts that are lent tensors: beside `torch.func.functional_call`, which does the same for any module."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import nn
from torch.func import functional_call

from nat_core.lending import Hollow, Owner, answer, corner, give

SMALL = (3, 5)


def network(c: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, c, 3), nn.BatchNorm2d(c), nn.Sequential(nn.Flatten(), nn.Linear(c * 4, hidden)))


@pytest.fixture
def large():
    torch.manual_seed(0)
    return network(4, 7)


@pytest.fixture
def images():
    return torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def hollow(prefix: str = "") -> Hollow:
    with torch.device("meta"):
        return Hollow(network(*SMALL), prefix)


def lender(owner):
    return lambda name, shape: corner(owner[name], shape)


def test_a_hollow_network_answers_as_functional_call(large, images):
    """Outputs, gradients and running statistics, to the bit."""
    peer = copy.deepcopy(large)
    part = hollow()
    logits = answer(part.module, [part], lender(Owner(large)), images)

    with torch.device("meta"):
        plain = network(*SMALL)
    theirs = {**dict(peer.named_parameters()), **dict(peer.named_buffers())}
    lent = {name: corner(theirs[name], tensor.shape) for name, tensor in plain.state_dict().items()}
    expected = functional_call(plain, lent, (images,), strict=True)

    assert torch.equal(logits, expected)
    logits.square().sum().backward()
    expected.square().sum().backward()
    for ours, other in zip(large.parameters(), peer.parameters(), strict=True):
        assert ours.grad.count_nonzero()
        assert torch.equal(ours.grad, other.grad)
    for ours, other in zip(large.buffers(), peer.buffers(), strict=True):
        assert torch.equal(ours, other)
    assert large[1].num_batches_tracked == 1


def test_parts_make_a_network(large, images):
    """Each part asks for its tensors under its own prefix."""
    names = []

    def lend(name, shape):
        names.append(name)
        return corner(Owner(large)[name], shape)

    with torch.device("meta"):
        parts = [Hollow(layer, f"{i}.") for i, layer in enumerate(network(*SMALL))]
    logits = answer(nn.Sequential(*(part.module for part in parts)), parts, lend, images)
    whole = hollow()
    assert torch.equal(logits, answer(whole.module, [whole], lender(Owner(large)), images))
    assert sorted(names) == sorted(network(*SMALL).state_dict())


def test_nothing_lent_is_kept(large, images):
    part, kept = hollow(), []

    def lend(name, shape):
        tensor = corner(Owner(large)[name], shape).clone()
        kept.append(weakref.ref(tensor))
        return tensor

    with torch.no_grad():
        answer(part.module, [part], lend, images)
    gc.collect()
    assert kept
    assert not any(ref() is not None for ref in kept)


def test_nothing_lent_is_kept_when_it_fails(large, images):
    part = hollow()

    def lend(name, shape):
        if name == "2.1.bias":
            raise KeyError(name)
        return corner(Owner(large)[name], shape)

    with pytest.raises(KeyError, match=r"2\.1\.bias"):
        answer(part.module, [part], lend, images)
    assert all(part.module[0].__dict__[name] is None for name in ("weight", "bias"))
    expected = hollow()
    again = answer(part.module, [part], lender(Owner(large)), images)  # and it can be used again
    assert torch.equal(again, answer(expected.module, [expected], lender(Owner(large)), images))


def test_an_owner_has_the_tensors_of_today(large):
    """Moved, loaded anew by assignment, or copied: what it gives are the network's own."""
    owner = Owner(large)
    large.double()
    assert owner["0.weight"] is large[0].weight
    assert owner["1.running_mean"] is large[1].running_mean
    assert owner["1.running_mean"].dtype == torch.float64
    large.load_state_dict({name: t.clone() + 1 for name, t in large.state_dict().items()}, assign=True)
    assert owner["0.weight"] is large[0].weight
    other, copied = copy.deepcopy((large, owner))
    assert copied["0.weight"] is other[0].weight
    assert copied["0.weight"] is not large[0].weight
    with pytest.raises(KeyError):
        owner["0.weights"]


def test_what_is_given_is_a_copy(large, images):
    with torch.device("meta"):
        own = network(*SMALL).eval()
    give(own, lender(Owner(large.eval())))
    part = hollow()
    part.module.eval()
    expected = answer(part.module, [part], lender(Owner(large)), images)
    assert torch.equal(own(images), expected)
    assert all(isinstance(parameter, nn.Parameter) and parameter.requires_grad for parameter in own.parameters())
    assert all(tensor.is_contiguous() for tensor in own.state_dict().values())
    with torch.no_grad():
        for tensor in large.state_dict().values():
            tensor.zero_()
    assert torch.equal(own(images), expected)


def test_a_corner_is_a_view(large):
    weight = large[0].weight
    assert corner(weight, weight.shape) is weight
    part = corner(weight, torch.Size((2, 3, 3, 1)))
    assert part.shape == (2, 3, 3, 1)
    assert torch.equal(part, weight[:2, :, :, :1])
    assert part.data_ptr() == weight.data_ptr()
    assert corner(torch.tensor(3), torch.Size(())) == 3
