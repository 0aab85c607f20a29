"""What a phase keeps of itself: whole or not at all, of this very phase, at little cost, and never an error."""

from __future__ import annotations

import errno
import json
import math
import os

import pytest
from toyrun import KILLED, Counting, Dying, Failing, Quiet, Stepping, Toy, forked

from nat_core import checkpoints, stopping
from nat_core.checkpoints import CheckpointFile
from nat_core.stopping import Stopped

ABOUT = {"iteration": [3, 8], "config": "c0ffee"}
OLD, NEW = b"old\n" * 300, b"new\0\n" * 400


@pytest.fixture(autouse=True)
def _always_due(monkeypatch):
    monkeypatch.setattr(checkpoints, "PATIENCE", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", math.inf)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "0003.unfinished" / "toy"
    CheckpointFile(file, ABOUT).offer(lambda: OLD, 1, 8)
    return file


def test_what_is_kept_is_found_and_the_newest_wins(file, caplog):
    CheckpointFile(file, ABOUT).offer(lambda: NEW, 1234, 5000)
    assert CheckpointFile(file, ABOUT).load() == NEW
    assert "going on at step 1,234 of 5,000" in caplog.text
    assert [path.name for path in file.parent.iterdir()] == ["toy"]


def test_there_may_be_none(tmp_path, caplog):
    assert CheckpointFile(tmp_path / "0003.unfinished" / "toy", ABOUT).load() is None
    assert not caplog.text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "value"), [("iteration", [4, 8]), ("config", "another"), ("new", 1), ("format", 0)])
def test_of_another_phase_it_is_left_out(file, name, value, caplog):
    assert CheckpointFile(file, ABOUT | {name: value}).load() is None
    assert f"its {name} changed" in caplog.text
    assert CheckpointFile(file, ABOUT).load() == OLD


def test_damage_anywhere_is_noticed(file, caplog):
    content = file.read_bytes()
    damaged = [content[:n] for n in range(0, len(content), 7)]
    damaged += [content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :] for i in range(0, len(content), 5)]
    damaged += [content + b"\0", b"\0" * len(content), content[:-100] + b"\0" * 100]
    for text in damaged:
        file.write_bytes(text)
        assert CheckpointFile(file, ABOUT).load() is None
    assert caplog.text.count("is damaged") == len(damaged)


def test_one_that_cannot_be_read_is_left_out(tmp_path, caplog):
    (tmp_path / "toy").mkdir()
    assert CheckpointFile(tmp_path / "toy", ABOUT).load() is None
    assert f"cannot be read: {os.strerror(errno.EISDIR)}" in caplog.text


def keep(file, disk):
    CheckpointFile(file, ABOUT, disk).offer(lambda: NEW, 2, 8)


def calls(tmp_path):
    disk = Counting()
    keep(tmp_path / "counting" / "toy", disk)
    return disk.calls


@pytest.mark.parametrize("share", [0, 50, 100])
def test_killed_anywhere_the_old_or_the_new_is_there(file, tmp_path, share):
    for n in range(1, len(calls(tmp_path)) + 1):
        assert forked(lambda: keep(file, Dying(n, share))) == KILLED  # noqa: B023
        found = CheckpointFile(file, ABOUT).load()
        assert found in {OLD, NEW}
        CheckpointFile(file, ABOUT, Quiet()).offer(lambda: OLD, 1, 8)
        assert [path.name for path in file.parent.iterdir()] == ["toy"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_refuses_is_warned_of_once_and_nothing_is_lost(file, tmp_path, number, caplog):
    for n, call in enumerate(calls(tmp_path), 1):
        if call == "unlink":
            continue
        checkpoint = CheckpointFile(file, ABOUT, Failing(n, 50, number, for_ever=True))
        for _ in range(3):
            checkpoint.offer(lambda: NEW, 2, 8)
        assert caplog.text.count(f"{os.strerror(number)}. The training goes on.") == 1
        assert CheckpointFile(file, ABOUT).load() in {OLD, NEW}
        assert not list(file.parent.glob(".*"))
        caplog.clear()


def test_once_there_is_room_again_it_keeps_again(file, caplog):
    checkpoint = CheckpointFile(file, ABOUT, Failing(2, 50, errno.ENOSPC, for_ever=False))
    checkpoint.offer(lambda: NEW, 2, 8)
    assert "The training goes on." in caplog.text
    assert CheckpointFile(file, ABOUT).load() == OLD
    checkpoint.offer(lambda: NEW, 3, 8)
    assert CheckpointFile(file, ABOUT).load() == NEW


def test_too_little_memory_to_copy_a_state_is_no_error(file, caplog):
    def state():
        raise MemoryError

    CheckpointFile(file, ABOUT).offer(state, 2, 8)
    assert "out of memory. The training goes on." in caplog.text
    assert CheckpointFile(file, ABOUT).load() == OLD


def test_a_place_that_cannot_be_made_is_no_error(tmp_path, caplog):
    (tmp_path / "weights").write_text("a file")
    keep(tmp_path / "weights" / "toy", Quiet())
    assert "The training goes on." in caplog.text


def test_nothing_is_kept_after_a_signal(file, monkeypatch):
    monkeypatch.setattr(stopping, "_received", [15])
    with pytest.raises(Stopped):
        keep(file, Quiet())
    assert CheckpointFile(file, ABOUT).load() == OLD


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.mark.parametrize(("cost", "expected"), [(0.5, [60, 120.5, 181, 241.5]), (1.5, [60, 150.5, 225, 300.5])])
def test_it_costs_a_fiftieth_of_the_time_and_is_asked_for_only_when_it_is_time(tmp_path, monkeypatch, cost, expected):
    """Every minute where that is little; where it is not, so seldom that all of them together are a fiftieth."""
    clock, kept = Clock(), []
    monkeypatch.setattr(checkpoints, "time", clock)
    monkeypatch.setattr(checkpoints, "PATIENCE", 60.0)
    monkeypatch.setattr(checkpoints, "SHARE", 0.02)
    checkpoint = CheckpointFile(tmp_path / "toy", ABOUT, Quiet())

    def state():
        kept.append(clock.now - 1000)
        clock.now += cost
        return NEW

    for step in range(1, 1001):
        clock.now += 1.0
        checkpoint.offer(state, step, 1001)
    assert kept[:4] == expected
    assert len(kept) > 10
    assert all(cost * (i + 1) <= 0.02 * at for i, at in enumerate(kept) if i)


def test_the_time_of_earlier_processes_counts(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(checkpoints, "time", clock)
    for life in (1, 2, 3):
        checkpoint = CheckpointFile(tmp_path / "toy", ABOUT, Quiet())
        checkpoint.load()
        assert checkpoint.before == 40.0 * (life - 1)
        clock.now += 40.0
        checkpoint.offer(lambda: NEW, life, 8)
        clock.now += 7.0  # lost


def test_a_learner_without_it_is_given_none(place):
    """What meets the contract of a learner alone is asked to adapt as ever."""
    Toy().run(place)
    assert not list(place.rglob("*.unfinished"))


def test_a_checkpoint_of_other_options_is_said_and_left_out(place, caplog):
    """The archive is the one of a search that never had it."""
    toy = Toy(estimator=Stepping)
    (place / "whole").mkdir()
    (place / "cut").mkdir()
    expected = toy.run(place / "whole")
    disk = Counting()
    assert forked(lambda: toy.run(place / "cut", Dying(at_the_first_checkpoint(toy, place), 100))) == KILLED
    (file,) = place.rglob("*.unfinished/distance")
    digest, header, _ = file.read_bytes().split(b"\n", 2)
    assert json.loads(header)["about"]["first weights"] is None
    CheckpointFile(file, {"iteration": [0, 99]}, disk).offer(lambda: bytes([2]) + b"\1" * 32, 2, 4)
    assert file.read_bytes().split(b"\n", 1)[0] != digest
    assert toy.run(place / "cut") == expected
    assert "its iteration and architectures" in caplog.text
    assert not list(place.rglob("*.unfinished"))


def at_the_first_checkpoint(toy, place):
    """The number of the disk call that puts it in its place."""
    (place / "counting").mkdir()

    class Watching(Counting):
        first = 0

        def replace(self, source, target):
            super().replace(source, target)
            self.first = self.first or len(self.calls)

    disk = Watching()
    toy.run(place / "counting", disk)
    return disk.first
