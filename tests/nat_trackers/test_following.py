"""What trackers are told: every iteration once, from the journal; and what becomes of one that fails."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from command_line import SMALL_SEARCH, TINY, nat
from toyrun import Toy

from nat_core.config import RunConfig, resolve, validate
from nat_core.errors import ConfigError, PluginError
from nat_core.journal import read
from nat_core.pareto import hypervolume, reference_point
from nat_core.run import find_parts, trackers
from nat_trackers.following import table


class Notes:
    """A tracker that remembers beyond its process."""

    def __init__(self, kept):
        self.kept = kept

    def begin(self, folder, name, parameters):
        self.kept["begun"] = (folder, name, parameters)
        return list(self.kept.setdefault("noted", {}))

    def note(self, found):
        assert found.iteration not in self.kept["noted"]
        self.kept["noted"][found.iteration] = found

    def finish(self):
        self.kept["finished"] = self.kept.get("finished", 0) + 1


@pytest.fixture
def kept():
    return {}


@pytest.fixture
def noting(followers, kept):
    return followers(lambda: Notes(kept))


def test_every_iteration_in_numbers(noting, kept):
    noting.process()
    archives = list(Toy().archives(noting.folder))
    reference = reference_point(archives[0].measured.F)
    assert list(kept["noted"]) == [0, 1, 2]
    for i, archive in enumerate(archives):
        found = kept["noted"][i]
        front = archive.front
        assert found.scalars["front/hypervolume"] == pytest.approx(hypervolume(front.F, reference))
        assert found.scalars["front/size"] == len(front) == len(found.architectures)
        assert [found.scalars[f"best/{n}"] for n in ("distance", "size")] == front.F.min(axis=0).tolist()
        assert found.scalars["archive/measured"] == len(archive)
        assert found.scalars["archive/failed"] == 0
        assert (found.front == front.F[np.lexsort((front.F[:, 1], front.F[:, 0]))]).all()
        assert (found.measured == archive.F).all()
        assert all(math.isfinite(value) for value in found.scalars.values())
    assert {n for n in found.scalars if n.startswith("seconds/")} == {
        *("seconds/adapt", "seconds/measure", "seconds/optimizer", "seconds/surrogate")
    }
    assert "rank_correlation/distance" in found.scalars
    assert "rank_correlation/distance" not in kept["noted"][0].scalars
    assert kept["finished"] == 1


def test_the_loss_is_that_of_the_last_epoch(noting, kept, monkeypatch):
    epochs = {0: [0.9, 0.5], 1: [0.4, None], 2: []}  # None: it was no number

    def with_losses(file):
        for record in read(file):
            if record["kind"] == "adapted":
                record["losses"] = {"distance": epochs[record["iteration"]]}
            yield record

    monkeypatch.setattr("nat_trackers.following.read", lambda file: list(with_losses(file)))
    noting.process()
    losses = {i: found.scalars.get("loss/distance") for i, found in kept["noted"].items()}
    assert losses == {0: 0.5, 1: None, 2: None}


def test_the_seconds_are_those_of_the_journal(noting, kept):
    noting.process()
    records = read(noting.folder / "journal.jsonl")
    for iteration, found in kept["noted"].items():
        spent = sum(r["seconds"] for r in records if r["kind"] == "measured" and r["iteration"] == iteration)
        assert found.scalars["seconds/measure"] == pytest.approx(spent)


@pytest.mark.parametrize("until", [0, 1, 2])
def test_a_run_that_goes_on_is_told_of_nothing_twice(noting, kept, until):
    noting.process(until)
    assert list(kept["noted"]) == list(range(until + 1))
    noting.process()
    assert list(kept["noted"]) == [0, 1, 2]  # `note` itself refuses what it knows
    noting.process()
    assert list(kept["noted"]) == [0, 1, 2]


def test_a_tracker_that_joins_late_is_told_of_everything(followers, kept):
    Toy().run(followers(None).folder)
    followers(lambda: Notes(kept)).process()
    assert list(kept["noted"]) == [0, 1, 2]


class Down(Notes):
    """Fails where it is told to."""

    def __init__(self, kept, failing):
        super().__init__(kept)
        self.failing = failing

    def begin(self, folder, name, parameters):
        self._may_fail("begin")
        return super().begin(folder, name, parameters)

    def note(self, found):
        self._may_fail(found.iteration)
        super().note(found)

    def finish(self):
        self._may_fail("finish")
        super().finish()

    def _may_fail(self, where):
        if where in self.failing:
            self.failing[where] -= 1
            if self.failing[where] >= 0:
                raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("failing", "noted"),
    [
        ({"begin": 99}, []),
        ({"begin": 1}, [0, 1, 2]),  # a server that comes back is told what it has missed
        ({0: 1}, [0, 1, 2]),
        ({1: 1}, [0, 1, 2]),
        ({1: 99}, [0]),
        ({"finish": 1}, [0, 1, 2]),
    ],
)
def test_a_tracker_that_fails_is_warned_of_once_and_fails_nothing(followers, kept, caplog, failing, noted):
    with caplog.at_level(logging.WARNING):
        followers(lambda: Down(kept, dict(failing))).process()
    assert list(kept.get("noted", {})) == noted
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 1
    assert "the tracker it failed (OSError: [Errno 28] No space left on device): the run goes on" in said[0]


def test_a_front_as_a_table():
    assert table(("error", "macs"), ("a", "b"), np.array([[0.25, 1e6], [0.5, 12.0]])).splitlines() == [
        "| architecture | error | macs |",
        "| --- | ---: | ---: |",
        "| `a` | 0.25 | 1e+06 |",
        "| `b` | 0.5 | 12 |",
    ]


def test_trackers_are_no_part_of_what_a_run_is_recognised_by():
    plain = resolve(None, None, {}, [])
    followed = resolve(None, None, {"trackers": ("mlflow",)}, ["mlflow.experiment=mine"])
    assert followed.trackers == ("mlflow",)
    assert followed.options["mlflow"] == {"experiment": "mine"}
    assert followed.flat() == plain.flat()
    assert find_parts(followed).versions() == find_parts(plain).versions()
    assert RunConfig().followed_by() == ()
    assert validate({"trackers": ["none"]}).followed_by() == ()


def test_a_tracker_that_is_unknown_or_wrongly_set():
    with pytest.raises(PluginError, match=r"unknown tracker 'tensorbord'\. Did you mean 'tensorboard'"):
        find_parts(resolve(None, None, {"trackers": ("tensorbord",)}, []))
    with pytest.raises(ConfigError, match="Did you mean 'experiment'"):
        find_parts(resolve(None, None, {"trackers": ("mlflow",)}, ["mlflow.experimet=a"]))
    with pytest.raises(ConfigError, match="options are set for 'mlflow', which is not a part of this run"):
        resolve(None, None, {}, ["mlflow.experiment=a"])


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow")])
def test_one_that_is_not_installed_says_how_to_get_it(monkeypatch, name, module):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    parts = find_parts(resolve(None, None, {"trackers": (name,)}, []))
    with pytest.raises(ConfigError, match=rf"pip install 'nat-core\[{name}\]'"):
        trackers(parts)


def test_no_password_gets_into_a_run_folder():
    parts = find_parts(resolve(None, None, {"trackers": ("mlflow",)}, ["mlflow.uri=https://me:secret@host"]))
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as refusal:
        trackers(parts)
    assert "secret" not in str(refusal.value)


@pytest.mark.slow
def test_as_a_user_has_it(tmp_path):
    """Followed from the start by TensorBoard; a run without it finds the same, and may be joined later."""
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from nat_trackers.event_files import _written

    run = tmp_path / "run"
    words = ("run", "--out", run, "--json", *TINY, *SMALL_SEARCH)
    plain = nat(*words, "-s", "search.iterations=1")
    assert plain.code == 0, plain.err
    assert not (run / "tensorboard").exists()
    joined = nat(*words, "-s", "search.iterations=1", "--tracker", "tensorboard")
    assert joined.json == plain.json
    assert sorted(_written(run / "tensorboard")[0]) == [0, 1]
    broken = nat("resume", run, "--tracker", "mlflow", "--json", MLFLOW_TRACKING_URI="nonsense://x")
    assert broken.json == plain.json
    assert broken.err.count("the tracker mlflow failed") == 1 or "pip install 'nat-core[mlflow]'" in broken.err
