"""A toy space with a supernet of a few hundred weights, and pictures whose colour is their class."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from nat_core import plugins
from nat_core.contracts import Augmentation, Split
from nat_core.encoding import Variable

COLOURS = np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220], [200, 200, 40]])


class ToyNet(nn.Module):
    """One, two or three layers on a stem; the last variable picks one of two classifiers where there are layers."""

    def __init__(self, n_classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(3)
        )
        self.heads = nn.ModuleList(nn.Linear(8, n_classes) for _ in range(2))
        self.called = []

    def parts(self, architecture):
        _, depth, head = architecture
        return [self.stem, *self.layers[: depth + 1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), self.heads[head]]

    def forward(self, images, architecture):
        self.called.append(architecture)
        for part in self.parts(architecture):
            images = part(images)
        return images

    def subnet(self, architecture):
        return copy.deepcopy(nn.Sequential(*self.parts(architecture))).train(self.training)


@dataclass(frozen=True)
class ToySpace:
    """Two sides, three depths, two heads; at depth 0 the second head is never used: two encodings, one network."""

    variables: tuple[Variable, ...] = (
        Variable("resolution", (8, 12)),
        Variable("depth", (1, 2, 3)),
        Variable("head", (0, 1)),
    )
    seed: int = 0

    def canonicalize(self, X):
        X = X.copy()
        X[X[:, 1] == 0, 2] = 0
        return X

    def sample(self, n, rng):
        return self.canonicalize(rng.integers(0, [2, 3, 2], (n, 3)))

    def describe(self, architecture):
        return {"architecture": ",".join(map(str, architecture))}

    def parse(self, text_or_dict):
        return tuple(int(i) for i in str(text_or_dict).split(","))

    def input_shape(self, architecture):
        side = self.variables[0].choices[architecture[0]]
        return 3, side, side

    def supernet(self, n_classes, weights=None):
        del weights
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            return ToyNet(n_classes)


@dataclass(frozen=True)
class ToyData:
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...] = ("red", "green", "blue", "yellow")
    image_size: int = 8
    mean: tuple[float, float, float] = (0.45, 0.5, 0.3)
    std: tuple[float, float, float] = (0.3, 0.25, 0.2)
    augmentation: Augmentation = field(default_factory=Augmentation)
    fingerprint: str = "toy"
    skipped: dict[str, str] = field(default_factory=dict)


def split(n, seed, side=8):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(COLOURS), n)
    noise = rng.integers(-40, 40, (n, 3, side, side))
    images = np.clip(COLOURS[labels][:, :, None, None] + noise, 0, 255).astype(np.uint8)
    return Split(images, labels)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def space():
    return ToySpace()


@pytest.fixture
def data():
    return ToyData(split(120, 1), split(50, 2), split(30, 3))


@pytest.fixture
def estimator(space, data):
    """Makes an estimator with options of a short run."""

    def make(space=space, data=data, **options):
        short = {"warmup_epochs": 2, "epochs": 1, "batch_size": 20, "learning_rate": 0.05, "evaluation_batch": 16}
        short |= {"recalibration_images": 64, "device": "cpu"}
        return plugins.find("estimators", "top1_error")(space, data, **short | options)

    return make
