"""Room on the disk is asked for before anything is learnt, and again before each version of the weights."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest
from command_line import COSTS, records
from in_process import here
from toyrun import VARIABLES, Quiet, Toy, sealed, tree, truth

from nat_core.durable import Disk, require_room
from nat_core.errors import ResourceError
from nat_core.room import KEPT, SPARE, require_room_for_weights

SIZE = 8 * len(VARIABLES)  # bytes of what the estimator of a toy saves


class Small(Quiet):
    """A disk with so much left."""

    def __init__(self, left, files=10**6):
        self.free, self.files, self.asked = left, files, 0

    def left(self, _folder):
        self.asked += 1
        return self.free, self.files


@pytest.mark.promise(29)
@pytest.mark.parametrize(("free", "files"), [(0, 10**6), ((KEPT + 1) * SIZE * SPARE - 1, 10**6), (10**9, 3)])
def test_too_little_room_stops_a_run_before_it_learns(free, files, fresh):
    folder, toy = fresh(), Toy()
    with pytest.raises(ResourceError, match="files left") as caught:
        toy.run(folder, Small(int(free), files))
    assert caught.value.exit_code == 4
    assert str(folder) in str(caught.value)
    assert "adapt" not in toy.events
    assert not list(folder.rglob("*.draft"))
    undisturbed = fresh()
    assert Toy().run(folder) == Toy().run(undisturbed)  # with room, the same run goes on
    assert sealed(truth(folder)) == sealed(truth(undisturbed))


@pytest.mark.promise(29)
def test_room_for_two_versions_and_a_new_one_is_enough(fresh):
    disk = Small(int((KEPT + 1) * SIZE * SPARE) + 1)
    Toy().run(fresh(), disk)
    assert disk.asked == Toy().plan.iterations + 1


@pytest.mark.promise(29)
def test_room_that_goes_in_the_middle_stops_it_before_the_next_version(fresh):
    folder, toy, disk = fresh(), Toy(), Small(10**9)
    archives = toy.archives(folder, disk)
    next(archives)
    disk.free, adapted = 0, toy.events.count("adapt")
    with pytest.raises(ResourceError, match="weights of iteration 1"):
        next(archives)
    assert toy.events.count("adapt") == adapted
    assert Toy().run(folder) == Toy().run(fresh())


@pytest.mark.promise(29)
def test_what_cannot_be_saved_or_loaded_is_known_before_it_is_learnt(fresh):
    class Forgetful:
        def save(self, _file):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    class Illiterate:
        def save(self, file):
            file.write_bytes(b"what nobody reads")

        def load(self, _file):
            raise ValueError("no such format")

    folder = fresh()
    with pytest.raises(ResourceError, match="cannot write"):
        require_room_for_weights(folder, 0, {"x": Forgetful()})
    with pytest.raises(ValueError, match="no such format"):
        require_room_for_weights(folder, 0, {"x": Illiterate()})
    assert tree(folder) == {}


@pytest.mark.promise(29)
def test_the_command_asks_before_it_begins(place, monkeypatch):
    folder = place / "r"
    full = SimpleNamespace(f_bavail=1, f_frsize=4096, f_files=1000, f_favail=1000)
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _: full)
        outcome = here("run", "--out", folder, *COSTS)
    assert outcome.code == 4, outcome
    assert "the records and figures of this run need 0.1 MB" in outcome.err
    assert not folder.exists()
    assert here("run", "--out", folder, *COSTS).code == 0
    assert records(folder)[-1]["kind"] == "finished"


def test_a_file_system_without_a_number_of_files_has_any(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=10, f_frsize=4096, f_files=0, f_favail=0))
    require_room(tmp_path / "not" / "there", 40960, 10**9, "all this")
    with pytest.raises(ResourceError, match=r"all this need 0\.0 MB and 1 files"):
        require_room(tmp_path, 40961, 1, "all this", Disk())
