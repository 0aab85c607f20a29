"""Engines give the plain network's logits, or say why they do not; folding is exact; missing packages are named."""

from __future__ import annotations

import builtins
import copy
import importlib
import importlib.util
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nat_core import plugins
from nat_core.errors import ConfigError
from nat_core.folding import fold
from nat_estimators import engines
from nat_estimators.devices import threads_of
from nat_estimators.engines.parity import TOLERANCE, difference, require_parity
from nat_estimators.engines.portions import in_portions, portion
from nat_estimators.recalibration import recalibrate

CPU = torch.device("cpu")
NEEDS = {"torch": (), "plain": (), "openvino": ("openvino", "onnx"), "onnxruntime": ("onnxruntime", "onnx")}


def made(name, precision="fp32"):
    for module in NEEDS[name]:
        pytest.importorskip(module, reason=f"the package {module} is not here")
    return engines.engine(name, precision, CPU)


def pictures(n, side, seed=0):
    images = torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return images.contiguous(memory_format=torch.channels_last)


def random_norms(network, seed=1):
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=stream)
                module.bias.uniform_(-0.5, 0.5, generator=stream)
    return network


@pytest.fixture(scope="module")
def mbv3():
    """Recalibrated networks of mbv3 by side: at 32 the last maps have one pixel, and at 64 kernels lose their rims."""

    def make(side, seed=0):
        space = plugins.find("search_spaces", "mbv3")(resolutions=[side], widths=[1.0])
        (architecture,) = space.sample(1, np.random.default_rng(seed)).tolist()
        network = random_norms(space.supernet(7).subnet(tuple(architecture)))
        recalibrate(network, [pictures(64, side, seed=9)])  # of fewer, maps of one pixel magnify rounding
        return network

    return make


@pytest.mark.parametrize("side", [32, 64, 100])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_folded_equals_unfolded(mbv3, side, dtype, tolerance):
    network = mbv3(side).to(dtype)
    images = pictures(8, side).to(dtype)
    with torch.inference_mode():
        plain = network(images)
    n_norms = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    fold(network)
    with torch.inference_mode():
        folded = network(images)
    assert n_norms > 20
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert plain.std() > 1e-3
    assert difference(plain, folded) < tolerance


class Own(nn.Sequential):
    """A sequence that says itself in which order."""

    def forward(self, x):
        return self[1](self[0](x)) + self[0](x)


def some_convolutions():
    return nn.ModuleDict(
        {
            "biased": nn.Sequential(nn.Conv2d(3, 4, 3, bias=True), nn.BatchNorm2d(4)),
            "bare": nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False)),
            "grouped": nn.Sequential(nn.Conv2d(3, 6, 3, groups=3, bias=False), nn.BatchNorm2d(6, eps=0.1)),
            "apart": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
            "stateless": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
            "own": Own(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
        }
    )


@pytest.mark.parametrize(
    ("name", "folds"),
    [("biased", True), ("bare", True), ("grouped", True), ("apart", False), ("stateless", False), ("own", False)],
)
def test_what_is_folded(name, folds):
    torch.manual_seed(0)
    network = some_convolutions()[name]
    norm = next(m for m in network if isinstance(m, nn.BatchNorm2d))
    if norm.running_mean is not None:
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    if norm.affine:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.uniform_(norm.bias, -1, 1)
    network.eval()
    images = pictures(2, 8)
    with torch.inference_mode():
        plain = network(images)
    fold(network)
    assert any(isinstance(m, nn.BatchNorm2d) for m in network) != folds
    with torch.inference_mode():
        torch.testing.assert_close(network(images), plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NEEDS)
@pytest.mark.parametrize("side", [32, 64])
def test_parity(mbv3, name, side):
    """Also on batches of other sizes than the engine was shown."""
    network = mbv3(side, seed=side)
    images = pictures(9, side)
    with torch.inference_mode():
        plain = network(images)
    forward = made(name).prepare(network, images[:5])
    for n in (9, 5, 1):
        logits = forward(images[:n])
        assert logits.shape == (n, 7)
        assert logits.dtype == torch.float32
        assert difference(plain[:n], logits) < 1e-4
    assert torch.equal(forward(images), forward(images))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "torch"])
def test_a_network_prepared_for_one_picture_takes_any_number(mbv3, name):
    network = mbv3(32)
    images = pictures(3, 32)
    with torch.inference_mode():
        plain = network(images)
    assert difference(plain, made(name).prepare(network, images[:1])(images)) < 1e-4


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "torch"])
def test_a_batch_that_takes_several_portions(mbv3, name, threads, monkeypatch):
    """The last is smaller than the others."""
    module = importlib.import_module(f"nat_estimators.engines.{'eager' if name == 'torch' else 'compiled'}")
    monkeypatch.setattr(module, "_PIXELS", 4 * 32 * 32 // (threads if name == "torch" else 1))
    seen = []
    monkeypatch.setattr(module, "portion", lambda *given: seen.append(portion(*given)) or seen[-1])
    network = mbv3(32)
    images = pictures(11, 32)
    with torch.inference_mode():
        plain = network(images)
    with threads_of(threads):
        forward = made(name).prepare(network, images)
        assert difference(plain, forward(images)) < 1e-4
        assert torch.equal(forward(images), forward(images))
    assert set(seen) == {3 if threads == 2 and name != "torch" else 4}


@given(n=st.integers(0, 70), side=st.integers(1, 40), pixels=st.integers(0, 5000), threads=st.integers(1, 9))
def test_portions_are_equal_and_as_large_as_wanted(n, side, pixels, threads):
    size = portion(torch.empty(n, 3, side, side), pixels, threads)
    assert 1 <= size <= max(n, 1)
    assert size == 1 or size * side * side <= pixels
    wanted = math.ceil(max(math.ceil(n / max(pixels // side**2, 1)), 1) / threads) * threads
    assert math.ceil(n / size) <= wanted, "more portions than are needed"
    assert size == 1 or math.ceil(n / (size - 1)) > wanted, "portions that could be more equal"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("n", [0, 1, 4, 5, 8, 11, 30])
def test_portions_come_together_in_order(n, padded, threads):
    sizes, busy = [], set()

    def runner(number):
        def run(part):
            assert number not in busy, "computes two portions at once"
            busy.add(number)
            sizes.append(len(part))
            time.sleep(0.001 * (len(sizes) % 3))
            busy.remove(number)
            return part.sum((1, 2, 3))[:, None]

        return run

    images = torch.randn(n, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    forward = in_portions([*map(runner, range(threads))], 4, padded=padded)
    for _ in range(2):
        torch.testing.assert_close(forward(images), images.sum((1, 2, 3))[:, None])
    assert set(sizes) == {4} if padded else max(sizes) <= 4


def test_a_portion_that_fails_leaves_its_thread_to_others():
    def run(part):
        if part.max() > 1:
            raise FloatingPointError("too large")
        return part.sum((1, 2, 3))[:, None]

    forward = in_portions([run, run], 1)
    for _ in range(3):
        with pytest.raises(FloatingPointError, match="too large"):
            forward(torch.tensor([0.5, 2.0, 0.5, 3.0]).view(4, 1, 1, 1).expand(4, 3, 2, 2))
    assert forward(torch.ones(4, 3, 2, 2)).flatten().tolist() == [12.0] * 4


@pytest.mark.parametrize("name", ["torch", "plain", "openvino"])
def test_parity_in_bf16(mbv3, name):
    network = mbv3(48)
    images = pictures(16, 48)
    with torch.inference_mode():
        plain = network(images)
    logits = made(name, "bf16").prepare(network, images)(images)
    assert difference(plain, logits) < TOLERANCE["bf16"]
    if not torch.cpu._is_avx512_bf16_supported():
        pytest.skip("OpenVINO falls back to fp32 on a processor without bf16")
    assert difference(plain, logits) > 1e-4, "computed in fp32"


class Odd(nn.Module):
    """Operations of many kinds; with `pooled`, one that only torch's own exporter knows."""

    def __init__(self, pooled):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.activations = nn.ModuleList([nn.SiLU(inplace=True), nn.Mish(), nn.ReLU6(inplace=True), nn.Hardswish()])
        self.pooled = pooled
        self.register_buffer("shift", torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1))
        self.head = nn.Linear(16, 5, bias=False)

    def forward(self, x):
        x = torch.addcmul(self.shift, x, self.shift + 1)
        x = nn.functional.pad(x, (0, 1, 2, 3), value=0.5)
        x = self.norm(self.conv(x))
        x = 1 + x * 2 + torch.sigmoid(x)
        for activation in self.activations:
            x = activation(x) - 0.1 if self.pooled else activation(x)
        x = torch.cat([x, torch.relu(x.mean((2, 3), keepdim=True)) * x], 1)
        return self.head(nn.functional.dropout(x.mean((2, 3)), training=self.training))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("pooled", [False, True])
def test_operations_of_other_spaces(name, pooled):
    """What our own recording does not know goes through torch's exporter."""
    engine = made(name)
    if pooled:
        pytest.importorskip("onnxscript", reason="the package onnxscript is not here")
    torch.manual_seed(0)
    network = random_norms(Odd(pooled)).eval()
    images = pictures(6, 12)
    with torch.inference_mode():
        plain = network(images)
    assert difference(plain, engine.prepare(network, images[:4])(images)) < 1e-5


@pytest.mark.parametrize("name", NEEDS)
def test_measures_as_the_plain_network_does(estimator, data, name):
    made(name)
    X = np.array([(0, 2, 1), (1, 1, 0), (1, 2, 1)])
    ours, plain = estimator(engine=name, threads=1), estimator(engine="plain", threads=1)
    found, expected = ([m.value for m in e(X)] for e in (ours, plain))
    assert found == pytest.approx(expected, abs=1.5 / len(data.val))  # a picture on the border of two classes
    assert found == [m.value for m in ours(X)]
    assert found == [m.value for m in estimator(engine=name, threads=1)(X)]


def test_parity_is_checked_once(estimator, monkeypatch):
    asked = []
    monkeypatch.setattr("nat_estimators.accuracy.require_parity", lambda *a: asked.append(a[:2]))
    measured = estimator()
    measured(np.array([(0, 2, 1), (1, 1, 0)]))
    measured.test(np.array([(0, 2, 1)]))
    assert asked == [("torch", "fp32")]


def test_an_engine_that_goes_wrong_ends_the_run(estimator):
    class Wrong:
        name, precision = "torch", "fp32"

        def prepare(self, network, images):
            del images
            return lambda batch: network(batch).detach() * 1.01

    measured = estimator()
    measured.engine = Wrong()
    with pytest.raises(ConfigError, match=r"engine torch in fp32 .* differ by 0\.01 of their size, and 0\.001"):
        measured(np.array([(0, 2, 1)]))


def test_a_broken_network_is_not_the_engines_fault(estimator):
    measured = estimator()
    healthy = copy.deepcopy(measured.supernet.state_dict())
    with torch.no_grad():
        measured.supernet.heads[1].weight.fill_(torch.nan)
    (broken,) = measured(np.array([(0, 1, 1)]))
    assert "not finite" in broken.reason
    assert not measured._checked
    measured.supernet.load_state_dict(healthy)
    (sound,) = measured(np.array([(0, 1, 1)]))
    assert 0 <= sound.value <= 1
    assert measured._checked


@pytest.mark.parametrize("logits", [torch.full((2, 3), torch.nan), torch.ones(2, 4), torch.full((2, 3), torch.inf)])
def test_no_parity_with_what_is_no_number_or_has_another_shape(logits):
    with pytest.raises(ConfigError, match="computes other logits"):
        require_parity("torch", "fp16", torch.ones(2, 3), logits)


def test_unknown_engines_and_precisions(estimator):
    with pytest.raises(
        ConfigError,
        match=r"unknown engine 'opnvino'\. Did you mean 'openvino'.* Known: onnxruntime, openvino, plain, torch",
    ):
        estimator(engine="opnvino")
    with pytest.raises(ConfigError, match=r"unknown precision 'int8'.* Known: bf16, fp16, fp32"):
        estimator(precision="int8")
    with pytest.raises(ConfigError, match="'fp16', which a processor computes slower than fp32: choose fp32 or bf16"):
        estimator(precision="fp16", device="cpu")


def test_what_an_engine_cannot_do():
    for name in ("openvino", "onnxruntime"):
        with pytest.raises(ConfigError, match=f"{name} computes on the processor, and the device is 'cuda'"):
            engines.engine(name, "fp32", torch.device("cuda"))
    with pytest.raises(ConfigError, match="precision is 'bf16', and the engine onnxruntime computes in fp32"):
        engines.engine("onnxruntime", "bf16", CPU)


@pytest.mark.parametrize(("name", "extra"), [("openvino", "openvino"), ("onnxruntime", "onnx")])
@pytest.mark.parametrize("missing", ["runtime", "onnx"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, name, extra, missing):
    package = name if missing == "runtime" else "onnx"
    if package == "onnx" and importlib.util.find_spec(name) is None:
        pytest.skip(f"the package {name} is not here")
    real = importlib.import_module

    def without(module, *rest):
        if module == package:
            raise ModuleNotFoundError(f"No module named {module!r}")
        return real(module, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ConfigError, match=rf"needs the package {package}.*pip install 'nat-core\[{extra}\]'"):
        engines.engine(name, "fp32", CPU)


def test_the_default_needs_no_extra(monkeypatch, estimator):
    real = builtins.__import__

    def without(name, *rest):
        assert name.partition(".")[0] not in {"openvino", "onnx", "onnxruntime", "onnxscript"}
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert len(estimator()(np.array([(0, 2, 1)]))) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("precision", engines.PRECISIONS)
def test_on_a_gpu(estimator, precision):
    X = np.array([(0, 2, 1), (1, 1, 0)])
    values = [m.value for m in estimator(device="cuda", precision=precision)(X)]
    assert values == [m.value for m in estimator(device="cuda", precision=precision)(X)]
    assert values == pytest.approx([m.value for m in estimator(device="cpu")(X)], abs=0.1)
