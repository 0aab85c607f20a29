"""Twenty thousand damaged headers of weight files: each is refused, or gives no more than the file holds."""

from __future__ import annotations

import random
import struct

import pytest

N = 10_000  # of each way to write weights
BYTES = (0, 1, 0x7F, 0x80, 0xFF, *b'[]{}",0:9-.eE')


@pytest.fixture(scope="module")
def tensors():
    import torch

    return {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(3, dtype=torch.int64)}


def mutated(whole, n, stream):
    """The file with some bytes of its first n changed, some inserted or some gone."""
    mutant = bytearray(whole)
    for _ in range(stream.choice((1, 1, 2, 8))):
        place = stream.randrange(n)
        match stream.randrange(8):
            case 0:
                del mutant[place : place + stream.choice((1, 2, 9))]
            case 1:
                mutant[place:place] = bytes(stream.choice(BYTES) for _ in range(stream.choice((1, 4))))
            case 2 if place + 8 <= len(mutant):
                mutant[place : place + 8] = struct.pack("<Q", stream.choice((0, 2**31, 2**63, 2**64 - 1)))
            case _:
                mutant[place] = stream.choice((*BYTES, stream.randrange(256)))
    return bytes(mutant)


@pytest.mark.promise(36)
@pytest.mark.parametrize("way", ["safetensors", "torch"])
def test_mutated_headers(way, tensors, tmp_path, cases):
    import io

    import torch
    from safetensors.torch import save

    from nat_core.errors import ConfigError
    from nat_core.tensors import parse

    if way == "safetensors":
        whole = save(tensors)
        n = whole.index(b"}}") + 2
    else:
        stream = io.BytesIO()
        torch.save(tensors, stream)
        whole = stream.getvalue()
        n = whole.index(b"FB")  # where the table is padded: what stands before says what is in the file
    rng, refused, file = random.Random(0), 0, tmp_path / "file"
    for _ in range(N):
        mutant = mutated(whole, n, rng)
        try:
            found = parse(mutant, file)
        except ConfigError as error:
            refused += 1
            assert len(str(error)) < 1000  # noqa: PT017 - most are refused, and some change nothing that matters
        else:
            assert sum(t.numel() * t.element_size() for t in found.values()) <= len(mutant)
        cases["mutated headers"] += 1
    assert refused > N / 2
