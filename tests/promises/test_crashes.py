"""More than a thousand crash points and two thousand double ones, each resumed and compared with an undisturbed run.

What a kill leaves is enumerated (see `crash_states`); that a killed child leaves just that is a test of its own. The
real command is killed in forked children, and by SIGKILL in `make torture`.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import COSTS, records
from crash_states import crashes, restore, state
from toyrun import KILLED, Dying, Quiet, Stepping, Toy, forked, sealed, truth

from nat_core import checkpoints
from nat_core.durable import Disk, publish_text
from nat_core.journal import read

SMALL = Toy().but(iterations=1, initial=3, batch=2, pool=4)


def broken(architecture):
    """A third of the architectures cannot be measured."""
    return math.nan if architecture[3] == 2 else None


SETUPS = {
    "all": Toy(),
    "front": Toy().but(remeasure="front"),
    "in steps": Toy(estimator=Stepping).but(iterations=1),
    "failing": Toy(fault=broken).but(failure_rate=1.0, iterations=1),
}


@pytest.fixture(autouse=True)
def _every_state_is_kept(monkeypatch):
    monkeypatch.setattr(checkpoints, "PATIENCE", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", math.inf)


class Undisturbed:
    def __init__(self, toy, folder):
        self.toy, self.archive = toy, toy.run(folder)
        self.truth, self.weights = sealed(truth(folder)), newest(folder)

    def equals(self, folder):
        assert self.toy.run(folder) == self.archive
        assert sealed(truth(folder)) == self.truth
        assert newest(folder) == self.weights
        assert not list(folder.rglob("*.draft"))


def newest(folder):
    return [state(version) for version in sorted((folder / "weights").glob("[0-9]" * 4))[-2:]]


@pytest.mark.promise(1)
@pytest.mark.parametrize("name", SETUPS)
def test_killed_at_every_point(name, fresh, cases):
    reference = Undisturbed(SETUPS[name], fresh())
    for crash in crashes(reference.toy.run, fresh()):
        folder = restore(crash.state, fresh())
        reference.equals(folder)
        shutil.rmtree(folder)
        cases["crash points"] += 1
        cases["of them torn among crash points"] += crash.torn
    assert cases["of them torn among crash points"] >= 0.3 * cases["crash points"]
    assert cases["crash points"] >= 180


@pytest.mark.promise(1)
def test_killed_twice(fresh, cases):
    """At every point of a run, and then at eleven points of each recovery."""
    reference, rng = Undisturbed(SMALL, fresh()), np.random.default_rng(0)
    for first in crashes(SMALL.run, fresh()):
        again = restore(first.state, fresh())
        second = list(crashes(SMALL.run, again))
        for i in rng.permutation(len(second))[:11]:
            folder = restore(second[i].state, fresh())
            reference.equals(folder)
            shutil.rmtree(folder)
            cases["double crashes"] += 1
        shutil.rmtree(again)
    assert cases["double crashes"] >= 2000


@pytest.mark.promise(1)
def test_a_killed_child_leaves_what_was_enumerated(fresh, cases):
    def without_times(found):
        journal = found.get("journal.jsonl", b"") or b""
        return {k: v for k, v in found.items() if k != "journal.jsonl"}, journal.count(b"\n")

    for crash in list(crashes(SMALL.run, fresh()))[::5]:
        folder = fresh()
        assert forked(lambda n=crash, f=folder: SMALL.run(f, Dying(n.call, n.share))) == KILLED
        found, lines = without_times(state(folder))
        expected, wanted = without_times(crash.state)
        assert found.keys() == expected.keys()
        assert lines == wanted
        cases["killed children"] += 1
    assert cases["killed children"] >= 30


def dying(n, share):
    """Have this process end at its n-th call to the disk, with a share of it done."""
    calls = {call: getattr(Disk, call) for call in ("write", "fsync", "replace", "truncate", "unlink")}
    count = 0

    def mortal(call):
        def method(disk, *arguments):
            nonlocal count
            count += 1
            if count < n:
                return calls[call](disk, *arguments)
            if call == "write":
                descriptor, data = arguments
                os.write(descriptor, data[: len(data) * share // 100])
            elif share == 100:
                calls[call](disk, *arguments)
            os._exit(KILLED)

        return method

    for call in calls:
        setattr(Disk, call, mortal(call))


@pytest.mark.promise(1)
def test_the_command_is_killed_at_its_calls_to_the_disk(nat_here, costs_run, fresh, cases):
    """`nat run`, killed in a forked child at one call to the disk after the other, then `nat resume` or the same."""
    words = (*COSTS, "--json")
    expected = records(costs_run)[1:]
    n, ended = 1, 0
    while ended != 0 or n == 1:
        folder, share = fresh() / "r", (0, 50, 100)[n % 3]

        def run(n=n, share=share, folder=folder):
            dying(n, share)
            assert nat_here("run", "--out", folder, *words).code == 0

        ended = forked(run)
        assert ended in {KILLED, 0}
        outcome = (
            nat_here("resume", folder) if (folder / "run.toml").exists() else nat_here("run", "--out", folder, *words)
        )
        assert outcome.code == 0, outcome.err
        assert records(folder)[1:] == expected
        cases["crash points of the command"] += ended == KILLED
        n += 2
    assert cases["crash points of the command"] >= 30


@pytest.mark.promise(11)
def test_killed_in_the_first_statement_of_an_objective(fresh, cases):
    """Twenty times, by SIGKILL: nothing stays half done, and each is recorded once."""
    folder, reference = fresh(), Undisturbed(Toy(), fresh())
    for _ in range(20):
        measured = len(seen(folder))

        def kill(_architecture):
            os.kill(os.getpid(), signal.SIGKILL)

        assert forked(lambda: Toy(fault=kill).run(folder)) == -signal.SIGKILL
        assert len(seen(folder)) == measured  # the one that killed left nothing
        archives = Toy().archives(folder, OneMore())
        with pytest.raises(KeyboardInterrupt):
            for _archive in archives:
                pass
        assert len(seen(folder)) == measured + 1
        cases["kills"] += 1
    reference.equals(folder)
    assert len(seen(folder)) == len(set(seen(folder)))


class OneMore(Quiet):
    """Lets one measurement be recorded."""

    def write(self, descriptor, data):
        if b'"kind":"measured"' in data:
            self.done = getattr(self, "done", 0) + 1
            if self.done > 1:
                raise KeyboardInterrupt
        return super().write(descriptor, data)


def seen(folder):
    """Iteration and architecture of every result."""
    file = folder / "journal.jsonl"
    kinds = {"measured", "failed"}
    return (
        [(r["iteration"], tuple(r["architecture"])) for r in read(file) if r["kind"] in kinds] if file.exists() else []
    )


@pytest.mark.promise(2, 10)
def test_eight_processes_append_in_turns(place, cases):
    """Each takes the folder, writes some records and gives it back, until it has written a thousand."""
    script = """
import sys, time
from pathlib import Path
from nat_core.durable import Disk, sole_writer
from nat_core.errors import ResourceError
from nat_core.journal import Journal

class Quiet(Disk):
    def fsync(self, descriptor):
        pass

folder, me, done = Path(sys.argv[1]), int(sys.argv[2]), 0
while done < 1000:
    try:
        with sole_writer(folder), Journal(folder / "journal.jsonl", Quiet()) as journal:
            for _ in range(100):
                journal.append("n", process=me, i=done)
                done += 1
    except ResourceError:
        time.sleep(0.002)
"""
    command = [sys.executable, "-c", script, str(place / "run")]
    processes = [subprocess.Popen([*command, str(i)]) for i in range(8)]
    assert [process.wait(timeout=250) for process in processes] == [0] * 8
    found = read(place / "run" / "journal.jsonl")
    for me in range(8):
        assert [r["i"] for r in found if r["process"] == me] == list(range(1000))
        cases["appends by processes beside each other"] += 1000
    assert len(found) == 8000


@pytest.mark.promise(4)
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a folder on another device")
def test_a_file_is_drafted_on_the_device_of_its_folder(tmp_path, place, monkeypatch):
    """Where the folder for temporary files is on another device, a rename from there would be a copy."""
    if place.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("the folders are on one device")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    seen = list[Path]()

    class Looking(Quiet):
        def replace(self, source, target):
            seen.append(source)
            assert source.stat().st_dev == target.parent.stat().st_dev
            super().replace(source, target)

    publish_text(place / "file", "text", Looking())
    assert [draft.parent for draft in seen] == [place]
    assert not list(tmp_path.iterdir())


@pytest.mark.promise(12)
@pytest.mark.parametrize("days", [-1, 1, 10_000])
def test_a_jump_of_the_clock_changes_nothing(days, fresh, monkeypatch, cases):
    import time

    reference, folder, calls = Undisturbed(Toy(), fresh()), fresh(), 0
    real = time.time

    def jumping():
        nonlocal calls
        calls += 1
        return real() + 86400 * days * (calls % 2)

    monkeypatch.setattr(time, "time", jumping)
    archives = Toy().archives(folder)
    next(archives)
    archives.close()
    for file in folder.rglob("*"):
        os.utime(file, (86400 * (20_000 + days), 86400 * (20_000 + days)))
    reference.equals(folder)
    cases["jumps of the clock"] += 1
