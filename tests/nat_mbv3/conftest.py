"""OFA's own MobileNetV3 supernets with random weights, statistics and transforms, and their checkpoints."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from nat_core import plugins

N_CLASSES = 12
SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def mbv3():
    """The factory of the space."""
    return plugins.find("search_spaces", "mbv3")


@pytest.fixture(scope="session")
def reference():
    """The folder of published networks; a test that needs it is skipped where it is absent."""
    folder = SHARED / "reference" / "nat_subnets"
    if not folder.is_dir():
        pytest.skip("the published NAT networks (shared/reference/nat_subnets) are not here")
    return folder


@pytest.fixture(scope="session")
def ofa_nets():
    """For each width OFA's supernet, alive throughout: every tensor random, and logits of one unit's order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("ofa.imagenet_classification.elastic_nn.networks", reason="the ofa package is not here")
        return {width: _random_ofa(width) for width in (1.0, 1.2)}


@pytest.fixture(scope="session")
def ofa_files(ofa_nets, tmp_path_factory):
    """Their checkpoints as OFA publishes them, by width."""
    folder = tmp_path_factory.mktemp("ofa")
    files = {width: folder / f"ofa_mbv3_d234_e346_k357_w{width}" for width in ofa_nets}
    for width, file in files.items():
        torch.save({"state_dict": ofa_nets[width].state_dict()}, file)
    return files


@pytest.fixture(scope="session")
def space(mbv3):
    """The whole space at sides that are quick to compute."""
    return mbv3(resolutions=[64, 66, 72, 75])


@pytest.fixture(scope="session")
def loaded(space, ofa_files):
    """Our supernet of both widths with OFA's weights, in eval mode. Not to be changed."""
    return space.supernet(N_CLASSES, weights=ofa_files).eval()


def _random_ofa(width):
    from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3
    from ofa.imagenet_classification.elastic_nn.utils import set_running_statistics

    net = OFAMobileNetV3(
        N_CLASSES,
        dropout_rate=0,
        width_mult=width,
        ks_list=[3, 5, 7],
        expand_ratio_list=[3, 4, 6],
        depth_list=[2, 3, 4],
    )
    stream = torch.Generator().manual_seed(round(width * 10))
    randomise(net.state_dict(), stream)
    net.set_max_net()
    set_running_statistics(net, [(torch.randn(4, 3, 128, 128, generator=stream), None)])
    state = net.state_dict()
    for name, mean in state.items():
        if name.endswith("running_mean"):
            var = state[name.replace("mean", "var")]
            var += 0.2 * var.mean()  # a channel that hardly moves would make chaos of rounding errors
            mean.add_(0.1 * var.sqrt() * torch.randn(mean.shape, generator=stream))
            state[name.replace("running_mean", "num_batches_tracked")] += 7
    return net.eval()


@torch.no_grad()
def randomise(state, stream):
    """Fill an OFA state in place."""
    for name, tensor in state.items():
        noise = torch.randn(tensor.shape, generator=stream)
        if "_matrix" in name:
            tensor.add_(0.05 * noise)
        elif tensor.dim() == 4:
            tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
        elif name == "classifier.linear.weight":
            tensor.copy_(noise * 0.025)
        elif name.endswith("weight"):
            tensor.copy_(1 + 0.2 * noise)
        elif name.endswith("bias"):
            tensor.copy_(0.2 * noise)


@pytest.fixture(scope="session")
def some():
    """Random architectures of a space: `some(space, 5, width=1.2)`."""

    def make(space, n, *, width=None, seed=0):
        X = space.sample(n, np.random.default_rng(seed))
        if width is not None:
            X[:, 1] = space.widths.index(width)
        return [tuple(row) for row in X.tolist()]

    return make
