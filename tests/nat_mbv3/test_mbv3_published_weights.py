"""Weights by name: OFA's published supernets, out of the cache, or from a server on this machine."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nat_core import downloads
from nat_core.contracts import Fingerprinted
from nat_core.errors import ConfigError, ResourceError
from nat_mbv3 import catalogue

N_CLASSES = 12


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and nothing to download from."""
    monkeypatch.setenv("NAT_CACHE", str(tmp_path / "cache"))
    closed = {w: replace(d, url="https://127.0.0.1:1/" + d.name) for w, d in catalogue.SUPERNETS["ofa"].items()}
    monkeypatch.setattr(catalogue, "SUPERNETS", {"ofa": closed})
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def brought(cache, ofa_files):
    """Somebody brought the files."""
    for file in ofa_files.values():
        (cache / file.name).hardlink_to(file)
    return cache


def require_nothing(_):
    """Any file will do."""


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_what_is_published():
    found = catalogue.SUPERNETS["ofa"]
    assert set(found) == {1.0, 1.2}
    for width, download in found.items():
        assert download.url.startswith("https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/")
        assert download.url.endswith(f"/ofa_mbv3_d234_e346_k357_w{width}")
        assert 50e6 < download.max_bytes < 200e6  # the larger one has 43 MB of tensors


def test_files_that_are_brought(brought, mbv3, loaded, ofa_files):
    """Given as an option, or to the supernet; each width pinned at first use, and checked at the second."""
    for net in (mbv3(weights="ofa").supernet(N_CLASSES), mbv3().supernet(N_CLASSES, weights="ofa")):
        assert same(net.state_dict(), loaded.state_dict())
    for file in ofa_files.values():
        pinned = json.loads((brought / f"{file.name}.manifest.json").read_text())
        assert pinned["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    narrow = mbv3(widths=[1.2]).supernet(N_CLASSES, weights="ofa")
    assert same(narrow.state_dict(), {n: t for n, t in loaded.state_dict().items() if ".w12." in n})
    mixed = mbv3().supernet(N_CLASSES, weights={"1.0": "ofa", "1.2": str(ofa_files[1.2])})
    assert same(mixed.state_dict(), loaded.state_dict())


def test_only_the_widths_of_the_space_are_wanted(cache, mbv3, ofa_files):
    (cache / ofa_files[1.0].name).hardlink_to(ofa_files[1.0])
    assert mbv3(widths=[1.0]).supernet(5, weights="ofa").n_classes == 5
    with pytest.raises(ResourceError, match=r"cannot download .*w1\.2: .*save that address as .*cache/ofa_mbv3.*w1\.2"):
        mbv3(widths=[1.2]).supernet(5, weights="ofa")


def test_a_flipped_bit_is_seen(brought, mbv3, ofa_files):
    space = mbv3(widths=[1.0])
    space.supernet(N_CLASSES, weights="ofa")
    file = brought / ofa_files[1.0].name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.unlink()
    file.write_bytes(content)
    with pytest.raises(ResourceError, match=r"What is there now cannot be used: its sha256 is \w{64}, not \w{64}"):
        space.supernet(N_CLASSES, weights="ofa")


@pytest.mark.parametrize("what", ["a page", "the other width", "another network"])
def test_another_file_is_not_pinned(cache, mbv3, ofa_files, what):
    file = cache / ofa_files[1.0].name
    if what == "a page":
        file.write_text("<html>Please log in</html>")
    elif what == "the other width":
        file.write_bytes(ofa_files[1.2].read_bytes())
    else:
        torch.save({"state_dict": {"fc.weight": torch.zeros(3)}}, file)
    with pytest.raises(ResourceError, match=r"What is there now cannot be used: .*(read safely|does not fit)"):
        mbv3(widths=[1.0]).supernet(N_CLASSES, weights="ofa")
    assert not (cache / f"{file.name}.manifest.json").exists()


def test_a_name_that_nobody_published(cache, mbv3, monkeypatch, tmp_path, ofa_files):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no checkpoint at offa; published weights are known by these names: ofa"):
        mbv3().supernet(N_CLASSES, weights="offa")
    (tmp_path / "offa").hardlink_to(ofa_files[1.0])
    mbv3(widths=[1.0]).supernet(N_CLASSES, weights="offa")
    assert not list(cache.iterdir())


def test_a_path_in_a_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "offa").touch()
    assert catalogue.checkpoint_file("~/offa", 1.0, require_nothing) == tmp_path / "offa"
    assert catalogue.checkpoint_file("~/none.pth", 1.0, require_nothing) == tmp_path / "none.pth"
    unknown = "~nobody-of-this-name/w.pth"
    assert catalogue.checkpoint_file(unknown, 1.0, require_nothing) == Path(unknown)
    for word in ("~nobody-of-this-name", "~\0"):
        with pytest.raises(ConfigError, match=f"no checkpoint at {word}; published weights are known"):
            catalogue.checkpoint_file(word, 1.0, require_nothing)


def test_downloaded(cache, mbv3, loaded, ofa_files, monkeypatch):
    """From a server, once."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    folder = ofa_files[1.0].parent
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/"
        found = {w: replace(d, url=address + d.name) for w, d in catalogue.SUPERNETS["ofa"].items()}
        monkeypatch.setattr(catalogue, "SUPERNETS", {"ofa": found})
        monkeypatch.setattr(catalogue, "fetch", functools.partial(downloads.fetch, loopback=True))
        for _ in range(2):
            assert same(mbv3().supernet(N_CLASSES, weights="ofa").state_dict(), loaded.state_dict())
        server.shutdown()
        thread.join()
    assert sorted(asked) == [f"/{file.name}" for file in ofa_files.values()]
    assert {p.name for p in cache.iterdir() if p.suffix == ".json"} == {
        f"{f.name}.manifest.json" for f in ofa_files.values()
    }


@pytest.mark.usefixtures("brought")
def test_a_run_does_not_go_on_with_other_weights(mbv3, ofa_files, tmp_path):
    """The space says which files it begins from; without any, it has nothing to say."""
    both, narrow = mbv3(weights="ofa"), mbv3(widths=[1.0], weights="ofa")
    assert isinstance(both, Fingerprinted)
    assert not isinstance(mbv3(), Fingerprinted)
    assert len({both.fingerprint, narrow.fingerprint}) == 2
    assert both.fingerprint == mbv3(weights={str(w): str(f) for w, f in ofa_files.items()}).fingerprint
    copy = tmp_path / "copy"
    copy.write_bytes(ofa_files[1.0].read_bytes())
    assert mbv3(widths=[1.0], weights=str(copy)).fingerprint == narrow.fingerprint
    copy.write_bytes(ofa_files[1.0].read_bytes() + b"x")
    assert mbv3(widths=[1.0], weights=str(copy)).fingerprint != narrow.fingerprint
    for missing, reason in (
        ("./none", "no checkpoint at"),
        (str(tmp_path), "is a folder"),
        ("\0/x", "no checkpoint at"),
    ):
        with pytest.raises(ConfigError, match=reason):
            _ = mbv3(weights=missing).fingerprint
