"""A network cut into its operators: the same layers, in the order of `layers`."""

import numpy as np
import pytest
import torch

from nat_core import plugins
from nat_core.contracts import BuildableOperators
from nat_core.encoding import as_architectures


@pytest.mark.parametrize(("name", "options"), [("mbv3", {}), ("lite", {"weights": "none"})])
def test_children_are_the_operators_of_the_live_slots(name, options):
    space = plugins.find("search_spaces", name)(resolutions=[32, 40], classes=7, **options)
    assert isinstance(space, BuildableOperators)
    for architecture in as_architectures(space.sample(4, np.random.default_rng(0))):
        layers = space.layers(np.array([architecture]))[0]
        children = list(space.sequence(architecture))
        params = [sum(p.numel() for p in child.parameters()) for child in children]
        assert params == [space.operators[i].params for i in layers if i >= 0]


@pytest.mark.parametrize(("name", "options"), [("mbv3", {}), ("lite", {"weights": "none"})])
def test_together_they_compute_what_the_network_does(name, options):
    space = plugins.find("search_spaces", name)(resolutions=[32], classes=7, **options)
    (architecture,) = as_architectures(space.sample(1, np.random.default_rng(1)))
    network = space.supernet(7).subnet(architecture).eval()
    sequence = space.sequence(architecture)
    with torch.no_grad():
        for theirs, mine in zip(network.parameters(), sequence.parameters(), strict=True):
            mine.copy_(theirs)
        images = torch.randn(2, *space.input_shape(architecture))
        assert torch.equal(sequence(images), network(images))
