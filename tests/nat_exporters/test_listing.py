"""A network as source: it computes what the network computes."""

import torch
from torch import nn

from nat_exporters.listing import listing
from nat_exporters.program import exported


class Bounded(nn.Module):
    """A bound that no literal of Python says."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0, -3.0]))

    def forward(self, x):
        return torch.clamp(x * self.scale, min=-1.5, max=float("inf"))


def test_a_bound_that_is_infinite(tmp_path, monkeypatch):
    network, images = Bounded().eval(), torch.tensor([[1.0, 2.0], [-4.0, 0.25]])
    program = exported(network, images)
    (tmp_path / "listed.py").write_text(listing(program))
    monkeypatch.syspath_prepend(tmp_path)
    found = __import__("listed").network(program.state_dict, images)
    assert torch.equal(found, network(images))
