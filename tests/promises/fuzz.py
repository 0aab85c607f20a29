# ruff: noqa: T201 - a script that prints
"""Random bytes for whatever reads files: `make fuzz`, or `python tests/promises/fuzz.py --seconds 60`.

Atheris (libFuzzer) grows inputs by the lines of code that they reach. A target may refuse an input by one of our
errors; anything else, and whatever takes long or much memory, is a finding, kept in `build/fuzz`. Needs `atheris`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
STORED = ROOT / "tests" / "promises" / "released" / "0.1"


def journal(content: bytes) -> None:
    """A journal as it is read; whatever is whole in it is read alike when the rest is cut off."""
    from nat_core.journal import survey

    found = survey(content)
    assert survey(content[: found.size]).records == found.records
    assert found.size <= len(content)


def sealed(content: bytes) -> None:
    """Records that have right checksums, whatever is in them: as `nat front` and `nat doctor` read them."""
    import json
    import zlib

    from nat_core.doctor.folder import Folder, _disorder
    from nat_core.journal import survey

    crc, lines = 0, []
    for body in content.split(b"\n"):
        try:
            record = json.loads(body)
        except (ValueError, RecursionError):
            continue
        if not isinstance(record, dict) or not record:
            continue
        whole = json.dumps(record).encode()
        crc = zlib.crc32(whole, crc)
        lines.append(whole[:-1] + f',"crc":"{crc:08x}"}}\n'.encode())
    found = survey(b"".join(lines))
    list(_disorder(found.records))
    Folder(Path(), None, b"", found, b"", (), tuple(found.records)).recorded()  # type: ignore[arg-type]


def weights(content: bytes) -> None:
    """A file of weights: refused, or its tensors are no larger than it."""
    from nat_core.errors import ConfigError
    from nat_core.tensors import parse

    try:
        found = parse(content, Path("file"))
    except ConfigError:
        return
    assert sum(t.numel() * t.element_size() for t in found.values()) <= len(content)


def checkpoint(content: bytes) -> None:
    """What a learner kept in the middle of a phase: nothing but what was written has its sha256."""
    from nat_core.checkpoints import _opened

    try:
        _opened(content)
    except ValueError:
        return
    raise AssertionError("a sha256 was met by chance")


def config(content: bytes) -> None:
    """A run file."""
    import tomllib

    from nat_core.config import validate
    from nat_core.errors import ConfigError

    try:
        values = tomllib.loads(content.decode())
    except (ValueError, RecursionError):  # as config.load does
        return
    try:
        validate(values)
    except ConfigError:
        return


def setting(content: bytes) -> None:
    """A word behind `-s`."""
    from nat_core.config import setting as read
    from nat_core.errors import ConfigError

    try:
        read(content.decode(errors="replace"))
    except ConfigError:
        return


TARGETS = {f.__name__: f for f in (journal, sealed, weights, checkpoint, config, setting)}


def seeds(name: str, folder: Path) -> None:
    """Inputs to begin with."""
    good = {
        "config": [(STORED / "digits" / "run.toml").read_bytes(), b'space = "mbv3"\n[search]\niterations = 3\n'],
        "journal": [(STORED / kind / "journal.jsonl").read_bytes()[:1500] for kind in ("digits", "costs")],
        "sealed": [(STORED / "costs" / "journal.jsonl").read_bytes()[:1500]],
        "setting": [b"mbv3.widths=1.0,1.2", b"search.iterations=3", b"seed=1"],
        "checkpoint": [b"0" * 64 + b'\n{"about": {}, "done": 1, "total": 2, "seconds": 0.0}\nstate'],
    }
    if name == "weights":
        import io

        import torch
        from safetensors.torch import save

        tensors = {"a.weight": torch.arange(6.0).view(2, 3)}
        stream = io.BytesIO()
        torch.save(tensors, stream)
        good["weights"] = [save(tensors), stream.getvalue()]
    for i, content in enumerate(good[name]):
        (folder / str(i)).write_bytes(content)


def one(name: str, arguments: list[str]) -> None:
    """Fuzz a target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["nat_core", "tomllib", "json"]):
        import nat_core.checkpoints
        import nat_core.config
        import nat_core.doctor.folder
        import nat_core.journal

        if name == "weights":
            import nat_core.tensors  # noqa: F401 - torch takes its time
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--target", choices=[*TARGETS], action="append")
    chosen = parser.parse_args()
    findings = 0
    for name in chosen.target or TARGETS:
        kept = ROOT / "build" / "fuzz" / name
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as corpus:
            seeds(name, Path(corpus))
            limits = [f"-max_total_time={chosen.seconds}", "-timeout=10", "-rss_limit_mb=3000", "-max_len=4096"]
            words = [sys.executable, __file__, "--one", name, corpus, *limits, f"-artifact_prefix={kept}/"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        ran = re.findall(r"Done (\d+) runs in (\d+) second", done.stderr)
        if done.returncode or not ran:
            findings += 1
            print(f"{name}: a finding in {kept}\n{done.stderr[-2000:]}")
        else:
            print(f"{name}: {int(ran[-1][0]):,} inputs in {ran[-1][1]} s, no finding", flush=True)
    return 1 if findings else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3:])
    sys.exit(main())
