"""A run in milliseconds that trackers follow as they follow a real one."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from toyrun import PLAN, Space, Toy

import nat_trackers
from nat_core.config import RunConfig
from nat_core.tracking import Followed


@dataclass
class Parts:
    def versions(self):
        return {"surrogates.toy": "nat-core 0.1.0"}


@dataclass
class Problem:
    estimators: dict = field(default_factory=lambda: {"distance": None})


@dataclass
class Run:
    """What a tracker looks at in a run."""

    folder: Path
    trackers: dict
    config: RunConfig = field(default_factory=lambda: RunConfig(objectives=("distance", "size")))
    parts: Parts = field(default_factory=Parts)
    problem: Problem = field(default_factory=Problem)
    plan: object = PLAN
    space: object = field(default_factory=Space)


class EndedError(Exception):
    """The process is gone."""


class Followers:
    """Runs that go on in one folder, each with a new tracker, as processes do."""

    def __init__(self, folder, make):
        self.folder, self.make = folder, make

    def process(self, until=None):
        """From the beginning or from where the folder stands; up to an iteration where one is given."""
        tracker = self.make()
        run = Run(self.folder, {"it": Followed("it", tracker)})
        with contextlib.suppress(EndedError):
            archive = None
            for i, archive in enumerate(Toy().archives(self.folder)):
                nat_trackers.on_iteration(run, archive)
                if i == until:
                    raise EndedError
            nat_trackers.on_finish(run, archive)
        if until is not None:
            tracker.__dict__.get("_writer") and tracker._close()
        return tracker


@pytest.fixture
def followers(tmp_path):
    """Runs in a folder that is new, with the trackers that a function makes."""
    (tmp_path / "run").mkdir()
    return lambda make: Followers(tmp_path / "run", make)
