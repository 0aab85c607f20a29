"""Tensors and a few facts as bytes: safetensors whose header holds the facts as JSON. No code is run by reading it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

_LENGTH = 8  # bytes at the beginning that say how long the header is
_FACTS = "facts"


def pack(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """Bytes that `unpack` reads; tensors may be on any device."""
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, {_FACTS: json.dumps(facts)})


def facts(content: bytes) -> dict[str, Any]:
    """The facts alone. Raises `ValueError` for anything that `pack` did not make."""
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    try:
        return dict(json.loads(json.loads(content[_LENGTH:end])["__metadata__"][_FACTS]))
    except (KeyError, TypeError) as error:
        raise ValueError("not a snapshot") from error


def unpack(content: bytes, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, on the CPU. Raises `ValueError` unless names, shapes and types are as in `like`."""
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if {name: _form(t) for name, t in tensors.items()} != {name: _form(t) for name, t in like.items()}:
        raise ValueError("other tensors")
    return tensors


def _form(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def checksum(tensors: Iterable[Tensor]) -> str:
    """CRC-32 over all values: tells two states apart, and takes a tenth of a second for a gigabyte or two."""
    crc = 0
    for tensor in tensors:
        crc = zlib.crc32(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data, crc)
    return f"{crc:08x}"
