"""The command line as a user has it: real processes, and a real run as small as it gets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# A real run, as small as it gets: every part of the method, in seconds.
TINY = (
    *("-s", "mbv3.resolutions=16,20", "-s", "mbv3.widths=1.0", "-s", "mbv3.depths=2", "-s", "mbv3.kernels=3,5"),
    *("-s", "mbv3.expands=3", "-s", "search.iterations=2", "-s", "search.initial=4", "-s", "search.batch=2"),
    *("-s", "search.pool=6", "-s", "top1_error.warmup_epochs=1", "-s", "top1_error.epochs=1"),
    *("-s", "top1_error.batch_size=256", "-s", "top1_error.recalibration_images=128"),
)
SMALL_SEARCH = ("-s", "nsga3.generations=5", "-s", "nsga3.population=20", "-s", "rbf.members=20")
# A real run that measures nothing but costs: neither pictures nor torch, about a second.
COSTS = (
    *(
        "--space",
        "mbv3",
        "--objective",
        "macs",
        "--objective",
        "params",
        "--surrogate",
        "none",
        "--optimizer",
        "random",
    ),
    *("-s", "search.iterations=3", "-s", "search.initial=5", "-s", "search.batch=3"),
)


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "nat_core", *map(str, words)]


def start(*words: object, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120", **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command(*words), cwd=cwd, env=env, text=True, **pipes)


def nat(*words: object, cwd: Path | None = None, **environment: str) -> Outcome:
    """Run a command line to its end."""
    process = start(*words, cwd=cwd, **environment)
    out, err = process.communicate(timeout=280)
    assert "Traceback" not in err, err
    return Outcome(process.returncode, out, err)


def records(folder: Path) -> list[dict[str, object]]:
    """The journal without what depends on the machine: checksums and times."""
    lines = (folder / "journal.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k not in {"crc", "seconds", "saving", "journal_seconds"}}
        for line in lines
    ]


def interrupt(process: subprocess.Popen[str], signum: signal.Signals = signal.SIGINT) -> Outcome:
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    return Outcome(process.returncode, out, err)
