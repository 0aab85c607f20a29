"""Supernet weights in files: OFA's checkpoints (old and new key names) are read, safetensors are read and written.

A file never runs code: `weights_only` or safetensors, and every name and shape is compared before anything is copied.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from nat_core.durable import sha256
from nat_core.errors import ConfigError
from nat_core.tensors import Weights, read, require_file, shown
from nat_mbv3.catalogue import checkpoint_file
from nat_mbv3.layout import MAX_DEPTH
from nat_mbv3.supernet import Elastic, Supernet, width_key

if TYPE_CHECKING:
    from nat_mbv3.space import MobileNetV3Space

# OFA wraps what it makes elastic, so that one tensor has gone by several names; left to right, in this order.
_RENAMES = (
    (r"^module\.", ""),
    (r"\.mobile_inverted_conv\.", ".conv."),
    (r"\.bn\.bn\.", ".bn."),
    (r"\.conv\.conv\.weight$", ".conv.weight"),
    (r"^classifier\.linear\.(linear\.)?", "network.classifier."),
    (r"^first_conv\.", "network.stem."),
    (r"^final_expand_layer\.", "network.final_expand."),
    (r"^feature_mix_layer\.conv\.", "network.feature_mix."),
    (r"^blocks\.0\.conv\.depth_conv\.", "network.first.depthwise."),
    (r"^blocks\.0\.conv\.point_linear\.", "network.first.project."),
    (r"\.inverted_bottleneck\.", ".expand."),
    (r"\.depth_conv\.se\.fc\.", ".se."),
    (r"\.point_linear\.", ".project."),
)
_OWN = re.compile(r"^(?:elastic\.)?(w\d+)\.")  # as `save` and the estimators write, and one width alone
_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_BLOCK = re.compile(r"^blocks\.(\d+)\.conv\.(.*)$")
_TRANSFORM = {"depth_conv.conv.7to5_matrix": "to5", "depth_conv.conv.5to3_matrix": "to3"}


def build(space: MobileNetV3Space, n_classes: int, weights: object) -> Supernet:
    """A supernet of the space, random by its seed where `weights` leaves something open."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(space.seed)  # torch.manual_seed would seed every GPU as well
        supernet = Supernet(space.widths, n_classes, space.layout)
    if weights is not None:
        _load(supernet, space.widths, weights)
    return supernet


def save(supernet: Supernet, file: Path) -> None:
    """Write all widths of a supernet as one safetensors file."""
    save_file({name: tensor.detach().contiguous() for name, tensor in supernet.state_dict().items()}, file)


def _load(supernet: Supernet, widths: tuple[float, ...], weights: object) -> None:
    """Copy the weights of all widths, once every tensor of every file fits."""
    states = dict(_states(widths, weights))
    for width, (file, state) in states.items():
        states[width] = file, _fitting(supernet, width, state, file)
    for width, (_, state) in states.items():
        _elastic(supernet, width).load_state_dict(state)


def _states(widths: tuple[float, ...], weights: object) -> Iterator[tuple[float, tuple[Path, Weights]]]:
    """For each width: the file, and its tensors under the names of `Elastic`."""
    files = _files(widths, weights)
    one = len(set(files.values())) == 1
    state: Weights = {}
    for i, (width, file) in enumerate(files.items()):
        state = state if one and i else read(file)
        if one and len(widths) > 1 and not any(map(_OWN.match, state)):
            raise ConfigError(
                f"{file} holds one width, and the space has {list(widths)}: give a path for each width, "
                f"or choose one with mbv3.widths"
            )
        yield width, (file, _own(state, width, file))


def _files(widths: tuple[float, ...], weights: object) -> dict[float, Path]:
    """The file of each width; several may be in one."""
    words = {_number(w): str(word) for w, word in weights.items()} if isinstance(weights, Mapping) else None
    if words is None:
        words = dict.fromkeys(widths, str(weights))
    if set(words) != set(widths):
        raise ConfigError(f"weights are given for widths {sorted(words)}, and the space has {list(widths)}")
    return {w: checkpoint_file(word, w, partial(require_supernet, width=w)) for w, word in words.items()}


def fingerprint(widths: tuple[float, ...], weights: object) -> str:
    """sha256 over the content of the files, in the order of the widths."""
    digest = hashlib.sha256()
    for _, file in sorted(_files(widths, weights).items()):
        require_file(file)
        try:
            with file.open("rb") as stream:
                digest.update(sha256(stream).encode())
        except (OSError, ValueError) as error:
            raise ConfigError(f"no checkpoint at {file}: {getattr(error, 'strerror', None) or error}") from error
    return digest.hexdigest()


def require_supernet(file: Path, width: float) -> None:
    """Raise `ConfigError` for a file that is no supernet of that width, of any number of classes."""
    state = _own(read(file), width, file)
    bias = state.get("network.classifier.bias")
    with torch.device("meta"):
        wanted = Elastic(width, len(bias) if bias is not None and bias.dim() == 1 else 1000).state_dict()
    require_fit(state, wanted, f"the MobileNetV3 supernet of width {width}", file)


def _number(width: object) -> float:
    try:
        return float(str(width))
    except ValueError:
        raise ConfigError(f"weights are given for width {width!r}: a width is a number, as 1.0 or 1.2") from None


def _own(state: Weights, width: float, file: Path) -> Weights:
    """One width's tensors under the names of `Elastic`; the other widths of our own files are left out."""
    heads = {name: _OWN.match(name) for name in state}
    held = {head[1] for head in heads.values() if head}
    key = width_key(width)
    if held and key not in held:
        raise ConfigError(f"{file} holds {', '.join(sorted(held))}, and not {key}, the supernet of width {width}")
    if held:
        own = {
            name[head.end() if head else 0 :]: state[name] for name, head in heads.items() if not head or head[1] == key
        }
    else:
        own = {rename(name): tensor for name, tensor in state.items()}
    if len(own) < sum(not head or head[1] == key for head in heads.values()):
        raise ConfigError(f"{file} holds the same tensor under two names")
    return own


def _in_supernet(block: int) -> tuple[int, int]:
    """Stage and layer of OFA's block 1 … 20, four to a stage."""
    return divmod(block - 1, MAX_DEPTH)


def rename(name: str, place: Callable[[int], tuple[int, int]] = _in_supernet) -> str:
    """OFA's name of a tensor → ours; `place` turns the number of a block, from 1, into its stage and layer."""
    for pattern, new in _RENAMES:
        name = re.sub(pattern, new, name)
    block = _BLOCK.match(name)
    if block is None:
        return name
    stage, layer = place(int(block[1]))
    rest = block[2]
    if rest in _TRANSFORM:
        return f"transforms.{stage}.{layer}.{_TRANSFORM[rest]}"
    return f"network.stages.{stage}.{layer}.{rest.replace('depth_conv.', 'depthwise.').removeprefix('conv.')}"


def _elastic(supernet: Supernet, width: float) -> Elastic:
    elastic = supernet.elastic[width_key(width)]
    assert isinstance(elastic, Elastic)  # noqa: S101 - narrows the type of a ModuleDict's member
    return elastic


def _fitting(supernet: Supernet, width: float, state: Weights, file: Path) -> Weights:
    """One width's tensors, all of which fit. A classifier of another number of classes is replaced by our own."""
    own = _elastic(supernet, width).state_dict()
    classifier = state.get("network.classifier.bias")
    if classifier is not None and classifier.dim() == 1 and len(classifier) != supernet.n_classes:
        state = {n: t for n, t in state.items() if not n.startswith("network.classifier.")}
        state |= {n: t for n, t in own.items() if n.startswith("network.classifier.")}
    require_fit(state, own, f"the MobileNetV3 supernet of width {width}", file)
    return state


def require_fit(state: Weights, wanted: Weights, what: str, file: Path) -> None:
    """Raise `ConfigError` unless names, shapes and kinds of numbers are those that are wanted, and all are finite."""
    wrong = [_mismatch(n, state.get(n), wanted.get(n)) for n in sorted(wanted.keys() | state.keys())]
    faults = [w for w in wrong if w]
    if faults:
        raise ConfigError(
            f"{file} does not fit {what} in {len(faults)} of {len(wanted)} tensors: " + "; ".join(faults[:4])
        )


def _mismatch(name: str, given: torch.Tensor | None, wanted: torch.Tensor | None) -> str:
    name = shown(name)
    if given is None or wanted is None:
        return f"{name} is {'missing' if given is None else 'unknown'}"
    if given.shape != wanted.shape:
        return f"{name} is {tuple(given.shape)} instead of {tuple(wanted.shape)}"
    if given.dtype not in (_FLOATS if wanted.is_floating_point() else {wanted.dtype}):
        return f"{name} is of {given.dtype} instead of {wanted.dtype}"
    if given.layout is not torch.strided or given.is_meta:
        return f"{name} holds no plain numbers"
    return "" if given.isfinite().all() else f"{name} holds NaN or infinity"
