"""Event files, read by TensorBoard itself."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from nat_core.contracts import TrackedIteration
from nat_trackers.event_files import TensorBoard

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")


@pytest.fixture
def shown():
    """What TensorBoard shows of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def shown(place):
        found = EventAccumulator(str(place), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
        return found.Reload()

    return shown


def steps(found, tag="front/hypervolume"):
    return [event.step for event in found.Scalars(tag)]


def test_curves_pictures_and_parameters(followers, shown):
    follower = followers(lambda: TensorBoard(None))
    follower.process()
    found = shown(follower.folder / "tensorboard")
    assert steps(found) == [0, 1, 2]
    assert {"best/distance", "best/size", "front/size", "seconds/adapt"} <= set(found.Tags()["scalars"])
    assert [e.step for e in found.Images("front/picture")] == [0, 1, 2]
    assert all((e.width, e.height) == (480, 360) for e in found.Images("front/picture"))
    text = found.Tensors("run/parameters/text_summary")
    assert [e.step for e in text] == [0]
    assert "| plugins.surrogates.toy | `nat-core 0.1.0` |" in text[0].tensor_proto.string_val[0].decode()
    assert len(found.Tensors("front/architectures/text_summary")) == 3


@pytest.mark.parametrize("until", [0, 1, 2])
def test_a_run_that_goes_on_is_one_run_without_duplicates(followers, shown, until):
    follower = followers(lambda: TensorBoard(None))
    for _ in range(2):
        follower.process(until)
    follower.process()
    follower.process()
    found = shown(follower.folder / "tensorboard")
    for tag in found.Tags()["scalars"]:
        assert len(set(steps(found, tag))) == len(steps(found, tag))
    assert steps(found) == steps(found, "archive/measured") == [0, 1, 2]
    assert [e.step for e in found.Images("front/picture")] == [0, 1, 2]


def test_an_iteration_that_was_cut_short_is_written_again(followers, shown):
    """The newest file loses its end, as a kill leaves it: what is whole stays, and the rest follows."""
    follower = followers(lambda: TensorBoard(None))
    follower.process(1)
    (file,) = (follower.folder / "tensorboard").iterdir()
    file.write_bytes(file.read_bytes()[:-70])
    assert steps(shown(file.parent), "archive/measured") == [0]
    follower.process()
    found = shown(file.parent)
    assert steps(found) == steps(found, "archive/measured") == [0, 1, 2]


def test_a_folder_of_ones_own_has_a_folder_for_each_run(followers, shown, tmp_path):
    follower = followers(lambda: TensorBoard(str(tmp_path / "all")))
    follower.process()
    assert not (follower.folder / "tensorboard").exists()
    assert steps(shown(tmp_path / "all" / "run")) == [0, 1, 2]


def test_a_place_that_cannot_be_written(followers, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        followers(lambda: TensorBoard(str(tmp_path / "file"))).process()
    assert sum("the tracker it failed" in r.getMessage() for r in caplog.records) == 1


def test_an_iteration_without_a_front(tmp_path, shown):
    tracker, nothing = TensorBoard(None), np.empty((0, 2))
    tracker.begin(tmp_path, "x", {"a|b": "c|d"})
    tracker.note(TrackedIteration(0, {"archive/measured": 0.0}, ("a", "b"), nothing, nothing, ()))
    tracker.finish()
    assert steps(shown(tmp_path / "tensorboard"), "archive/measured") == [0]
