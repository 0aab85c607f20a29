"""Decoded pictures on disk: kept, found again, made anew where they are stale or damaged, and never half there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nat_datasets
from nat_core.errors import ConfigError, ResourceError
from nat_datasets import assembly, store


def photographs(root, n=6):
    for label, name in enumerate("ab"):
        for i in range(n):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (label, i, 9)).save(root / name / f"{i}.png")
    return root


@pytest.fixture
def root(tmp_path):
    return photographs(tmp_path / "photographs")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def load(root, cache):
    def load(path=root, **options):
        return nat_datasets.folder(str(path), **{"image_size": 4, "cache": "disk", "cache_dir": str(cache), **options})

    return load


@pytest.fixture
def decoded(monkeypatch):
    """How many pictures were decoded."""
    paths = []
    read = assembly.PictureFiles._read

    def counted(self, file, image):
        paths.append(file.name)
        return read(self, file, image)

    monkeypatch.setattr(assembly.PictureFiles, "_read", counted)
    return paths


def equal(first, second):
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("train", "val", "test")]
    return all(np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels) for a, b in pairs)


def only(cache):
    (place,) = cache.iterdir()
    return place


def test_pictures_are_decoded_once(load, cache, decoded):
    first = load()
    assert len(decoded) == 12
    again = load()
    assert len(decoded) == 12
    assert equal(first, again)
    assert (first.fingerprint, first.mean, first.std) == (again.fingerprint, again.mean, again.std)
    assert sorted(p.name for p in only(cache).iterdir()) == ["about.json", "lock", "pictures.u8"]
    assert (only(cache) / "pictures.u8").stat().st_size == 12 * 3 * 4 * 4


def test_the_same_as_in_memory_with_unreadable_files_and_copies(root, load):
    (root / "a" / "0.png").write_bytes(b"")
    (root / "b" / "1.png").write_bytes((root / "b" / "2.png").read_bytes())
    (root / "b" / "copy.png").write_bytes((root / "a" / "3.png").read_bytes())
    on_disk, again, in_memory = load(), load(), load(cache="memory")
    assert equal(on_disk, in_memory)
    assert equal(again, in_memory)
    assert on_disk.fingerprint == in_memory.fingerprint
    assert on_disk.skipped == again.skipped == in_memory.skipped
    assert "a/0.png" in on_disk.skipped
    assert (on_disk.mean, on_disk.std) == (in_memory.mean, in_memory.std)


def test_the_budget_holds_for_pictures_that_are_found_again(root, load):
    for i in range(6):
        (root / "a" / f"broken{i}.png").write_bytes(b"")
    load(skip_budget=0.5)
    with pytest.raises(ConfigError, match="6 of 18 files"):
        load()


def test_unreadable_files_are_named_once_each_time(root, load, caplog):
    (root / "a" / "0.png").write_bytes(b"")
    for _ in ("read anew", "found again"):
        load()
        assert caplog.text.count("1 files could not be read as pictures: 'a/0.png'") == 1
        caplog.clear()


def test_a_changed_file_is_read_again(root, load, decoded):
    first = load()
    Image.new("RGB", (8, 8), "red").save(root / "a" / "0.png")
    assert load().fingerprint != first.fingerprint
    assert len(decoded) == 24


def test_a_touched_file_is_read_again_and_is_the_same(root, load, decoded):
    first = load()
    os.utime(root / "a" / "0.png", (1, 1))
    assert load().fingerprint == first.fingerprint
    assert len(decoded) == 24


@pytest.mark.parametrize("options", [{"image_size": 5}, {"split_seed": 1}])
def test_other_options_are_other_files(load, decoded, options):
    load()
    load(**options)
    assert len(decoded) == 24
    load()
    assert len(decoded) == 24


@pytest.mark.parametrize("where", [0, 7, -1])
@pytest.mark.parametrize("file", ["pictures.u8", "about.json"])
def test_a_flipped_byte_is_noticed(load, cache, decoded, caplog, file, where):
    in_memory = load(cache="memory")
    load()
    path = only(cache) / file
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    assert equal(load(), in_memory)
    assert len(decoded) == 36
    assert "is damaged, and is made anew" in caplog.text


@pytest.mark.parametrize("file", ["pictures.u8", "about.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_a_file_cut_or_removed_is_made_anew(load, cache, decoded, file, damage):
    in_memory = load(cache="memory")
    load()
    path = only(cache) / file
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:50] if damage == "cut" else b"")
    assert equal(load(), in_memory)
    assert len(decoded) == 36


def test_a_label_changed_by_hand_is_noticed(load, cache, decoded):
    load()
    path = only(cache) / "about.json"
    about = json.loads(path.read_text())
    about["contents"]["labels"][0] ^= 1
    path.write_text(json.dumps(about))
    load()
    assert len(decoded) == 24


def test_a_decoding_that_is_broken_off_leaves_nothing_that_counts(load, cache, monkeypatch):
    class Killed(BaseException):
        pass

    def broken(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(assembly, "share_out", broken)
        with pytest.raises(Killed):
            load()
    assert [p.name for p in only(cache).iterdir()] == ["lock"]
    assert equal(load(), load(cache="memory"))


def test_a_killed_process_leaves_nothing_that_counts(root, load, cache):
    code = (
        "import os, nat_datasets\nfrom nat_datasets import assembly\n"
        "assembly.share_out = lambda *_: os.kill(os.getpid(), 9)\n"
        f"nat_datasets.folder({str(root)!r}, image_size=4, cache='disk', cache_dir={str(cache)!r})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == -9
    assert (only(cache) / ".pictures.u8.draft").exists()
    assert equal(load(), load(cache="memory"))
    assert sorted(p.name for p in only(cache).iterdir()) == ["about.json", "lock", "pictures.u8"]


def test_writing_to_the_pictures_changes_nothing_on_disk(load, decoded):
    first = load()
    assert first.train.images.flags.writeable  # or torch would want a copy of it all
    tensor = torch.from_numpy(first.train.images)
    tensor[:] = 0
    assert load().train.images.any()
    assert len(decoded) == 12


def test_the_map_may_be_larger_than_memory(tmp_path):
    file = tmp_path / "sparse"
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    n = 2 * installed // 3000
    with file.open("wb") as stream:
        stream.truncate(n * 3000)
    images = store._mapped(file, (n, 3, 10, 100))
    assert images.shape == (n, 3, 10, 100)
    assert not torch.from_numpy(images)[-5:].any()


def test_what_would_fill_the_memory_goes_to_disk(load, cache, monkeypatch):
    load(cache="auto")
    assert not cache.exists()
    monkeypatch.setattr(assembly, "IN_MEMORY", 0)
    load(cache="auto")
    assert only(cache).name.startswith("folder-")


def test_too_little_room_is_refused_before_anything_is_read(load, cache, decoded):
    with pytest.raises(ResourceError, match=r"12 pictures of 1000000 pixels take .* GB free: choose another cache_dir"):
        load(image_size=1_000_000)
    with pytest.raises(ResourceError, match=r"12 pictures of 1000000 pixels take .* or cache=disk"):
        load(image_size=1_000_000, cache="memory")
    assert not cache.exists()
    assert not decoded


def test_a_full_disk_is_a_resource_error(load, cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full, raising=False)
        with pytest.raises(ResourceError, match="No space left on device"):
            load()
    assert [p.name for p in only(cache).iterdir()] == ["lock"]
    load()


def test_a_photograph_that_may_not_be_read_is_not_taken_for_a_full_disk(load, monkeypatch):
    read = Path.read_bytes

    def refused(self):
        if self.name == "3.png":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(ResourceError, match=r"3\.png' could not be read: Permission denied"):
        load()


def test_a_cache_that_cannot_be_written(load, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="file"):
        load(cache_dir=str(tmp_path / "file" / "below"))


def test_where_pictures_are_kept(monkeypatch):
    monkeypatch.setenv("NAT_CACHE", "/n")
    assert store.folder(None) == Path("/n/datasets")
    monkeypatch.setenv("HOME", "/h")
    assert store.folder("~/d") == Path("/h/d")


def test_an_unknown_cache_is_refused(load):
    with pytest.raises(ConfigError, match="none of auto, memory, disk"):
        load(cache="cloud")
