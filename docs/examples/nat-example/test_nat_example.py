"""What the parts of the example do, beyond the contracts in test_contracts.py."""
# ruff: noqa: S101, D103  (asserts are what tests are made of, and names say what they test)

from __future__ import annotations

import nat_example
import numpy as np
import pytest

from nat_core.archive import Archive
from nat_core.encoding import as_architectures
from nat_core.errors import ConfigError
from nat_core.problem import Problem


def rows(n: int) -> np.ndarray:
    return nat_example.mlp().sample(n, np.random.default_rng(0))


def test_one_neighbour_says_what_was_measured() -> None:
    X = np.unique(rows(20), axis=0)
    y = np.random.default_rng(1).random(len(X))
    assert nat_example.Nearest(k=1).fit(X, y)(X) == pytest.approx(y)


def test_a_prediction_is_among_the_measurements() -> None:
    X, y = rows(5), np.arange(5.0)
    predicted = nat_example.Nearest(k=50).fit(X, y)(rows(100))
    assert predicted.shape == (100,)
    assert 0 < predicted.min() <= predicted.max() < 4


def test_the_weights_of_a_perceptron_are_those_of_its_modules() -> None:
    space = nat_example.mlp(classes=3, image_size=4)
    supernet = space.supernet(n_classes=3)
    for architecture in as_architectures(rows(20)):
        n = sum(p.numel() for p in supernet.subnet(architecture).parameters())
        assert nat_example.weight_mb(space)(np.array([architecture])) == pytest.approx(4 * n / 1e6)


def test_a_subnet_gives_the_supernets_output() -> None:
    import torch  # noqa: PLC0415  (slow to import)

    space = nat_example.mlp(image_size=4)
    supernet = space.supernet(n_classes=10)
    images = torch.rand(5, 3, 4, 4)
    for architecture in as_architectures(rows(10)):
        assert torch.equal(supernet(images, architecture), supernet.subnet(architecture)(images))


def test_gradients_reach_the_shared_weights() -> None:
    import torch  # noqa: PLC0415  (slow to import)

    space = nat_example.mlp(image_size=4)
    supernet = space.supernet(n_classes=10)
    supernet(torch.rand(5, 3, 4, 4), space.parse("16")).sum().backward()
    gradient = supernet.hidden[0].weight.grad
    assert gradient[:16].any()
    assert not gradient[16:].any()


def test_the_largest_perceptron_is_found_where_size_is_all_that_counts() -> None:
    space = nat_example.mlp()
    size = nat_example.weight_mb(space)
    problem = Problem(space, ("size", "small"), {}, {"size": lambda X: -size(X), "small": lambda X: X[:, 0] * 1.0})
    optimizer = nat_example.neighbours(space, rounds=8)
    found = optimizer.propose(problem.predict({}), Archive(problem.names), 8, np.random.default_rng(0))
    assert space.parse("128-128-128") in as_architectures(found)


@pytest.mark.parametrize("text", ["", "64-", "65", "16-16-16-16", {"hidden": 16}, [0, 0], [0, 0, 0, 9], None, 3])
def test_what_is_no_perceptron_is_refused(text: object) -> None:
    with pytest.raises(ConfigError, match="cannot read a perceptron"):
        nat_example.mlp().parse(text)


def test_wrong_options_are_named() -> None:
    space = nat_example.mlp()
    with pytest.raises(ConfigError, match="k is 0"):
        nat_example.nearest(space, k=0)
    with pytest.raises(ConfigError, match="rounds is -1"):
        nat_example.neighbours(space, rounds=-1)
    with pytest.raises(ConfigError, match="widths is"):
        nat_example.mlp(widths=[32, 16])
