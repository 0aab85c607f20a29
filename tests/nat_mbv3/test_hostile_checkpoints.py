"""Hostile and damaged checkpoints: each refused with one clear error, at once, with little memory, nothing run.

All are read in one process of their own, whose greatest memory is watched where the system tells it.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from nat_core import tensors
from nat_core.errors import ConfigError

MOST_SECONDS, MOST_BYTES = 1.0, 100e6


class Calls:
    """A pickle that calls a function when it is read without care."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


class Sneaky(dict):
    """A dictionary whose state is set by code."""

    def __reduce__(self):
        return Sneaky, (), {"a": 1}


def header(table, data=b"", length=None):
    """A safetensors file of a header, as JSON or as text."""
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def f32(start, end, *shape):
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}


SAFETENSORS = {
    "a header of 2^63 bytes": header(b"{}", length=2**63),
    "a header of 100 MB that is not there": header(b"{}", length=100_000_000),
    "a header beyond the end": header(b"{}", length=3),
    "a header of 8 MB": header(b"{" + b" " * (8 << 20) + b"}"),
    "no JSON": header(b"{nothing}"),
    "a deep header": header(b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    "not UTF-8": header(b'{"\xff": 1}'),
    "an offset beyond the end": header({"a": f32(0, 400, 100)}, b"\0" * 4),
    "an offset before the beginning": header({"a": f32(-4, 0, 1)}),
    "offsets the wrong way round": header({"a": f32(4, 0, 1)}, b"\0" * 4),
    "overlapping tensors": header({"a": f32(0, 4, 1), "b": f32(0, 4, 1)}, b"\0" * 4),
    "a hole": header({"a": f32(0, 4, 1), "b": f32(8, 12, 1)}, b"\0" * 12),
    "a tail": header({"a": f32(0, 4, 1)}, b"\0" * 12),
    "a shape that is larger than its data": header({"a": f32(0, 4, 10**12)}, b"\0" * 4),
    "a shape that overflows": header({"a": f32(0, 4, 2**33, 2**33)}, b"\0" * 4),
    "a negative shape": header({"a": f32(0, 4, -1)}, b"\0" * 4),
    "a fraction for a shape": header({"a": {**f32(0, 4, 1), "shape": [1.5]}}, b"\0" * 4),
    "an unknown kind of numbers": header({"a": {**f32(0, 4, 1), "dtype": "F128"}}, b"\0" * 4),
    "a missing shape": header({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, b"\0" * 4),
    "a list": header({"a": [1, 2, 3]}),
    "metadata that are no text": header({"__metadata__": {"a": {}}, "a": f32(0, 4, 1)}, b"\0" * 4),
}


def saved(content, **how):
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, stream, **how)
    return stream.getvalue()


def repacked(content, change=lambda name, data: (name, data), compression=zipfile.ZIP_STORED, extra=()):
    """What `torch.save` writes, its parts changed."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        warnings.simplefilter("ignore")  # of two parts of one name
        for name, data in [*(change(i.filename, old.read(i)) for i in old.infolist()), *extra]:
            new.writestr(name, data, compression)
    return stream.getvalue()


def flipped(content, part):
    """One bit changed in the middle of a part."""
    place = content.index(part) + len(part) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def pickles(canary):
    mkdir = Calls(os.mkdir, str(canary))
    whole = saved({"a": torch.arange(1000.0)})
    return {
        "os.system": saved(Calls(os.system, f"touch {canary}")),
        "os.system in a state dict": saved(
            {"state_dict": {"a": torch.zeros(1), "b": Calls(os.system, f"touch {canary}")}}
        ),
        "os.system without a zip": saved(Calls(os.system, f"touch {canary}"), _use_new_zipfile_serialization=False),
        "os.mkdir in a bare pickle": pickle.dumps(mkdir),
        "os.mkdir as a name": saved({mkdir: torch.zeros(1)}),
        "exec": saved(Calls(exec, f"import os; os.mkdir({str(canary)!r})")),
        "eval": saved(Calls(eval, f"__import__('os').mkdir({str(canary)!r})")),
        "subprocess": saved(Calls(subprocess.check_output, ["touch", str(canary)])),
        "unsafe torch.load": saved(Calls(torch.load, str(canary))),
        "a failure that invites to read again": saved(Calls(pickle.loads, b"\x80\x04\x95")),
        "a class with a state": saved(Sneaky(a=torch.zeros(1))),
        "a module": saved(torch.nn.Linear(2, 2)),
        "a pickle in place of the table": repacked(
            whole, lambda n, d: (n, pickle.dumps(mkdir) if n.endswith(".pkl") else d)
        ),
        "TorchScript": repacked(
            whole, extra=[("archive/code/__torch__.py", b"import os"), ("archive/constants.pkl", b"")]
        ),
    }


def zips():
    big, small = saved({"a": torch.zeros(30_000_000)}), saved({"a": torch.arange(1000.0)})
    return {
        "a zip bomb": repacked(big, compression=zipfile.ZIP_DEFLATED),
        "a compressed table": repacked(small, compression=zipfile.ZIP_DEFLATED),
        "a large table": repacked(small, lambda n, d: (n, d + b"\0" * (5 << 20) if n.endswith(".pkl") else d)),
        "no table": repacked(small, lambda n, d: (n.replace("data.pkl", "nothing"), d)),
        "a missing tensor": repacked(small, lambda n, d: (n.replace("data/0", "data/1"), d)),
        "a short tensor": repacked(small, lambda n, d: (n, d[:100] if n.endswith("data/0") else d)),
        "a truncated zip": small[: len(small) * 2 // 3],
        "half a zip without a directory": small[: small.index(b"PK\1\2")],
        "a zip of nothing": b"PK\5\6" + b"\0" * 18,
        "10^12 numbers of one": saved({"a": torch.zeros(1).expand(10**12)}),
        "10^9 numbers of one, without a zip": saved(
            {"a": torch.zeros(1).expand(10**9)}, _use_new_zipfile_serialization=False
        ),
    }


NAME = "network.stem.conv.weight"


def misfits(state):
    """Good files whose tensors are no supernet's."""
    first = state[NAME]
    return {
        "NaN": save({**state, NAME: first * torch.nan}),
        "one infinity in the last tensor": save({**state, list(state)[-1]: state[list(state)[-1]] / 0}),
        "a wrong shape": save({**state, NAME: first[:8].clone()}),
        "a wrong order of dimensions": save({**state, NAME: first.permute(1, 0, 2, 3).contiguous()}),
        "a scalar": save({**state, NAME: torch.tensor(1.0)}),
        "whole numbers": save({**state, NAME: first.int()}),
        "complex numbers": saved({**state, NAME: first + 0j}),
        "an extra tensor": save({**state, "network.more": torch.zeros(1)}),
        "an extra tensor of 40 MB": save({**state, "network.more": torch.zeros(10_000_000)}),
        "a missing tensor of many": save({n: t for n, t in state.items() if n != NAME}),
        "another network": save({"fc.weight": torch.zeros(2, 2)}),
        "nothing": save({}),
        "names that climb": save(
            {"../../w10.x": torch.zeros(1), "\0": torch.zeros(1), "module." * 1000: torch.zeros(1)}
        ),
    }


READ = """
import json, sys, time
from pathlib import Path
from nat_core import plugins
from nat_core.errors import ConfigError
from nat_mbv3.checkpoint import _load

good, *files = map(Path, sys.argv[1:])
net = plugins.find("search_spaces", "mbv3")(widths=[1.0]).supernet(12, weights=good)  # its memory was had once

def kib(field):
    "From procfs, in KiB; VmHWM is the peak since 5 was written."
    try:
        return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(field))
    except OSError:
        return 0

def reset():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass

for file in files:
    reset()
    before, start = kib("VmRSS"), time.perf_counter()
    try:
        outcome = f"loaded: {_load(net, (1.0,), file)}"
    except ConfigError as error:
        outcome = f"refused: {error}"
    except BaseException as error:
        outcome = f"broke: {type(error).__name__}: {error}"
    print(json.dumps([file.name, outcome, time.perf_counter() - start, kib("VmHWM") - before]))
"""


@pytest.fixture(scope="module")
def state(mbv3):
    """A whole supernet of width 1.0, by our own names."""
    net = mbv3(widths=[1.0]).supernet(12)
    return {n.removeprefix("elastic.w10."): t.clone() for n, t in net.state_dict().items()}


def test_every_hostile_file_is_refused(state, tmp_path, cases):
    canary = tmp_path / "canary"
    corpus = {**SAFETENSORS, **pickles(canary), **zips(), **misfits(state)}
    assert len(corpus) >= 55
    good = tmp_path / "good"
    good.write_bytes(save(state))
    for i, content in enumerate(corpus.values()):
        (tmp_path / f"file {i}").write_bytes(content)
    huge = tmp_path / "larger than any supernet"
    with huge.open("wb") as stream:
        stream.write(header({"a": f32(0, 10**12, 250_000_000_000)}))
        stream.truncate(10**12)  # a hole: it takes no room on the disk
    files = [*(tmp_path / f"file {i}" for i in range(len(corpus))), huge]
    command = [sys.executable, "-c", READ, good, *files]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, *_ in outcomes] == [file.name for file in files]
    for (name, outcome, seconds, grown), what in zip(outcomes, [*corpus, huge.name], strict=True):
        assert outcome.startswith(f"refused: {tmp_path / name} "), (what, outcome)
        assert len(outcome) < 1000, (what, outcome)
        assert "\n" not in outcome, what
        assert "weights_only" not in outcome, what
        assert 1024 * grown < MOST_BYTES, (what, grown)
        assert seconds < 5 * MOST_SECONDS, (what, seconds)  # other work may run beside this
    assert sorted(seconds for *_, seconds, _ in outcomes)[len(outcomes) * 9 // 10] < MOST_SECONDS
    assert not canary.exists()
    cases["hostile weight files"] += len(files)


def test_the_pickles_would_have_run(tmp_path):
    """The corpus is alive: what is refused does harm where it is read without care."""
    for i, what in enumerate(["os.system", "exec", "eval", "subprocess", "os.mkdir as a name"]):
        canary = tmp_path / f"canary{i}"
        torch_load_without_care(pickles(canary)[what])
        assert canary.exists(), what


def torch_load_without_care(content):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.load(io.BytesIO(content), weights_only=False)
        except TypeError:
            return


@pytest.mark.parametrize("write", [save_file, torch.save])
def test_mutations_of_a_small_file(tmp_path, write, cases):
    """Seeded: each is refused, or gives tensors that are no larger than the file."""
    file = tmp_path / "file"
    write({"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(3, dtype=torch.int64)}, file)
    whole, stream, refused = file.read_bytes(), random.Random(0), 0
    n = len(whole) if write is torch.save else whole.index(b"}}") + 2
    for _ in range(1000):
        mutant = bytearray(whole)
        for _ in range(stream.choice((1, 1, 2, 8))):
            mutant[stream.randrange(n)] = stream.choice((0, 1, 0x7F, 0x80, 0xFF, stream.randrange(256), *b'[]{}",0:9'))
        file.write_bytes(mutant)
        try:
            found = tensors.read(file)
        except ConfigError:
            refused += 1
        else:
            assert sum(t.numel() * t.element_size() for t in found.values()) <= len(whole)
    assert refused > 100
    cases["mutated headers"] += 1000


def test_the_message_of_a_flipped_bit_in_the_data(tmp_path):
    """Neither format can see it; a pinned or published sha256 does, and NaN is seen in any case."""
    content = save({"a": torch.ones(1000)})
    (tmp_path / "file").write_bytes(flipped(content, torch.ones(1000).numpy().tobytes()))
    assert not torch.equal(tensors.read(Path(tmp_path / "file"))["a"], torch.ones(1000))
