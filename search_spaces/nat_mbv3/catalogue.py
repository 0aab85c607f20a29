"""Published weights by name. Each is downloaded once, to the cache of `nat_core.downloads`, and checked at every use.

`ofa`: the two supernets of once-for-all (Cai et al., 2020; MIT), trained on ImageNet, 1,000 classes. Their publisher
gives no hash, so each is pinned when it is first seen; it is pinned only if it fits the supernet, tensor for tensor.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from nat_core.downloads import Download, fetch
from nat_core.errors import ConfigError

_OFA = "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/"
_MOST_BYTES = 128 << 20  # the tensors of width 1.2 take 43 MB


def _ofa(width: float) -> Download:
    name = f"ofa_mbv3_d234_e346_k357_w{width}"
    return Download(_OFA + name, name, _MOST_BYTES)


SUPERNETS: Mapping[str, Mapping[float, Download]] = {"ofa": {width: _ofa(width) for width in (1.0, 1.2)}}


def checkpoint_file(word: str, width: float, check: Callable[[Path], None]) -> Path:
    """The file that a word stands for: published weights of that name, else a path."""
    if word in SUPERNETS:
        return fetch(SUPERNETS[word][width], check=check)
    file = _expanded(word)
    if not file.suffix and "/" not in word and not file.exists():
        raise ConfigError(
            f"no checkpoint at {word}; published weights are known by these names: {', '.join(SUPERNETS)}"
        )
    return file


def _expanded(word: str) -> Path:
    """With `~` and `~name` for home folders; where there is no such name, the path as it stands."""
    try:
        return Path(os.path.expanduser(word))  # noqa: PTH111 - Path's own raises on an unknown ~name
    except ValueError:  # what cannot be a name
        return Path(word)
