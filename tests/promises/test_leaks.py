"""A thousand evaluations by the real command leave memory, descriptors, threads and folders as they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import gc, json, os, sys, tempfile, threading
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from in_process import here

def kib(field):
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(field))

def state():
    gc.collect()
    return {
        "memory": kib("VmRSS"),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "tasks": len(os.listdir("/proc/self/task")),
        "children": sorted(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
        "shared memory": sorted(l.split()[-1] for l in open("/proc/self/maps") if "/dev/shm/" in l or "SYSV" in l),
        "temporary files": sorted(os.listdir(tempfile.gettempdir())),
    }

def search(name, iterations):
    words = ("--space", "mbv3", "--objective", "macs", "--objective", "params", "--surrogate", "none", "--optimizer",
             "random", "-s", "search.initial=20", "-s", "search.batch=20", "-s", f"search.iterations={iterations}")
    outcome = here("run", "--out", Path(sys.argv[2]) / name, "--json", *words)
    assert outcome.code == 0, outcome.err
    return outcome.json["evaluations"]

search("warm", 4)
before = state()
n = search("long", 49)
after = state()
print(json.dumps({"n": n, "before": before, "after": after}))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.promise(30)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into procfs")
def test_a_thousand_evaluations(tmp_path, cases):
    (tmp_path / "tmp").mkdir()
    support = Path(__file__).parents[1] / "support"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-c", RUN, str(support), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=800, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    before, after = found["before"], found["after"]
    assert found["n"] == 1000
    assert 1024 * (after.pop("memory") - before.pop("memory")) < 50e6
    assert after == before
    journal = (tmp_path / "long" / "journal.jsonl").stat().st_size
    assert journal < 4096 * found["n"]
    cases["evaluations"] += found["n"]
