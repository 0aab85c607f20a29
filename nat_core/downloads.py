"""Files from the internet: checked before they are kept, and checked again whenever they are used.

    download = Download("https://example.org/nets/small", name="small", max_bytes=64 << 20, sha256="9f86d0…")
    file = fetch(download)

A file that its publisher never gave a sha256 for is trusted once: the first copy that arrives, or that somebody brings,
is pinned by its sha256 in a manifest beside it, and every later copy has to be the same. Nothing but https is spoken,
also after a redirect. A failed try leaves the cache as it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import logging
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from nat_core.durable import on_disk, publish, publish_text, sha256
from nat_core.errors import ConfigError, NatError, ResourceError, StateError
from nat_core.stopping import stop_if_asked

log = logging.getLogger("nat_core")

Check = Callable[[Path], None]  # raises a `NatError` for a file that is not what it should be

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DIGITS = re.compile(r"[0-9a-f]{0,64}")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_LEAST_RATE = 1024  # bytes a second: a server that sends less has stalled
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Download:
    """A file on the internet, and what is known of it."""

    url: str
    name: str  # in the cache: no folder
    max_bytes: int
    sha256: str = ""  # as many of its 64 digits as the publisher gives, from the first

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"a download is named {self.name!r}: letters, digits, '.', '_' and '-' make a file name")
        if not _DIGITS.fullmatch(self.sha256):
            raise ConfigError(f"the sha256 of {self.name} is {self.sha256!r}: give up to 64 digits of 0 … 9 and a … f")


def cache_folder() -> Path:
    """Where downloads are kept: `NAT_CACHE`, else the platform's folder for caches."""
    if chosen := os.environ.get("NAT_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "nat"
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))  # a relative one is to be ignored, says its specification
    return (base if base.is_absolute() else Path.home() / ".cache") / "nat"


def fetch(
    download: Download,
    *,
    check: Check | None = None,
    folder: Path | None = None,
    patience: float = 30.0,
    loopback: bool = False,
) -> Path:
    """The file in the cache, downloaded if it is not there, its sha256 compared in any case.

    `check` looks at content that no full sha256 vouches for yet, before it is kept. `patience` (s) is how long a server
    may be silent. `loopback` allows plain http to this machine itself, for tests. Raises `ResourceError` where the file
    cannot be had, saying how to bring it oneself, and `StateError` for another file than was pinned.
    """
    stored = _Stored(cache_folder() if folder is None else folder, download)
    digest = stored.digest()
    if digest and digest == stored.expected():
        return stored.file
    with _turn(stored):
        digest = stored.digest()  # as it is now: another process may have been busy
        doubt = _doubt(stored, digest, check) if digest else ""
        if digest and not doubt:
            _pin(stored, digest)
        else:
            if doubt:
                log.warning("%s is downloaded again: %s", stored.file, doubt)
            _download(stored, check, patience, doubt, loopback=loopback)
    return stored.file


@dataclass(frozen=True)
class _Stored:
    """A download's place in a cache folder. Reads the disk anew at every look."""

    folder: Path
    download: Download

    @property
    def file(self) -> Path:
        return self.folder / self.download.name

    @property
    def manifest(self) -> Path:
        return self.folder / f"{self.download.name}.manifest.json"

    @property
    def vouched(self) -> bool:
        """Whether the publisher gives a full sha256."""
        return len(self.download.sha256) == 64

    def expected(self) -> str:
        """The sha256 that the file has to have; empty as long as that is open."""
        if self.vouched:
            return self.download.sha256
        try:
            text = self.manifest.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"cannot read {self.manifest} ({error}); {self._anew}") from error
        try:
            pinned = json.loads(text)["sha256"]
        except (ValueError, TypeError, LookupError, RecursionError):
            pinned = None
        if not isinstance(pinned, str) or len(pinned) != 64 or not _DIGITS.fullmatch(pinned):
            raise StateError(f"{self.manifest} is damaged: it pins no sha256; {self._anew}")
        return pinned

    def digest(self) -> str:
        """sha256 of the file; empty where there is none."""
        if not os.path.isfile(self.file):  # noqa: PTH113 - Path.is_file raises for what may not be looked at
            return ""
        try:
            with self.file.open("rb") as stream:
                return sha256(stream)
        except OSError as error:
            raise ResourceError(f"cannot read {self.file}: {error.strerror or error}") from error

    @property
    def _anew(self) -> str:
        return "remove it, and the next copy of the file that is seen is pinned"

    def fault(self, digest: str) -> str:
        """Why content of that sha256 is not the file; empty if it may be."""
        if (expected := self.expected()) and digest != expected:
            pinned = f", which {self.manifest} pins; if this one is right, remove that" if not self.vouched else ""
            return f"its sha256 is {digest}, not {expected}{pinned}"
        if not digest.startswith(self.download.sha256):
            return f"its sha256 is {digest}, and the published one begins with {self.download.sha256}"
        return ""


def _doubt(stored: _Stored, digest: str, check: Check | None) -> str:
    """What is wrong with the file in the cache, of that sha256; empty if it is right."""
    if fault := stored.fault(digest):
        return fault
    return "" if stored.expected() or check is None else _refusal(check, stored.file)


def _refusal(check: Check, file: Path) -> str:
    try:
        check(file)
    except NatError as error:
        return str(error)
    return ""


def _pin(stored: _Stored, digest: str) -> None:
    """Write down the sha256 of content that is right, unless one is known already."""
    if stored.expected():
        return
    about = {"name": stored.download.name, "url": _shown(stored.download.url), "sha256": digest}
    publish_text(stored.manifest, json.dumps(about, indent=1) + "\n")
    log.warning("no full sha256 of %s is published: it is pinned at first use, as %s", stored.download.name, digest)


@contextlib.contextmanager
def _turn(stored: _Stored) -> Iterator[None]:
    """Wait until no other process downloads the same file. A dead one's turn is over at once."""
    with on_disk(stored.folder):
        stored.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(stored.folder / f".{stored.download.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with on_disk(stored.folder):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _download(stored: _Stored, check: Check | None, patience: float, doubt: str, *, loopback: bool) -> None:
    """Put the file into the cache."""
    source = stored.download
    log.warning("downloading %s to %s", _shown(source.url), stored.file)

    def write(draft: Path) -> None:
        digest = _transfer(source, draft, patience, loopback=loopback)
        if fault := stored.fault(digest):
            raise StateError(f"{_shown(source.url)} sent another file than is wanted: {fault}")
        if not stored.expected() and check is not None and (fault := _refusal(check, draft)):
            raise StateError(f"{_shown(source.url)} sent another file than is wanted: {fault}")
        _pin(stored, digest)

    try:
        publish(stored.file, write)
    except _TransferError as error:
        wanted = f" (sha256 {stored.expected() or source.sha256 + '…'})" if stored.expected() or source.sha256 else ""
        raise ResourceError(
            f"cannot download {_shown(source.url)}: {error}. To bring the file yourself, save that address as "
            f"{stored.file}{wanted}." + (f" What is there now cannot be used: {doubt}." if doubt else "")
        ) from error


class _TransferError(NatError):
    """A file could not be transferred, and why."""


def _transfer(source: Download, draft: Path, patience: float, *, loopback: bool) -> str:
    """Write what the server sends to a new file, and return its sha256."""
    with _connected(source.url, patience, loopback=loopback) as response:
        length = _length(response, source)
        digest, received = hashlib.sha256(), 0
        with draft.open("xb") as stream:
            for block in _blocks(response, patience):
                received += len(block)
                if received > source.max_bytes:
                    raise _TransferError(f"it is larger than {source.max_bytes:,} bytes")
                digest.update(block)
                stream.write(block)
    if length is not None and received != length:
        raise _TransferError(f"the connection ended after {received:,} of {length:,} bytes")
    return digest.hexdigest()


def _length(response: Any, source: Download) -> int | None:
    """How many bytes the server promises; none where the transfer itself marks its end."""
    length: int | None = response.length
    if response.status != 200:
        raise _TransferError(f"the server answers {response.status} {response.reason}")
    if (encoding := response.headers.get("Content-Encoding", "identity")) != "identity":
        raise _TransferError(f"the server sends it encoded as {encoding!r}, which was not asked for")
    if length is not None and length > source.max_bytes:
        raise _TransferError(f"it has {length:,} bytes, and at most {source.max_bytes:,} are expected")
    if length is None and not response.chunked and len(source.sha256) < 64:
        raise _TransferError("the server does not say how long it is, so that a part could pass for the whole")
    return length


@contextlib.contextmanager
def _connected(url: str, patience: float, *, loopback: bool) -> Iterator[Any]:
    """The response to a request for `url`, behind redirects."""
    opener = urllib.request.OpenerDirector()  # not build_opener: that one also opens ftp, files and data
    handlers = [
        urllib.request.ProxyHandler({} if loopback else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ]
    for handler in handlers:
        opener.add_handler(handler)
    response = None
    try:
        for _ in range(_MOST_REDIRECTS + 1):
            _require_secure(url, loopback=loopback)
            response = _asked(opener, url, patience)
            if response.status not in _REDIRECTS:
                break
            target = response.headers.get("Location", "")
            response.close()
            with _told():
                url = urljoin(url, target)
        else:
            raise _TransferError(f"it is redirected more than {_MOST_REDIRECTS} times")
        yield response
    finally:
        if response is not None:
            response.close()


def _asked(opener: urllib.request.OpenerDirector, url: str, patience: float) -> Any:
    request = urllib.request.Request(url, headers={"User-Agent": "nat-core"})  # noqa: S310 - the scheme is checked
    try:
        with _told():
            return opener.open(request, timeout=patience)
    except urllib.error.HTTPError as error:
        if error.code in _REDIRECTS:
            return error  # a response as well
        error.close()
        raise _TransferError(f"the server answers {error.code} {error.reason}") from error


def _require_secure(url: str, *, loopback: bool) -> None:
    try:
        parts = urlsplit(url)
        allowed = parts.scheme == "https" or (loopback and parts.scheme == "http" and parts.hostname in _LOOPBACK)
    except ValueError:
        allowed = False
    if not allowed:
        raise _TransferError(f"{_shown(url)} is not an https address")


def _blocks(response: Any, patience: float) -> Iterator[bytes]:
    """What the server sends, as it comes. Raises `_TransferError` for one that stalls or breaks off."""
    start, received = time.monotonic(), 0
    while True:
        stop_if_asked()
        with _told():
            block: bytes = response.read1(_BLOCK)
        if not block:
            return
        yield block
        received += len(block)
        if (waited := time.monotonic() - start) > patience:
            if received < _LEAST_RATE * patience:
                raise _TransferError(f"the server sent {received:,} bytes in {waited:.0f} s: it has stalled")
            start, received = time.monotonic(), 0


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say in a `_TransferError` what the network did."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except TimeoutError as error:
        raise _TransferError("the server does not answer: it has stalled") from error
    except urllib.error.URLError as error:
        reason = "it has stalled" if isinstance(error.reason, TimeoutError) else str(error.reason)
        raise _TransferError(f"the server cannot be reached ({reason})") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _TransferError(f"the connection broke ({type(error).__name__}: {error})") from error


def _shown(url: str) -> str:
    """An address without what may be secret in it: user, password, query."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.scheme}://{host}{parts.path}" if host else f"{parts.scheme}:{parts.path}"
