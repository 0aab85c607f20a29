"""Named tensors out of a file that may be damaged or hostile: safetensors, and what `torch.save` writes.

A file never runs code. What it would take in memory is bounded by its own size before anything is unpacked, and a
tensor may not claim more numbers than the file holds. The engine itself never imports this module: it needs torch.
"""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load, load_file

from nat_core.errors import ConfigError

Weights = dict[str, torch.Tensor]

SUPERNET = "supernet.safetensors"  # what `nat pretrain` calls its result
MOST_BYTES = 1 << 30  # the largest supernet that comes with nat has 43 MB
_MOST_HEADER = 4 << 20  # of names and shapes; the largest supernet's takes 0.2 MB
_ZIP = b"PK\x03\x04"
_NESTED = ("state_dict_ema", "state_dict")  # where a training's checkpoint holds its weights


def read(file: Path) -> Weights:
    """The tensors of a checkpoint, by their names in the file. Raises `ConfigError` for anything that is not one."""
    require_file(file)
    return _safely(file, lambda: _of_file(file))


def require_file(file: Path) -> None:
    """Raise `ConfigError`, which says what is there instead, where a checkpoint is no file."""
    if os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises for what may not be looked at
        return
    if os.path.isdir(file):  # noqa: PTH112 - as above
        inside = file / SUPERNET
        hint = f"did you mean {inside}?" if inside.exists() else "accepted is a file of weights"
        raise ConfigError(f"{file} is a folder: {hint}")
    whence = "" if file.is_absolute() else f" ({file}, seen from the folder where this was started)"
    raise ConfigError(f"no checkpoint at {file.absolute()}{whence}")


def parse(content: bytes, file: Path, nested: Sequence[str] = ()) -> Weights:
    """The tensors in the content of a file; where one of the names `nested` leads to a mapping, those in it.

    Raises `ConfigError`, with the file's name, for anything else.
    """
    return _safely(file, lambda: _of_content(content, nested))


def _safely(file: Path, tensors: Callable[[], Weights]) -> Weights:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on odd files: the good are compared, the bad refused
            found = tensors()
        for name, tensor in found.items():
            _require_held(name, tensor)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        if isinstance(error, pickle.UnpicklingError) or "weights_only" in reason:  # torch advises to run the file
            reason = "it holds other objects than tensors, or is damaged"
        raise ConfigError(
            f"{file} cannot be read safely ({type(error).__name__}: {reason:.300}); accepted are safetensors, and "
            "PyTorch files that hold tensors alone"
        ) from error
    return found


def _of_file(file: Path) -> Weights:
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"it has {size:,} bytes, and a supernet has less than {MOST_BYTES:,}")
    with file.open("rb") as stream:
        head = stream.read(9)
    if head[8:] == b"{":
        _require_header(int.from_bytes(head[:8], "little"), size)
        return load_file(file)  # maps the file: it is not in memory twice
    return _of_content(file.read_bytes(), _NESTED)


def _of_content(content: bytes, nested: Sequence[str]) -> Weights:
    if not content:
        raise ValueError("it is empty")
    if content[8:9] == b"{":
        _require_header(int.from_bytes(content[:8], "little"), len(content))
        return load(content)
    if content.startswith(_ZIP):
        _require_plain_zip(content)
    return _unwrap(torch.load(io.BytesIO(content), "cpu", weights_only=True), nested)


def _require_header(header: int, size: int) -> None:
    """A safetensors header of a sane length: its library reads up to 100 MB of it."""
    if header > min(_MOST_HEADER, size - 8):
        raise ValueError(
            f"its header claims {header:,} bytes, and at most {min(_MOST_HEADER, size - 8):,} are accepted"
        )


def _require_plain_zip(content: bytes) -> None:
    """Nothing compressed and nothing shared, as torch writes it: the parts together are no larger than the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
    if any(p.compress_type != zipfile.ZIP_STORED for p in parts) or sum(p.file_size for p in parts) > len(content):
        raise ValueError("its parts are compressed or overlap, and torch writes none that are")
    if any(p.file_size > _MOST_HEADER for p in parts if p.filename.endswith(".pkl")):
        raise ValueError(f"its table of contents has more than {_MOST_HEADER:,} bytes")


def _unwrap(loaded: object, nested: Sequence[str]) -> Weights:
    for key in nested:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(t, torch.Tensor) for t in loaded.values()):
        raise TypeError(f"it holds a {type(loaded).__name__} that is not a mapping from names to tensors")
    return {str(name): tensor for name, tensor in loaded.items()}


def _require_held(name: str, tensor: torch.Tensor) -> None:
    """A tensor of strides 0 can have any number of elements, and takes as much memory as soon as it is used."""
    if tensor.layout is torch.strided and not tensor.is_meta:
        held = tensor.untyped_storage().nbytes()
        if tensor.numel() * tensor.element_size() > held:
            raise ValueError(f"{shown(name)} claims {tensor.numel():,} numbers, and holds {held:,} bytes")


def shown(name: str) -> str:
    """A tensor's name in one line of a terminal, whatever a file put into it."""
    return name if name.isprintable() and len(name) <= 100 else f"{name[:100]!r}…"
