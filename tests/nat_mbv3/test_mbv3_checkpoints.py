"""Supernet weights in files: what is read, and what is refused with nothing loaded and nothing run."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nat_core.errors import ConfigError
from nat_mbv3 import checkpoint

N_CLASSES = 12


@pytest.fixture(scope="module")
def one(mbv3):
    """The smallest space with the supernet of width 1.0."""
    return mbv3(resolutions=[32], widths=[1.0], kernels=[3], expands=[3], depths=[2])


@pytest.fixture(scope="module")
def state(ofa_nets):
    """OFA's tensors of width 1.0 by their published names."""
    return {name: tensor.clone() for name, tensor in ofa_nets[1.0].state_dict().items()}


@pytest.fixture(scope="module")
def expected(loaded):
    return {n.removeprefix("elastic.w10."): t for n, t in loaded.state_dict().items() if ".w10." in n}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "some checkpoint"


def weights_of(net, width="w10"):
    return dict(net.elastic[width].state_dict())


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


OLD = {
    "as published now": lambda n: n,
    "mobile_inverted_conv": lambda n: n.replace(".conv.", ".mobile_inverted_conv.", 1) if n.startswith("blocks") else n,
    "plain bn": lambda n: n.replace(".bn.bn.", ".bn."),
    "plain conv": lambda n: n.replace(".conv.conv.weight", ".conv.weight"),
    "bn.bn everywhere": lambda n: re.sub(r"(?<!\.bn)\.bn\.(?!bn\.)", ".bn.bn.", n),
    "linear.linear": lambda n: n.replace("classifier.linear.", "classifier.linear.linear."),
    "module": lambda n: f"module.{n}",
    "all old": lambda n: "module." + OLD["mobile_inverted_conv"](OLD["plain bn"](OLD["plain conv"](n))),
}


@pytest.mark.parametrize("style", OLD)
def test_old_and_new_names(one, state, expected, file, style):
    renamed = {OLD[style](name): tensor for name, tensor in state.items()}
    assert len(renamed) == 475
    assert (list(renamed) == list(state)) == (style == "as published now")
    torch.save({"state_dict": renamed}, file)
    assert same(weights_of(one.supernet(N_CLASSES, weights=file)), expected)


def test_containers(one, state, expected, file):
    """Bare, under `state_dict`, under `state_dict_ema`; parameters, half precision and torch's old file format."""
    zeros = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    parameters = {n: torch.nn.Parameter(t) if t.is_floating_point() else t for n, t in state.items()}
    for content in (
        state,
        {"epoch": 3, "state_dict": state, "note": "other things"},
        {"state_dict": zeros, "state_dict_ema": state},
        {"state_dict": parameters},
    ):
        torch.save(content, file)
        assert same(weights_of(one.supernet(N_CLASSES, weights=str(file))), expected)
    torch.save({"state_dict": state}, file, _use_new_zipfile_serialization=False)
    assert same(weights_of(one.supernet(N_CLASSES, weights=file)), expected)
    save_file(state, file)
    assert same(weights_of(one.supernet(N_CLASSES, weights=file)), expected)
    torch.save({n: t.half() if t.is_floating_point() else t for n, t in state.items()}, file)
    half = weights_of(one.supernet(N_CLASSES, weights=file))
    assert all(torch.equal(half[n], t.half().float() if t.is_floating_point() else t) for n, t in expected.items())


def test_weights_by_width_by_path_and_by_option(mbv3, ofa_files, loaded):
    for weights in (ofa_files, {str(w): str(f) for w, f in ofa_files.items()}):
        for net in (mbv3().supernet(N_CLASSES, weights=weights), mbv3(weights=weights).supernet(N_CLASSES)):
            assert same(net.state_dict(), loaded.state_dict())
    narrow = mbv3(widths=[1.2], weights=str(ofa_files[1.2]))
    assert same(weights_of(narrow.supernet(N_CLASSES), "w12"), weights_of(loaded, "w12"))


def test_another_number_of_classes_keeps_a_random_classifier(one, ofa_files):
    random, kept = one.supernet(5), one.supernet(5, weights=ofa_files[1.0]).eval()
    whole = one.supernet(N_CLASSES, weights=ofa_files[1.0])
    replaced = {n for n, t in weights_of(kept).items() if torch.equal(t, weights_of(random)[n])}
    assert {n for n in replaced if "classifier" in n} == {"network.classifier.weight", "network.classifier.bias"}
    assert kept(torch.zeros(2, 3, 32, 32), (0,) * 22).shape == (2, 5)
    for name, tensor in weights_of(kept).items():
        assert "classifier" in name or torch.equal(tensor, weights_of(whole)[name])


def test_our_own_files(mbv3, one, loaded, file, tmp_path):
    """Both widths in one file, bit for bit; a space of one width takes its own; a mapping may name the same file."""
    checkpoint.save(loaded, file)
    both = mbv3()
    for weights in (file, str(file), {1.0: file, 1.2: file}):
        assert same(both.supernet(N_CLASSES, weights=weights).state_dict(), loaded.state_dict())
    assert same(weights_of(one.supernet(N_CLASSES, weights=file)), weights_of(loaded))
    again = tmp_path / "again"
    checkpoint.save(both.supernet(N_CLASSES, weights=file), again)
    assert again.read_bytes() == file.read_bytes()
    torch.save(loaded.state_dict(), file)
    assert same(both.supernet(N_CLASSES, weights=file).state_dict(), loaded.state_dict())
    other = both.supernet(5, weights=file)
    assert other.elastic["w12"].network.classifier.weight.shape[0] == 5


def test_one_width_for_a_space_of_two(mbv3, one, ofa_files, file):
    both = mbv3()
    with pytest.raises(ConfigError, match=r"w1\.0 holds one width, and the space has \[1\.0, 1\.2\].*mbv3.widths"):
        both.supernet(N_CLASSES, weights=ofa_files[1.0])
    checkpoint.save(one.supernet(N_CLASSES), file)
    with pytest.raises(ConfigError, match="some checkpoint holds w10, and not w12"):
        both.supernet(N_CLASSES, weights=file)
    with pytest.raises(ConfigError, match=r"given for widths \[1\.0\], and the space has \[1\.0, 1\.2\]"):
        both.supernet(N_CLASSES, weights={1.0: ofa_files[1.0]})
    with pytest.raises(ConfigError, match="given for width 'wide'"):
        both.supernet(N_CLASSES, weights={"wide": file, 1.2: file})
    with pytest.raises(ConfigError, match=r"w1\.2 does not fit the MobileNetV3 supernet of width 1\.0 in \d+ of 475"):
        one.supernet(N_CLASSES, weights=ofa_files[1.2])


def test_a_refused_load_changes_nothing(mbv3, ofa_files, file):
    """The fault lies in the second width, and in the last tensor of it."""
    net = mbv3().supernet(N_CLASSES)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    bad = torch.load(ofa_files[1.2], weights_only=True)["state_dict"]
    bad["classifier.linear.bias"][-1] = torch.nan
    torch.save(bad, file)
    for weights in ({1.0: ofa_files[1.0], 1.2: file}, {1.0: ofa_files[1.0], 1.2: ofa_files[1.0]}, file):
        with pytest.raises(ConfigError):
            checkpoint._load(net, (1.0, 1.2), weights)
        assert same(net.state_dict(), before)


class Canary:
    """A pickle that makes a file when it is read without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_files_run_no_code(one, state, file, tmp_path):
    canary = tmp_path / "canary"
    hostile = Canary(canary)
    contents = [hostile, {"state_dict": hostile}, {**state, "extra": hostile}]
    for content in contents:
        for zipped in (True, False):
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
            refused(one, file)
    file.write_bytes(pickle.dumps(hostile))
    refused(one, file)
    assert not canary.exists()
    pickle.loads(pickle.dumps(hostile))
    assert canary.exists()  # the canary sings


def refused(space, weights, because=None):
    with pytest.raises(ConfigError, match=because) as caught:
        space.supernet(N_CLASSES, weights=weights)
    assert str(weights) in str(caught.value)
    assert "weights_only" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("how", ["zip", "legacy", "safetensors"])
def test_truncated_files(state, file, how):
    small = {name: tensor for name, tensor in state.items() if name.startswith(("first_conv", "blocks.1."))}
    if how == "safetensors":
        save_file(small, file)
    else:
        torch.save({"state_dict": small}, file, _use_new_zipfile_serialization=how == "zip")
    whole = file.read_bytes()
    assert checkpoint.read(file).keys() == small.keys()
    n = len(whole)
    for length in sorted({*range(64), *(n * i // 60 for i in range(60)), *range(n - 40, n)}):
        file.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match="some checkpoint cannot be read safely"):
            checkpoint.read(file)


def test_damaged_files(state, file):
    """A flipped byte gives a ConfigError or tensors, never another error."""
    small = {name: tensor for name, tensor in state.items() if name.startswith("first_conv")}
    for write in (save_file, torch.save):
        write(small, file)
        whole = file.read_bytes()
        for position in range(0, len(whole), max(len(whole) // 150, 1)):
            file.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
            with contextlib.suppress(ConfigError):
                checkpoint.read(file)


def test_where_a_checkpoint_was_looked_for(one, tmp_path, monkeypatch):
    """A relative path says from where; the folder of a pretraining says which file in it is meant; so for a run."""
    monkeypatch.chdir(tmp_path)
    said = refused(one, "pt/x.pth", "seen from the folder where this was started")
    assert f"no checkpoint at {tmp_path / 'pt/x.pth'} (pt/x.pth, seen" in said
    (tmp_path / "pt").mkdir()
    (tmp_path / "pt/supernet.safetensors").touch()
    refused(one, "pt", r"pt is a folder: did you mean pt/supernet.safetensors\?")
    with pytest.raises(ConfigError, match=r"did you mean pt/supernet.safetensors\?"):
        checkpoint.fingerprint((1.0,), "pt")
    refused(one, "pt/supernet.safetensors", "it is empty")


def test_no_checkpoints(one, file, tmp_path):
    refused(one, file, "no checkpoint at")
    refused(one, tmp_path, "is a folder: accepted is a file of weights")
    refused(one, 5, "no checkpoint at")
    assert "no checkpoint" in refused(one, Path("\0"))
    for content in (
        b"",
        b"hello, world\n" * 100,
        b"\x80",
        b"PK\x03\x04" + b"\0" * 100,
        b"\0" * 8 + b"{",
        b"\xff" * 8 + b"{}",
    ):
        file.write_bytes(content)
        assert "accepted are safetensors" in refused(one, file)
    for content in ([1, 2], {"state_dict": 3}, {"a": {"b": torch.zeros(1)}}, torch.zeros(3), None):
        torch.save(content, file)
        refused(one, file, "not a mapping from names to tensors")
    torch.save({}, file)
    refused(one, file, "in 475 of 475 tensors.*is missing")


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may read all")
def test_a_file_that_may_not_be_read(one, file):
    file.write_bytes(b"x")
    file.chmod(0)
    refused(one, file, "Permission")


STEM, TRACKED, BIAS = "first_conv.conv.weight", "first_conv.bn.num_batches_tracked", "classifier.linear.bias"
FAULTS = {
    "missing": (lambda s: s.pop(STEM), "1 of 475.*network.stem.conv.weight is missing"),
    "extra": (lambda s: s.update({"blocks.21.conv.x": torch.zeros(1)}), "in 1 of.*stages.5.0.x is unknown"),
    "unknown": (lambda s: s.update({"head": torch.zeros(1)}), "head is unknown"),
    "twice": (lambda s: s.update({f"module.{STEM}": s[STEM]}), "the same tensor under two names"),
    "shape": (lambda s: s.update({STEM: s[STEM][:8]}), r"is \(8, 3, 3, 3\) instead of \(16, 3, 3, 3\)"),
    "scalar": (lambda s: s.update({BIAS: torch.tensor(0.0)}), r"classifier.bias is \(\) instead of \(12,\)"),
    "nan": (lambda s: s.update({STEM: s[STEM] * torch.nan}), "stem.conv.weight holds NaN or infinity"),
    "infinite": (lambda s: s.update({STEM: s[STEM] / 0}), "holds NaN or infinity"),
    "integers": (lambda s: s.update({STEM: s[STEM].int()}), "is of torch.int32 instead of torch.float32"),
    "complex": (lambda s: s.update({STEM: s[STEM] + 0j}), "is of torch.complex64 instead"),
    "float count": (lambda s: s.update({TRACKED: torch.tensor(1.0)}), "is of torch.float32 instead of torch.int64"),
    "sparse": (lambda s: s.update({STEM: s[STEM].to_sparse()}), "holds no plain numbers"),
    "meta": (lambda s: s.update({STEM: s[STEM].to("meta")}), "holds no plain numbers"),
    "classifier": (lambda s: s.update({"classifier.linear.weight": torch.zeros(12, 9)}), r"is \(12, 9\) instead of"),
    "no classifier": (
        lambda s: (s.pop(BIAS), s.pop("classifier.linear.weight")),
        "in 2 of 475.*classifier.bias is mis",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_tensors_that_do_not_fit(one, state, file, fault):
    change, message = FAULTS[fault]
    wrong = dict(state)
    change(wrong)
    torch.save({"state_dict": wrong}, file)
    refused(one, file, message)
