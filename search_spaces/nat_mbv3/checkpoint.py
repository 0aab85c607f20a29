"""Supernet weights in files: OFA's checkpoints (old and new key names) are read, safetensors are read and written.

A file never runs code: `weights_only` or safetensors, and every name and shape is compared before anything is copied.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from nat_core.errors import ConfigError
from nat_mbv3.layout import MAX_DEPTH
from nat_mbv3.supernet import Elastic, Supernet, Weights, width_key

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
    if isinstance(weights, Mapping):
        files = {_number(w): Path(str(p)) for w, p in weights.items()}
        if set(files) != set(widths):
            raise ConfigError(f"weights are given for widths {sorted(files)}, and the space has {list(widths)}")
        for width, file in files.items():
            yield width, (file, _own(read(file), width, file))
        return
    file = Path(str(weights))
    state = read(file)
    if len(widths) > 1 and not any(map(_OWN.match, state)):
        raise ConfigError(
            f"{file} holds one width, and the space has {list(widths)}: give a path for each width, "
            f"or choose one with mbv3.widths"
        )
    for width in widths:
        yield width, (file, _own(state, width, file))


def _number(width: object) -> float:
    try:
        return float(str(width))
    except ValueError:
        raise ConfigError(f"weights are given for width {width!r}: a width is a number, as 1.0 or 1.2") from None


def read(file: Path) -> Weights:
    """The tensors of a checkpoint, by their names in the file. Raises `ConfigError` for anything that is not one."""
    if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises for what may not be looked at
        raise ConfigError(f"no checkpoint at {file}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # torch's remarks on files that are odd; the good are compared, the bad refused
            return load_file(file) if _is_safetensors(file) else _unwrap(torch.load(file, "cpu", weights_only=True))
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        if isinstance(error, pickle.UnpicklingError):  # torch's own text advises to run the file
            reason = "it holds other objects than tensors, or is damaged"
        raise ConfigError(
            f"{file} is not a checkpoint that can be read safely ({type(error).__name__}: {reason}); accepted are "
            "safetensors, and PyTorch files that hold tensors alone"
        ) from error


def _is_safetensors(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(9)[8:] == b"{"


def _unwrap(loaded: object) -> Weights:
    for key in ("state_dict_ema", "state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(t, torch.Tensor) for t in loaded.values()):
        raise TypeError(f"it holds a {type(loaded).__name__} that is not a mapping from names to tensors")
    return {str(name): tensor for name, tensor in loaded.items()}


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


def rename(name: str) -> str:
    """OFA's name of a tensor → ours."""
    for pattern, new in _RENAMES:
        name = re.sub(pattern, new, name)
    block = _BLOCK.match(name)
    if block is None:
        return name
    stage, layer = divmod(int(block[1]) - 1, MAX_DEPTH)
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
    wrong = [_mismatch(n, state.get(n), own.get(n)) for n in sorted(own.keys() | state.keys())]
    faults = [w for w in wrong if w]
    if faults:
        raise ConfigError(
            f"{file} does not fit the MobileNetV3 supernet of width {width} in {len(faults)} of {len(own)} tensors: "
            + "; ".join(faults[:4])
        )
    return state


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
