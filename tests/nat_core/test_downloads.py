"""Downloads from a server on this machine that misbehaves in every way that we know of."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nat_core import downloads
from nat_core.downloads import Download, cache_folder, fetch
from nat_core.errors import ConfigError, NatError, ResourceError, StateError

CONTENT = bytes(range(256)) * 400  # 100 KiB: more than one block
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = b"another file"


class Server(ThreadingHTTPServer):
    """Answers by the path of the request; remembers what was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.awake = threading.Event()  # set at the end, so that no handler sleeps on

    def handle_error(self, request, client_address):
        """The client hung up, as it should."""

    def at(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        self.close_connection = True
        getattr(self, self.path.strip("/").partition("?")[0].replace("-", "_"))()

    def answer(self, body=CONTENT, length=None, status=200, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def good(self):
        self.answer()

    def slow(self):
        self.server.awake.wait(0.3)
        self.answer()

    def truncated(self):
        self.answer(CONTENT[:-1], length=len(CONTENT))

    def empty(self):
        self.answer(b"", length=len(CONTENT))

    def no_length(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT)

    def chunked(self, end=b"0\r\n\r\n"):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(CONTENT), 30_000):
            part = CONTENT[start : start + 30_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(end)

    def chunked_cut(self):
        self.chunked(end=b"")

    def other(self):
        self.answer(OTHER)

    def longer(self):
        self.answer(CONTENT + OTHER)

    def endless(self):
        self.send_response(200)
        self.end_headers()
        while not self.server.awake.is_set():
            self.wfile.write(CONTENT)

    def stalled(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000])
        self.server.awake.wait(20)

    def drip(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        while not self.server.awake.wait(0.05):
            self.wfile.write(b"x")

    def silent(self):
        self.server.awake.wait(20)

    def missing(self):
        self.answer(b"<html>no such file</html>", status=404)

    def partial(self):
        self.answer(status=206)

    def gzip(self):
        self.answer(Content_Encoding="gzip")

    def to_good(self):
        self.answer(b"", status=302, Location="/good")

    def to_file(self):
        self.answer(b"", status=302, Location=f"file://{__file__}")

    def to_ftp(self):
        self.answer(b"", status=301, Location="ftp://127.0.0.1/good")

    def to_data(self):
        self.answer(b"", status=307, Location="data:text/plain,hello")

    def to_http(self):
        self.answer(b"", status=308, Location="http://user:secret@example.org/good?token=secret")

    def to_itself(self):
        self.answer(b"", status=303, Location="/to-itself")

    def to_nowhere(self):
        self.answer(b"", status=302, Location="http://[")

    def not_http(self):
        self.wfile.write(b"\0\1\2 hello\r\n\r\n")


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.awake.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def get(server, tmp_path):
    """Download a path of the server into an empty cache; `server.asked` counts from here."""
    server.asked.clear()

    def get(path, sha256=SHA256, max_bytes=1 << 20, **options):
        source = Download(server.at(path), "net.weights", max_bytes, sha256)
        return fetch(source, folder=tmp_path / "cache", loopback=True, **{"patience": 5.0, **options})

    return get


def kept(folder):
    """What a cache holds; locks are empty and in nobody's way."""
    return {p.name: p.read_bytes() for p in sorted((folder / "cache").iterdir()) if not p.name.endswith(".lock")}


@pytest.mark.parametrize("path", ["good", "to-good", "chunked", "no-length", "slow"])
def test_a_good_file_is_asked_for_once(server, get, tmp_path, path):
    file = get(path)
    assert file == tmp_path / "cache" / "net.weights"
    assert kept(tmp_path) == {"net.weights": CONTENT}
    asked = len(server.asked)
    assert get(path) == file
    assert len(server.asked) == asked


BAD = {  # path → (the error, a part of its message)
    "truncated": (ResourceError, "after 102,399 of 102,400 bytes"),
    "empty": (ResourceError, "after 0 of 102,400 bytes"),
    "chunked-cut": (ResourceError, "the connection broke"),
    "other": (StateError, "sent another file than is wanted: its sha256 is"),
    "longer": (ResourceError, "102,412 bytes, and at most 102,400 are expected"),
    "endless": (ResourceError, "larger than 102,400 bytes"),
    "stalled": (ResourceError, "stalled"),
    "silent": (ResourceError, "stalled"),
    "drip": (ResourceError, r"bytes in \d+ s: it has stalled"),
    "missing": (ResourceError, "answers 404 Not Found"),
    "partial": (ResourceError, "answers 206"),
    "gzip": (ResourceError, "encoded as 'gzip'"),
    "to-file": (ResourceError, r"file:.*test_downloads\.py is not an https address"),
    "to-ftp": (ResourceError, "ftp://127.0.0.1/good is not an https address"),
    "to-data": (ResourceError, "is not an https address"),
    "to-http": (ResourceError, "http://example.org/good is not an https address"),
    "to-itself": (ResourceError, "redirected more than 5 times"),
    "to-nowhere": (ResourceError, "Invalid IPv6 URL"),
    "not-http": (ResourceError, "the connection broke|cannot be reached"),
}


@pytest.mark.parametrize("path", BAD)
def test_a_bad_answer_leaves_nothing(server, get, tmp_path, path):
    kind, message = BAD[path]
    start = time.monotonic()
    with pytest.raises(kind, match=message) as caught:
        get(path, max_bytes=len(CONTENT), patience=0.4)
    assert time.monotonic() - start < 5
    assert kept(tmp_path) == {}
    assert server.at(path) in str(caught.value)
    assert "secret" not in str(caught.value)
    if kind is ResourceError:
        assert f"save that address as {tmp_path / 'cache' / 'net.weights'} (sha256 {SHA256})" in str(caught.value)
    assert get("good").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["truncated", "other", "missing", "stalled"])
def test_a_bad_answer_leaves_what_was_there(get, tmp_path, path):
    """Even what is no good: nothing is removed before something better is there."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "net.weights").write_bytes(OTHER)
    with pytest.raises(NatError):
        get(path, patience=0.3)
    assert kept(tmp_path) == {"net.weights": OTHER}


def test_nobody_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    source = Download(f"http://127.0.0.1:{port}/x", "net.weights", 10, SHA256)
    with pytest.raises(ResourceError, match=r"cannot be reached.*Connection refused.*To bring the file yourself, save"):
        fetch(source, folder=tmp_path / "cache", loopback=True)
    assert kept(tmp_path) == {}


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "x", "", "//x/y"])
def test_only_https(tmp_path, url):
    for loopback in (True, False):
        with pytest.raises(ResourceError, match="is not an https address"):
            fetch(Download(url, "x", 10), folder=tmp_path, loopback=loopback)


def test_plain_http_to_this_machine_has_to_be_allowed(server, tmp_path):
    server.asked.clear()
    with pytest.raises(ResourceError, match="is not an https address"):
        fetch(Download(server.at("good"), "x", 1 << 20), folder=tmp_path)
    assert not server.asked


def test_https_is_spoken(server, tmp_path):
    """A server that speaks no TLS is not spoken to."""
    url = server.at("good").replace("http:", "https:")
    with pytest.raises(ResourceError, match="cannot be reached"):
        fetch(Download(url, "x", 1 << 20), folder=tmp_path, loopback=True, patience=1.0)


@pytest.fixture
def certificate(tmp_path):
    """Of this machine, signed by itself."""
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    try:
        command = ["openssl", *words.split(), "-out", files[0], "-keyout", files[1]]
        subprocess.run(command, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no openssl here that makes a certificate")
    return files


def test_certificates_are_compared(certificate, monkeypatch, tmp_path):
    """With an authority that is trusted it is a download like any other; without, or for another name, it is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Server() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            source = Download(f"https://localhost:{server.server_port}/good", "x", 1 << 20, SHA256)
            with pytest.raises(ResourceError, match=r"cannot be reached.*certificate verify failed"):
                fetch(source, folder=tmp_path, loopback=True)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
            elsewhere = replace(source, url=source.url.replace("localhost", "127.0.0.1"))
            with pytest.raises(ResourceError, match=r"cannot be reached.*certificate verify failed"):
                fetch(elsewhere, folder=tmp_path, loopback=True)
            assert not server.asked
            assert fetch(source, folder=tmp_path, loopback=True).read_bytes() == CONTENT
        finally:
            server.shutdown()
            thread.join()


def test_a_changed_file_is_downloaded_again(server, get, caplog):
    file = get("good")
    damaged = bytearray(CONTENT)
    damaged[5000] ^= 1
    for content in (bytes(damaged), CONTENT[:-1], b""):
        file.write_bytes(content)
        assert get("good").read_bytes() == CONTENT
    assert len(server.asked) == 4
    assert "is downloaded again: its sha256 is" in caplog.text
    file.write_bytes(damaged)
    with pytest.raises(ResourceError, match=r"404.*What is there now cannot be used: its sha256 is"):
        get("missing")


def test_a_file_that_is_brought_needs_no_server(server, get, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "net.weights").write_bytes(CONTENT)
    assert get("good").read_bytes() == CONTENT
    assert not server.asked


def manifest(folder):
    return folder / "cache" / "net.weights.manifest.json"


@pytest.mark.parametrize("known", ["", SHA256[:8], SHA256[:63]])
def test_an_unpublished_sha256_is_pinned_at_first_use(server, get, tmp_path, caplog, known):
    file = get("good", sha256=known)
    assert json.loads(manifest(tmp_path).read_text()) == {
        "name": "net.weights",
        "url": server.at("good"),
        "sha256": SHA256,
    }
    assert f"no full sha256 of net.weights is published: it is pinned at first use, as {SHA256}" in caplog.text
    caplog.clear()
    assert get("good", sha256=known) == file
    assert not caplog.text
    file.write_bytes(OTHER)
    with pytest.raises(StateError, match=f"sent another file.*not {SHA256}, which .*manifest.json pins; if this one"):
        get("other", sha256=known)
    assert file.read_bytes() == OTHER
    assert get("good", sha256=known).read_bytes() == CONTENT
    file.unlink()
    assert get("good", sha256=known).read_bytes() == CONTENT
    assert len(server.asked) == 4


def test_the_known_digits_are_compared(get, tmp_path):
    wrong = "0" * 8
    with pytest.raises(StateError, match=f"its sha256 is {SHA256}, and the published one begins with 00000000"):
        get("good", sha256=wrong)
    assert kept(tmp_path) == {}
    (tmp_path / "cache" / "net.weights").write_bytes(CONTENT)
    with pytest.raises(ResourceError, match=r"404.*begins with 00000000"):
        get("missing", sha256=wrong)
    assert set(kept(tmp_path)) == {"net.weights"}


def test_what_is_brought_is_pinned_too(server, get, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "net.weights").write_bytes(OTHER)
    get("good", sha256="")
    assert json.loads(manifest(tmp_path).read_text())["sha256"] == hashlib.sha256(OTHER).hexdigest()
    assert not server.asked


def is_content(file):
    if file.read_bytes() != CONTENT:
        raise ConfigError("this is not a network")


def test_nothing_is_pinned_that_a_check_refuses(get, tmp_path):
    with pytest.raises(StateError, match="sent another file than is wanted: this is not a network"):
        get("other", sha256="", check=is_content)
    assert kept(tmp_path) == {}
    (tmp_path / "cache" / "net.weights").write_bytes(OTHER)
    with pytest.raises(ResourceError, match="What is there now cannot be used: this is not a network"):
        get("missing", sha256="", check=is_content)
    get("good", sha256="", check=is_content)
    assert set(kept(tmp_path)) == {"net.weights", "net.weights.manifest.json"}
    get("good", sha256="", check=pytest.fail)  # what is pinned is not looked at again


def test_a_part_does_not_pass_for_the_whole(get):
    """Without a full sha256 and a length nobody could tell."""
    with pytest.raises(ResourceError, match="does not say how long it is"):
        get("no-length", sha256=SHA256[:8])
    get("chunked", sha256=SHA256[:8])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": 5}', '{"sha256": "abc"}', "[" * 10**5, "\xff"])
def test_a_damaged_manifest(get, tmp_path, text):
    get("good", sha256="")
    manifest(tmp_path).write_bytes(text.encode("latin-1"))
    with pytest.raises(StateError, match=r"net\.weights\.manifest\.json.*remove it, and the next copy"):
        get("good", sha256="")
    manifest(tmp_path).unlink()
    assert get("good", sha256="").read_bytes() == CONTENT


def test_many_at_once_ask_once(server, get, tmp_path):
    """Threads here; a lock of a file is between processes just as well."""
    found, threads = [], []
    for _ in range(8):
        threads.append(threading.Thread(target=lambda: found.append(get("slow", sha256="").read_bytes())))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 8
    assert server.asked == ["/slow"]
    assert set(kept(tmp_path)) == {"net.weights", "net.weights.manifest.json"}


def test_a_draft_of_a_killed_process_is_replaced(get, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".net.weights.draft").write_bytes(OTHER)
    assert get("good").read_bytes() == CONTENT
    assert set(kept(tmp_path)) == {"net.weights"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(get, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o555)
    with pytest.raises(ResourceError, match="Permission denied"):
        get("good")


def test_a_cache_that_is_a_file(get, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(ResourceError, match=r"cannot write .*cache"):
        get("good")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "/x", "a/b", "a\\b", "a\0", "%2e%2e/x", "..%2fx", ".hidden", "-x", "a b", "x" * 201, "ü"],
)
def test_no_name_reaches_outside_the_cache(name):
    with pytest.raises(ConfigError, match="a download is named"):
        Download("https://example.org/x", name, 10)


@pytest.mark.parametrize("sha256", ["x", SHA256.upper(), SHA256 + "0", "sha256:" + SHA256])
def test_a_sha256_has_64_digits_at_most(sha256):
    with pytest.raises(ConfigError, match="up to 64 digits"):
        Download("https://example.org/x", "x", 10, sha256)


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("NAT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == tmp_path / ".cache" / "nat"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "nat"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "nat"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "nat"
    monkeypatch.setenv("NAT_CACHE", str(tmp_path / "y"))
    assert cache_folder() == tmp_path / "y"


def test_the_cache_of_the_environment_is_used(server, monkeypatch, tmp_path):
    monkeypatch.setenv("NAT_CACHE", str(tmp_path / "here"))
    source = Download(server.at("good"), "x", 1 << 20, SHA256)
    assert fetch(source, loopback=True) == tmp_path / "here" / "x"
    assert fetch(replace(source, url="https://127.0.0.1:1/x")) == tmp_path / "here" / "x"


def test_addresses_are_shown_without_secrets():
    assert downloads._shown("https://user:secret@example.org:80/a/b?token=secret#c") == "https://example.org:80/a/b"
