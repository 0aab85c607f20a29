"""The contract tests of nat over the example's parts."""

from __future__ import annotations

import nat_example
import pytest

testing = pytest.importorskip("nat_core.testing")


class TestNearest(testing.SurrogateContract):  # type: ignore[misc,name-defined]
    """The surrogate."""

    @pytest.fixture
    def surrogate(self) -> nat_example.Nearest:
        """As a run makes it by default."""
        return nat_example.nearest(nat_example.mlp())


class TestPerceptrons(testing.SearchSpaceContract):  # type: ignore[misc,name-defined]
    """The search space."""

    @pytest.fixture
    def space(self) -> nat_example.PerceptronSpace:
        """As a run on the digits makes it."""
        return nat_example.mlp()


class TestNeighbours(testing.OptimizerContract):  # type: ignore[misc,name-defined]
    """The optimizer."""

    @pytest.fixture
    def optimizer(self) -> nat_example.Neighbours:
        """As a run makes it by default."""
        return nat_example.neighbours(nat_example.mlp())


class TestWeight(testing.CostModelContract):  # type: ignore[misc,name-defined]
    """The cost model."""

    @pytest.fixture
    def space(self) -> nat_example.PerceptronSpace:
        """What it prices."""
        return nat_example.mlp()

    @pytest.fixture
    def cost_model(self, space: nat_example.PerceptronSpace) -> object:
        """As `nat cost` makes it."""
        return nat_example.weight_mb(space)
