from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from toyrun import KILLED, Counting, Dying, Failing, Quiet, forked

from nat_core.durable import DISK, Disk, append, publish, publish_text, sole_writer
from nat_core.errors import ResourceError
from nat_core.journal import Journal, read

OLD, NEW = "old content\n" * 50, "the new content\n" * 50


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "run.toml"
    publish_text(file, OLD)
    return file


def test_publishes_and_gives_the_digest(file):
    assert publish_text(file, NEW) == hashlib.sha256(NEW.encode()).hexdigest()
    assert file.read_text() == NEW
    assert names(file.parent) == ["run.toml"]


class Asked(Disk):
    def __init__(self):
        self.what = []

    def write(self, descriptor, data):
        return super().write(descriptor, data[:100])  # the system may take less than it is given

    def fsync(self, descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.what.append(f"fsync {path.name}")
        super().fsync(descriptor)

    def replace(self, source, target):
        self.what.append(f"replace {source.name} {target.name}")
        super().replace(source, target)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="follows open files through procfs")
def test_content_is_on_the_disk_before_its_name_and_both_before_it_returns(file):
    disk = Asked()
    publish_text(file, NEW, disk)
    draft = ".run.toml.draft"
    assert disk.what == [f"fsync {draft}", f"fsync {draft}", f"replace {draft} run.toml", f"fsync {file.parent.name}"]
    assert file.read_text() == NEW


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="follows open files through procfs")
def test_the_name_of_a_journal_is_on_the_disk_before_its_first_record(tmp_path):
    file, folder = tmp_path / "journal.jsonl", f"fsync {tmp_path.name}"
    for _ in range(2):  # the second: its maker was killed before it could wait
        disk = Asked()
        with Journal(file, disk):
            assert disk.what == [folder]
    with Journal(file, disk) as journal:
        journal.append("one")
    assert disk.what == [folder, folder, "fsync journal.jsonl"]
    with Journal(file, disk):
        assert len(disk.what) == 3


def calls_of(work):
    disk = Counting()
    work(disk)
    return disk.calls


@pytest.mark.parametrize("share", [0, 1, 25, 50, 75, 99, 100])
def test_killed_anywhere_the_old_or_the_new_is_there(file, share):
    seen = set()
    for n in range(1, len(calls_of(lambda disk: publish_text(file, NEW, disk))) + 1):
        publish_text(file, OLD, Quiet())
        assert forked(lambda n=n: publish_text(file, NEW, Dying(n, share))) == KILLED
        seen.add(file.read_text())
        publish_text(file, NEW, Quiet())  # over whatever the dead process left
        assert names(file.parent) == ["run.toml"]
    assert seen == {OLD, NEW}


@pytest.mark.parametrize("for_ever", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_refused_anywhere_the_old_or_the_new_is_there(file, number, for_ever):
    calls = calls_of(lambda disk: publish_text(file, NEW, disk))
    refused = 0
    for n, call in enumerate(calls, 1):
        if call == "unlink":
            continue
        publish_text(file, OLD)
        with pytest.raises(ResourceError, match="cannot write") as caught:
            publish_text(file, NEW, Failing(n, 50, number, for_ever=for_ever))
        assert caught.value.exit_code == 4
        assert str(file) in str(caught.value)
        assert file.read_text() == (NEW if n == len(calls) else OLD)
        assert names(file.parent) == ["run.toml"]
        refused += 1
    assert refused == len(calls) - calls.count("unlink") >= 5


def test_a_file_that_cannot_be_made_names_its_path(tmp_path):
    with pytest.raises(ResourceError, match=r"absent.*No such file"):
        publish_text(tmp_path / "absent" / "file", NEW)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ResourceError, match="folder"):
        publish_text(tmp_path / "folder", NEW)
    assert names(tmp_path) == ["folder"]


def test_what_is_wrong_with_the_writer_is_not_blamed_on_the_disk(file):
    def write(draft):
        draft.write_text("half")
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        publish(file, write)
    assert file.read_text() == OLD
    assert names(file.parent) == ["run.toml"]


def test_a_real_limit_of_the_system(file):
    """RLIMIT_FSIZE gives EFBIG after a part is written, as a full disk or a quota would."""

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with pytest.raises(ResourceError, match="File too large"):
            publish_text(file, "x" * 5000)
        assert names(file.parent) == ["run.toml"]

    assert forked(work) == 0
    assert file.read_text() == OLD


def test_a_full_device():
    with Path("/dev/full").open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space"):
        append(stream.fileno(), b"x", DISK)


@pytest.mark.parametrize("for_ever", [False, True])
def test_another_process_goes_on_after_a_full_disk(tmp_path, for_ever):
    file = tmp_path / "journal.jsonl"
    with Journal(file) as journal:
        journal.append("one")
    for share in (0, 50, 99):
        disk = Failing(1, share, errno.ENOSPC, for_ever=for_ever)
        with pytest.raises(ResourceError), Journal(file, disk) as journal:  # at the cut, or at the append
            journal.append("lost", pad="x" * 200)
    assert [r["kind"] for r in read(file)] == ["one"]
    assert forked(lambda: Journal(file).append("two")) == 0
    assert [r["kind"] for r in read(file)] == ["one", "two"]


def test_a_reader_never_sees_a_mix(tmp_path):
    file, stop, seen = tmp_path / "file", threading.Event(), set()
    texts = [str(i) * 3000 for i in range(10)]
    publish_text(file, texts[0], Quiet())

    def look():
        while not stop.is_set():
            seen.add(file.read_text())

    reader = threading.Thread(target=look)
    reader.start()
    for i in range(500):
        publish_text(file, texts[i % 10], Quiet())
    stop.set()
    reader.join()
    assert seen <= set(texts)


HOLD = """
import sys, time
from pathlib import Path
from nat_core.durable import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_is_refused_at_once_and_told_by_whom(holder, tmp_path):
    start = time.monotonic()
    with pytest.raises(ResourceError) as caught, sole_writer(tmp_path / "run"):
        pass
    assert time.monotonic() - start < 1
    assert f"in use by process {holder.pid} on {socket.gethostname()}" in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_dead_holders_lock_is_free_at_once(holder, tmp_path):
    holder.kill()
    holder.wait()
    start = time.monotonic()
    with sole_writer(tmp_path / "run"):
        assert f"process {os.getpid()} " in (tmp_path / "run" / "lock").read_text()
    assert time.monotonic() - start < 1


def test_a_lock_is_given_back(tmp_path):
    for _ in range(3):
        with sole_writer(tmp_path), pytest.raises(ResourceError), sole_writer(tmp_path):
            pass
    with pytest.raises(KeyError), sole_writer(tmp_path):
        raise KeyError
    with sole_writer(tmp_path):
        pass


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(ResourceError, match=r"cannot lock.*No locks available"), sole_writer(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="file"), sole_writer(tmp_path / "file" / "run"):
        pass
