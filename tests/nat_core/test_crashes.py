"""A search that is killed, starved or unplugged at any call to the disk ends where an undisturbed one ends."""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from toyrun import KILLED, PLAN, Counting, Dying, Failing, Quiet, Stepping, Toy, forked, sealed, tree, truth

from nat_core import checkpoints
from nat_core.errors import ResourceError
from nat_core.journal import Journal, read
from nat_core.problem import Constraint

SHARES = (0, 1, 25, 50, 75, 99, 100)


def broken(architecture):
    """Some architectures cannot be measured, in one way or another."""
    if architecture[3] == 1:
        raise RuntimeError("no kernel image")
    return [math.nan, "no number"][architecture[0] % 2] if architecture[3] == 2 else None


SETUPS = {
    "all": Toy(),
    "front": Toy().but(remeasure="front"),
    "none": Toy().but(remeasure="none"),
    "capacity": Toy().but(capacity=8, fit_size=5),
    "constrained": Toy(constraints=(Constraint.parse("size<=5"), Constraint.parse("distance>=1"))),
    "resumable": Toy(estimator=Stepping),
    "failing": Toy(fault=broken).but(failure_rate=1.0),
    "failing, capacity": Toy(fault=broken).but(failure_rate=1.0, capacity=8),
}


class Undisturbed:
    """The archive, the records, the files and the disk calls that every disturbed run has to arrive at."""

    def __init__(self, toy, folder):
        folder.mkdir()
        disk = Counting()
        self.toy, self.archive, self.calls = toy, toy.run(folder, disk), disk.calls
        self.truth, self.weights = sealed(truth(folder)), newest(folder)

    def equals(self, folder):
        assert self.toy.run(folder, Quiet()) == self.archive
        assert sealed(truth(folder)) == self.truth
        assert newest(folder) == self.weights
        assert not list(folder.rglob("*.draft"))
        assert not list(folder.rglob("*.unfinished"))

    def points(self):
        """Every call, and every share of it that makes a difference: a write can be torn, all else is done or not."""
        for n, call in enumerate(self.calls, 1):
            for share in SHARES if call == "write" else (0, 100):
                yield n, share


def killed(reference, folder, n, share):
    """The exit code of a process that dies at the n-th call to the disk, if it gets there."""
    return forked(lambda: reference.toy.run(folder, Dying(n, share)))


def newest(folder):
    """The two versions of the weights that a run keeps. An older one may be left where a run was killed."""
    return [tree(version) for version in sorted((folder / "weights").glob("[0-9]" * 4))[-2:]]


@pytest.fixture(autouse=True, scope="module")
def _every_state_is_kept():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "PATIENCE", 0.0)
        patch.setattr(checkpoints, "SHARE", math.inf)
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    place = tmp_path_factory.mktemp("undisturbed")
    return {name: Undisturbed(toy, place / str(i)) for i, (name, toy) in enumerate(SETUPS.items())}


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.usefixtures("tmp_path")
def test_killed_at_every_call_and_tear(undisturbed, fresh, cases):
    reference = undisturbed["all"]
    crashes = list(reference.points())
    for n, share in crashes:
        folder = fresh()
        assert killed(reference, folder, n, share) == KILLED
        reference.equals(folder)
    torn = sum(0 < share < 100 for _, share in crashes)
    assert len(crashes) >= 400
    assert torn >= 0.3 * len(crashes)
    cases["killed children"] += len(crashes)


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.usefixtures("tmp_path")
def test_killed_at_every_call_in_the_middle_of_adaptations(undisturbed, fresh, cases):
    """No step is done twice whose state was kept."""
    reference, seen = undisturbed["resumable"], set()
    for n, share in [(n, share) for n, share in reference.points() if share in {0, 50}]:
        folder = fresh()
        assert killed(reference, folder, n, share) == KILLED
        adapted, kept = sum(r["kind"] == "adapted" for r in recorded(folder)), steps_kept(folder)
        before = len(reference.toy.events)
        reference.equals(folder)
        done = Stepping.STEPS * adapted + kept.get(adapted, 0)
        total = Stepping.STEPS * (PLAN.iterations + 1)
        assert reference.toy.events[before:].count("adapt") == total - done
        seen.add(done)
        cases["killed children"] += 1
    assert seen == set(range(total + 1))


def recorded(folder):
    """The whole records of a run that was killed."""
    return read(folder / "journal.jsonl") if (folder / "journal.jsonl").exists() else []


def steps_kept(folder):
    """Iteration → steps that its checkpoint holds."""
    return {
        int(file.parent.name.partition(".")[0]): json.loads(file.read_bytes().split(b"\n")[1])["done"]
        for file in folder.rglob("*.unfinished/distance")
    }


@pytest.mark.parametrize("name", [name for name in SETUPS if name != "all"])
def test_killed_under_every_policy(name, undisturbed, fresh, cases):
    reference = undisturbed[name]
    points = list(reference.points())[:: max(1, len(list(reference.points())) // 12)]
    for n, share in points:
        folder = fresh()
        assert killed(reference, folder, n, share) == KILLED
        reference.equals(folder)
    assert len(points) >= 12
    cases["killed children"] += len(points)


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.usefixtures("tmp_path")
def test_killed_again_while_recovering(undisturbed, fresh, cases):
    reference, rng = undisturbed["all"], np.random.default_rng(0)
    points, twice = list(reference.points()), 0
    for _ in range(80):
        folder = fresh()
        for first, share in (points[rng.integers(len(points))], (int(rng.integers(1, 12)), int(rng.choice(SHARES)))):
            code = killed(reference, folder, first, share)
            assert code in {KILLED, 0}
        twice += code == KILLED
        reference.equals(folder)
    assert twice >= 60
    cases["children killed twice"] += twice


def test_killed_again_and_again(undisturbed, fresh):
    """A process that never lives longer than a few calls still gets to the end."""
    reference, folder, lives = undisturbed["all"], fresh(), 0
    while (code := killed(reference, folder, 26, 50)) != 0:
        assert code == KILLED
        lives += 1
        assert lives < 200
    reference.equals(folder)
    assert lives >= 3


def test_cut_into_single_iterations(undisturbed, fresh):
    for reference in undisturbed.values():
        folder = fresh()
        for i in range(PLAN.iterations + 1):
            archives = reference.toy.archives(folder)
            last = [next(archives) for _ in range(i + 1)][-1]
            archives.close()
        assert last == reference.archive
        reference.equals(folder)


@pytest.mark.parametrize("for_ever", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_refused_at_every_call(number, for_ever, undisturbed, fresh, caplog, cases):
    reference, refused = undisturbed["all"], 0
    for n, call in enumerate(reference.calls, 1):
        if call == "unlink":
            continue
        folder = fresh()
        with pytest.raises(ResourceError, match="cannot write") as caught:
            reference.toy.run(folder, Failing(n, 50, number, for_ever=for_ever))
        assert caught.value.exit_code == 4
        assert str(folder) in str(caught.value)
        assert os.strerror(number) in str(caught.value)
        assert not list(folder.rglob("*.draft"))
        reference.equals(folder)
        refused += 1
    assert refused >= 90
    cases["refused calls to the disk"] += refused
    caplog.clear()


def test_old_weights_that_cannot_be_removed_are_said_and_harm_nothing(undisturbed, fresh, caplog):
    reference, folder = undisturbed["all"], fresh()

    class Stubborn(Quiet):
        def unlink(self, file):
            if file.name == "distance":
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            super().unlink(file)

    assert reference.toy.run(folder, Stubborn()) == reference.archive
    assert "cannot remove the old weights" in caplog.text
    reference.equals(folder)


def test_a_refused_append_leaves_a_journal_that_can_go_on(fresh):
    """The same process may go on with a journal whose last append was refused."""
    file = fresh() / "journal.jsonl"
    with Journal(file, Failing(4, 50, errno.ENOSPC, for_ever=False)) as journal:
        journal.append("one")
        with pytest.raises(ResourceError):
            journal.append("two", text="of which a half is written")
        journal.append("three")
        assert [r["kind"] for r in journal.records] == ["one", "three"]
    assert [r["kind"] for r in read(file)] == ["one", "three"]


class PowerLossError(BaseException):
    """The plug is pulled."""


class Unplugged(Quiet):
    """A disk that keeps what was synced, and of the rest what chance decides: file by file, folder by folder.

    A file that is kept in part has its newer content, or a part of it with zeros where the rest should be. A name that
    was not synced is there or not, and a rename happened or did not.
    """

    def __init__(self, root: Path, at: int, seed: int):
        self.root, self.at, self.calls = root, at, 0
        self.rng = np.random.default_rng(seed)
        self.held: dict[int, int] = {}  # inode → a descriptor, so that its number is not given to another file
        self.synced: dict[int, bytes] = {}
        self.written: dict[int, bytes] = {}
        self.names = {d: entries(d) for d in (root, *root.rglob("*")) if d.is_dir()}
        for file in filter(Path.is_file, root.rglob("*")):
            with file.open("rb") as stream:
                self.synced[self._inode(stream.fileno())] = file.read_bytes()

    def _count(self):
        if self.calls >= self.at:
            raise PowerLossError
        self.calls += 1

    def _inode(self, descriptor):
        inode = os.fstat(descriptor).st_ino
        if inode not in self.held:
            self.held[inode] = os.dup(descriptor)
        return inode

    def write(self, descriptor, data):
        self._count()
        written = super().write(descriptor, data)
        self.written[self._inode(descriptor)] = content(descriptor)
        return written

    def fsync(self, descriptor):
        self._count()
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            self.names[path] = entries(path)
        else:
            self.synced[self._inode(descriptor)] = content(descriptor)

    def truncate(self, descriptor, size):
        self._count()
        super().truncate(descriptor, size)
        self.written[self._inode(descriptor)] = content(descriptor)

    def replace(self, source, target):
        self._count()
        super().replace(source, target)

    def unlink(self, file):
        self._count()
        super().unlink(file)

    def aftermath(self, to: Path):
        """What is found when the power is back."""
        self._rebuild(self.root, to)
        for descriptor in self.held.values():
            os.close(descriptor)

    def _rebuild(self, folder: Path, to: Path):
        to.mkdir()
        names = self.names.get(folder, {}) if self.rng.random() < 0.5 else entries(folder)
        for name, inode in names.items():
            if inode not in self.held:  # a folder; one that is gone had been emptied before, name by name
                if (folder / name).is_dir():
                    self._rebuild(folder / name, to / name)
            else:
                (to / name).write_bytes(self._content(inode))

    def _content(self, inode: int) -> bytes:
        old = self.synced.get(inode, b"")
        new = self.written.get(inode, old)
        if new == old or self.rng.random() < 0.3:
            return old
        if not new.startswith(old):
            return new if self.rng.random() < 0.5 else old
        cut = int(self.rng.integers(len(old), len(new) + 1))
        return new[:cut] + b"\0" * int(self.rng.choice([0, len(new) - cut]))


def entries(folder):
    return {p.name: p.stat().st_ino for p in folder.iterdir()}


def content(descriptor):
    return Path(f"/proc/self/fd/{descriptor}").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="follows open files through procfs")
def test_power_loss(undisturbed, fresh, cases):
    reference, losses = undisturbed["all"], 0
    for n, seed in itertools.product(range(1, len(reference.calls), 3), range(14)):
        folder = fresh()
        (folder / "before").mkdir()
        disk = Unplugged(folder / "before", n, seed)
        with suppress(PowerLossError):
            reference.toy.run(folder / "before", disk)
            raise AssertionError
        disk.aftermath(folder / "after")
        reference.equals(folder / "after")
        losses += 1
    assert losses >= 500
    cases["power losses"] += losses


def test_power_loss_after_a_recovery(undisturbed, fresh, cases):
    """What a recovery found but did not write itself has to be on the disk before it builds on it."""
    reference, rng = undisturbed["all"], np.random.default_rng(1)
    for seed in range(40):
        folder = fresh()
        place = folder / "0"
        place.mkdir()
        for life in range(3):
            disk = Unplugged(place, int(rng.integers(1, 60)), seed)
            with suppress(PowerLossError):
                reference.toy.run(place, disk)
            place = folder / str(life + 1)
            disk.aftermath(place)
            cases["power losses"] += 1
        reference.equals(place)
