"""Weights and peak activations, against a walk through the network layer by layer."""

import numpy as np
import pytest

from nat_core import plugins
from nat_core.contracts import Operator
from nat_core.encoding import Variable, as_architectures
from nat_core.errors import ConfigError


def divisible(c):
    rounded = max(8, int(c + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * c else rounded


def alive(steps):
    """The most numbers alive at once: steps are (what is read, what is written, whether the input stays)."""
    return max(sum(step) for step in steps)


def peak_by_hand(net):
    """Of OFA's dictionary: every convolution reads one map and writes another; a shortcut keeps its layer's input."""
    c = [divisible(b * net["w"]) for b in (16, 16, 24, 40, 80, 112, 160, 960, 1280)]
    half = lambda side: (side + 1) // 2  # noqa: E731
    side = half(net["r"])
    maps = side * side
    steps = [(3 * net["r"] ** 2, c[0] * maps)]
    kept = c[0] * maps if c[0] == c[1] else 0
    steps += [(c[0] * maps, c[0] * maps), (kept, c[0] * maps, c[1] * maps)]
    c_in, i = c[1], 0
    for g, stride in enumerate((2, 2, 2, 1, 2)):
        for j in range(net["d"][g]):
            mid, out = divisible(c_in * net["e"][i]), half(side) if j == 0 and stride == 2 else side
            x, expanded, filtered, y = c_in * side**2, mid * side**2, mid * out**2, c[g + 2] * out**2
            kept = x if out == side and c_in == c[g + 2] else 0
            steps += [(x, expanded), (kept, expanded, filtered), (kept, filtered, y)]
            side, c_in, i = out, c[g + 2], i + 1
    steps += [(c_in * side**2, c[7] * side**2), (c[7], c[8]), (c[8], 1000)]
    return alive(steps)


def test_against_a_walk_through_the_network():
    space = plugins.find("search_spaces", "mbv3")(resolutions=[31, 64, 224])
    X = space.sample(200, np.random.default_rng(3))
    memory, params = (plugins.find("cost_models", name)(space)(X) for name in ("memory", "params"))
    expected = [4 * (p + peak_by_hand(space.describe(a))) for p, a in zip(params, as_architectures(X), strict=True)]
    assert memory.tolist() == expected


def test_the_peak_of_the_smallest_network_by_hand():
    """At 256 pixels it is the first expansion of stage 1: 16 channels of 128 x 128 become 48."""
    space = plugins.find("search_spaces", "mbv3")(resolutions=[256], widths=[1.0])
    memory, params = (plugins.find("cost_models", name)(space) for name in ("memory", "params"))
    X = np.array([space.parse("000" + "1100" * 5)])
    assert memory(X) - 4 * params(X) == 4 * (16 + 48) * 128**2


def test_lite_says_its_peaks_too():
    space = plugins.find("search_spaces", "lite")(resolutions=[64, 128], weights="none")
    X = space.sample(20, np.random.default_rng(0))
    memory, params = (plugins.find("cost_models", name)(space)(X) for name in ("memory", "params"))
    largest = 4 * max(operator.peak for operator in space.operators)
    assert (memory > 4 * params).all()
    assert (memory <= 4 * params + largest).all()


def test_a_space_that_does_not_say_them():
    class Space:
        variables = (Variable("a", (1, 2)),)
        operators = (Operator("linear", 4, 4),)

        def canonicalize(self, X):
            return X

        def sample(self, n, rng):
            return rng.integers(0, 2, (n, 1))

        def describe(self, architecture):
            return {"architecture": str(architecture)}

        def parse(self, text_or_dict):
            return text_or_dict

        def layers(self, X):
            return np.zeros_like(X)

    with pytest.raises(ConfigError, match="peak of activations, and those of Space do not"):
        plugins.find("cost_models", "memory")(Space())
