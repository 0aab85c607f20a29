"""What holds for every plugin of a kind, as tests: subclass a contract, give it the fixture that it names, run pytest.

    class TestMine(SurrogateContract):
        @pytest.fixture
        def surrogate(self, space):
            return my_plugin.mine(space)

`space` is a small space made for this; override it to test on your own.
"""

# ruff: noqa: S101, D102 - asserts are what tests are made of, and a test's name is its docstring

from __future__ import annotations

import json
import math
import random
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from nat_core.answering import answer
from nat_core.archive import Archive, Evaluation
from nat_core.config import resolve
from nat_core.contracts import (
    Baseline,
    CostModel,
    DirectOptimizer,
    Evaluator,
    Executor,
    FineTuner,
    Function,
    OperatorSpace,
    Optimizer,
    Pretrainer,
    ResumableFineTuner,
    ResumablePretrainer,
    SearchSpace,
    Spent,
    Split,
    StaticNetwork,
    Surrogate,
    Task,
    UncertainFunction,
)
from nat_core.encoding import (
    Architecture,
    Encodings,
    Objectives,
    Values,
    Variable,
    as_architectures,
    everything,
    new_rows,
    random_encodings,
    sizes,
)
from nat_core.errors import ConfigError, NatError
from nat_core.run import Run, build, find_parts, identity_of, recipe

__all__ = [
    "BaselineContract",
    "CostModelContract",
    "DirectOptimizerContract",
    "EvaluatorContract",
    "ExecutorContract",
    "FineTunerContract",
    "OptimizerContract",
    "SearchSpaceContract",
    "SmallProblem",
    "SmallSpace",
    "SurrogateContract",
]

_TEXT = re.compile(r"\d(-\d)*")


@dataclass(frozen=True)
class SmallSpace:
    """1,320 networks of six variables; where the first is 0, the last makes no difference."""

    variables: tuple[Variable, ...] = tuple(
        Variable(name, tuple(range(n))) for name, n in zip("abcdef", (3, 5, 2, 4, 3, 5), strict=True)
    )

    def canonicalize(self, X: Encodings) -> Encodings:
        """Where the first variable is 0, the last is too."""
        X = X.copy()
        X[X[:, 0] == 0, -1] = 0
        return X

    def sample(self, n: int, rng: np.random.Generator) -> Encodings:
        """Uniform over the choices, made canonical."""
        return self.canonicalize(random_encodings(self.variables, n, rng))

    def describe(self, architecture: Architecture) -> dict[str, object]:
        """The canonical choice indices, with dashes between."""
        return {"architecture": "-".join(map(str, architecture))}

    def parse(self, text_or_dict: object) -> Architecture:
        """Read what `describe` wrote, its dictionary, or choice indices."""
        given = text_or_dict.get("architecture") if isinstance(text_or_dict, dict) else text_or_dict
        found = tuple(map(int, given.split("-"))) if isinstance(given, str) and _TEXT.fullmatch(given) else given
        choices = sizes(self.variables).tolist()
        if isinstance(found, tuple) and len(found) == len(choices) and all(map(_within, found, choices)):
            return found
        raise ConfigError(f"{given!r} is no architecture of this space: write it as 0-1-0-2-1-3")


@dataclass(frozen=True)
class SmallProblem:
    """Formulas that pull apart on any space, and a bound on the first: what an optimizer sees, predicted or measured.

    As many objectives as names: the first two are each other's opposites, every further one has a best row of its own.
    """

    space: SearchSpace
    bound: float = np.inf
    names: tuple[str, ...] = ("small", "large")
    asked: list[int] = field(default_factory=list)

    def F(self, X: Encodings) -> Objectives:
        """All objectives, (n, n_objectives)."""
        self._require(X)
        self.asked.append(len(X))
        share = self._share(X)
        weight = np.linspace(1, 2, X.shape[1])
        best = 0.5 + 0.5 * np.cos(np.outer(np.arange(2, len(self.names)), np.arange(X.shape[1])))
        further = (share[:, None] - best) ** 2 @ weight
        return np.column_stack([self._small(X), (1 - share) ** 2 @ weight[::-1], further])[:, : len(self.names)]

    def violation(self, X: Encodings, F: Objectives) -> Values:
        """How far each row is outside the bound, (n,)."""
        assert F.shape == (len(X), len(self.names))
        return np.maximum(F[:, 0] - self.bound, 0.0)

    def cost_violation(self, X: Encodings) -> Values:
        """The same, without a measurement: the first objective is a cost."""
        self._require(X)
        return np.maximum(self._small(X) - self.bound, 0.0)

    def measured(self, X: Encodings) -> Archive:
        """An archive that holds the rows X, measured as predicted."""
        F = self.F(X)
        rows = zip(as_architectures(X), F.tolist(), self.violation(X, F).tolist(), strict=True)
        return Archive(self.names).extend(Evaluation(a, tuple(f), 0, 0, violation=v) for a, f, v in rows)

    def failed(self, X: Encodings) -> Archive:
        """An archive that holds the rows X, none of which could be measured."""
        rows = as_architectures(X)
        return Archive(self.names).extend(
            Evaluation(a, None, 0, 0, violation=np.inf, failure="out of memory") for a in rows
        )

    def _small(self, X: Encodings) -> Values:
        small: Values = self._share(X) @ np.linspace(1, 2, X.shape[1])
        return small

    def _share(self, X: Encodings) -> Objectives:
        """Every choice as a share of its variable's largest, (n, n_variables)."""
        return X / np.maximum(sizes(self.space.variables) - 1, 1)

    def _require(self, X: Encodings) -> None:
        assert X.dtype.kind == "i"
        assert ((X >= 0) & (sizes(self.space.variables) > X)).all(), "an optimizer asked for a row outside the space"
        assert (self.space.canonicalize(X) == X).all(), "an optimizer asked for a row that is not canonical"


@dataclass(frozen=True)
class _Flat(SmallProblem):
    """Every row is worth the same."""

    def F(self, X: Encodings) -> Objectives:
        """One value for all, (n, n_objectives)."""
        return np.full_like(super().F(X), 7.0)


class _OnSmallSpace:
    """Gives the fixture `space`."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        """Where rows come from."""
        return SmallSpace()


class SearchSpaceContract:
    """Needs the fixture `space`."""

    def test_variables_have_distinct_names_and_choices(self, space: SearchSpace) -> None:
        names = [v.name for v in space.variables]
        assert names
        assert len(set(names)) == len(names)
        assert all(len(v.choices) >= 1 for v in space.variables)

    def test_canonical_rows_are_rows_of_the_space_and_stay_as_they_are(self, space: SearchSpace) -> None:
        X = random_encodings(space.variables, 200, np.random.default_rng(0))
        before = X.copy()
        canonical = space.canonicalize(X)
        _require_rows(space, canonical, 200)
        assert (space.canonicalize(canonical) == canonical).all()
        assert (before == X).all(), "canonicalize changed its argument"

    def test_a_row_is_made_canonical_whatever_stands_beside_it(self, space: SearchSpace) -> None:
        X = random_encodings(space.variables, 20, np.random.default_rng(1))
        together = space.canonicalize(X)
        assert all((space.canonicalize(X[i : i + 1])[0] == together[i]).all() for i in range(len(X)))

    def test_the_corners_are_rows_of_the_space(self, space: SearchSpace) -> None:
        choices = sizes(space.variables)
        _require_rows(space, space.canonicalize(np.stack([np.zeros_like(choices), choices - 1])), 2)

    def test_samples_are_canonical_and_follow_the_generator_alone(self, space: SearchSpace) -> None:
        with _nothing_global_changes():
            X = space.sample(100, np.random.default_rng(3))
        _require_rows(space, X, 100)
        assert (space.canonicalize(X) == X).all()
        assert (space.sample(100, np.random.default_rng(3)) == X).all()
        assert (space.sample(100, np.random.default_rng(4)) != X).any()

    def test_no_rows(self, space: SearchSpace) -> None:
        _require_rows(space, space.sample(0, np.random.default_rng(0)), 0)
        _require_rows(space, space.canonicalize(random_encodings(space.variables, 0, np.random.default_rng(0))), 0)

    def test_parse_is_the_inverse_of_describe(self, space: SearchSpace) -> None:
        for architecture in as_architectures(space.sample(20, np.random.default_rng(0))):
            described = space.describe(architecture)
            assert isinstance(described["architecture"], str)
            kept = json.loads(json.dumps(described, allow_nan=False))
            for form in (described, kept, described["architecture"], architecture):
                parsed = space.parse(form)
                assert parsed == architecture, form
                assert all(type(i) is int for i in parsed)

    def test_different_networks_have_different_names(self, space: SearchSpace) -> None:
        X = new_rows(space.sample(200, np.random.default_rng(0)))
        assert len({space.describe(a)["architecture"] for a in as_architectures(X)}) == len(X)

    def test_nonsense_is_a_config_error(self, space: SearchSpace) -> None:
        n = len(space.variables)
        nonsense: list[object] = ["", "no such network", -1, None, 0.5, {}, {"architecture": None}, [], [0] * (n + 1)]
        for given in [*nonsense, [10**6] * n, [-1] * n, ["x"] * n, [None] * n, b"\0", object()]:
            with pytest.raises(ConfigError):
                space.parse(given)

    def test_layers_are_operators(self, space: SearchSpace) -> None:
        if not isinstance(space, OperatorSpace):
            pytest.skip("this space is not made of operators")
        names = [o.name for o in space.operators]
        assert len(set(names)) == len(names)
        assert all(o.macs >= 0 and o.params >= 0 for o in space.operators)
        layers = space.layers(space.sample(100, np.random.default_rng(0)))
        assert len(layers) == 100
        assert layers.min() >= -1
        assert layers.max() < len(names)


class CostModelContract(_OnSmallSpace):
    """Needs the fixture `cost_model`; override `space` where the model does not fit the small one."""

    def test_a_value_for_every_row(self, space: SearchSpace, cost_model: CostModel) -> None:
        for n in (0, 1, 1000):
            y = cost_model(space.sample(n, np.random.default_rng(n)))
            assert np.shape(y) == (n,)
            assert np.asarray(y).dtype.kind in "fi"
            assert np.isfinite(y).all()

    def test_a_cost_belongs_to_its_row_alone(self, space: SearchSpace, cost_model: CostModel) -> None:
        X = space.sample(30, np.random.default_rng(0))
        y = cost_model(X)
        assert [cost_model(X[i : i + 1])[0] for i in range(len(X))] == pytest.approx(list(y), rel=1e-12)
        assert list(cost_model(X[::-1])) == pytest.approx(list(y[::-1]), rel=1e-12)

    def test_asking_changes_nothing(self, space: SearchSpace, cost_model: CostModel) -> None:
        X = space.sample(30, np.random.default_rng(0))
        before = X.copy()
        with _nothing_global_changes():
            y = np.array(cost_model(X))
        assert (before == X).all()
        assert (cost_model(X) == y).all()


def _uncertain(function: object) -> UncertainFunction:
    if not isinstance(function, UncertainFunction):
        pytest.skip("it does not say how far it may be wrong")
    return function


class SurrogateContract(_OnSmallSpace):
    """Needs the fixture `surrogate`; override `space` where it was made for another than the small one."""

    def test_a_prediction_for_every_row(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, y = _smooth(space, 40)
        function = surrogate.fit(X, y)
        for n in (0, 1, 300):
            _require_finite(function(space.sample(n, np.random.default_rng(n + 1))), n)

    def test_it_learns(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, y = _smooth(space, 100)
        known = X[:70]
        assert np.corrcoef(surrogate.fit(known, y[:70])(X[70:]), y[70:])[0, 1] > 0.3

    @pytest.mark.parametrize("scale", [1e-300, 1e-6, 1e9, 1e300])
    def test_the_unit_makes_no_difference(self, space: SearchSpace, surrogate: Surrogate, scale: float) -> None:
        X, y = _smooth(space, 60)
        predicted = surrogate.fit(X[:40], y[:40] * scale)(X[40:])
        _require_finite(predicted, 20)
        assert np.corrcoef(predicted / scale, y[40:])[0, 1] > 0.1

    @pytest.mark.parametrize("n", [1, 2, 3, 5])
    def test_few_measurements(self, space: SearchSpace, surrogate: Surrogate, n: int) -> None:
        X, y = _smooth(space, n)
        _require_finite(surrogate.fit(X, y)(space.sample(50, np.random.default_rng(9))), 50)

    def test_a_constant_is_predicted_as_it_is(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, _ = _smooth(space, 20)
        predicted = surrogate.fit(X, np.full(20, 7.0))(space.sample(50, np.random.default_rng(9)))
        assert predicted == pytest.approx(np.full(50, 7.0), rel=0.05)

    def test_variables_that_never_varied(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, y = _smooth(space, 40)
        X[:, 1:] = X[0, 1:]
        _require_finite(surrogate.fit(X, y)(space.sample(50, np.random.default_rng(9))), 50)

    def test_the_same_row_with_different_values(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, y = _smooth(space, 10)
        function = surrogate.fit(np.vstack([X, X, X]), np.concatenate([y, y + 1, y]))
        _require_finite(function(space.sample(50, np.random.default_rng(9))), 50)
        _require_finite(surrogate.fit(X[[0] * 8], np.arange(8.0))(X), len(X))

    def test_the_same_measurements_give_the_same_predictions(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, y = _smooth(space, 40)
        rows = space.sample(50, np.random.default_rng(9))
        with _nothing_global_changes():
            first = np.array(surrogate.fit(X, y)(rows))
        np.random.seed(5)  # noqa: NPY002 - what else a process draws is not the surrogate's business
        surrogate.fit(X[::-1], -y[::-1])
        assert (surrogate.fit(X, y)(rows) == first).all()

    def test_a_prediction_belongs_to_its_row_alone(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, y = _smooth(space, 40)
        function = surrogate.fit(X, y)
        rows = space.sample(10, np.random.default_rng(9))
        together = function(rows)
        alone = [function(rows[i : i + 1])[0] for i in range(len(rows))]
        assert alone == pytest.approx(list(together), rel=1e-6, abs=1e-6 * np.ptp(y))

    def test_a_fitted_function_stays_as_it_is(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, y = _smooth(space, 40)
        rows = space.sample(50, np.random.default_rng(9))
        function: Function = surrogate.fit(X, y)
        first = np.array(function(rows))
        surrogate.fit(X, -y)
        assert (function(rows) == first).all()

    def test_hopes_are_predictions_less_what_is_unsure(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, y = _smooth(space, 40)
        function, rows = _uncertain(surrogate.fit(X[:25], y[:25])), space.sample(50, np.random.default_rng(9))
        near = 1e-6 * np.ptp(y)
        assert function.at_best(rows, 0.0) == pytest.approx(list(function(rows)), rel=1e-6, abs=near)
        for deviations in (0.5, 1.0, 3.0):
            hoped = function.at_best(rows, deviations)
            _require_finite(hoped, 50)
            assert (hoped <= function(rows) + near).all()
            together = function.believe(rows).at_best(deviations)
            assert together == pytest.approx(list(hoped), rel=1e-4, abs=1e-4 * np.ptp(y))
        assert len(function.at_best(rows[:0], 1.0)) == 0

    def test_what_is_known_leaves_less_to_hope_for(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, y = _smooth(space, 40)
        function = _uncertain(surrogate.fit(X[:25], y[:25]))
        belief = function.believe(X[25:])
        before = belief.at_best(1.0)
        for row in (0, 3):
            after = belief.knowing(row).at_best(1.0)
            _require_finite(after, len(X[25:]))
            assert (after >= before - 1e-6 * np.ptp(y)).all()
        assert (belief.at_best(1.0) == before).all()

    def test_its_arguments_stay_as_they_are(self, space: SearchSpace, surrogate: Surrogate) -> None:
        X, y = _smooth(space, 30)
        before, values = X.copy(), y.copy()
        surrogate.fit(X, y)(X)
        assert (before == X).all()
        assert (y == values).all()


class OptimizerContract(_OnSmallSpace):
    """Needs the fixture `optimizer`; override `space` where it was made for another than the small one."""

    def rows(self, optimizer: Optimizer, problem: SmallProblem, archive: Archive, n: int, seed: int = 7) -> Encodings:
        """What the tests look at: `n` rows that the optimizer proposes."""
        return optimizer.propose(problem, archive, n, np.random.default_rng(seed))

    def test_rows_are_canonical_distinct_and_new(self, space: SearchSpace, optimizer: Optimizer) -> None:
        problem, archive = _begun(space)
        X = self.rows(optimizer, problem, archive, 8)
        _require_new(space, X, 8, archive)

    def test_it_begins_without_an_archive(self, space: SearchSpace, optimizer: Optimizer) -> None:
        problem = SmallProblem(space)
        archive = Archive(problem.names)
        _require_new(space, self.rows(optimizer, problem, archive, 5), 5, archive)

    def test_no_rows_on_demand(self, space: SearchSpace, optimizer: Optimizer) -> None:
        _require_rows(space, self.rows(optimizer, *_begun(space), 0), 0)

    def test_the_generator_alone_decides(self, space: SearchSpace, optimizer: Optimizer) -> None:
        problem, archive = _begun(space)
        with _nothing_global_changes():
            first = self.rows(optimizer, problem, archive, 6)
        np.random.seed(5)  # noqa: NPY002 - what else a process draws is not the optimizer's business
        self.rows(optimizer, problem, problem.measured(archive.X[:7]), 3, seed=8)
        assert (self.rows(optimizer, problem, archive, 6) == first).all(), "it kept something from before"

    def test_what_failed_is_not_proposed_again(self, space: SearchSpace, optimizer: Optimizer) -> None:
        problem, archive = _begun(space)
        failed = problem.failed(self.rows(optimizer, problem, archive, 6))
        known = archive.extend(failed)
        _require_new(space, self.rows(optimizer, problem, known, 6), 6, known)

    def test_constraints_are_kept_where_rows_allow_it(self, space: SearchSpace, optimizer: Optimizer) -> None:
        problem, archive = _begun(space, share=0.5)
        X = self.rows(optimizer, problem, archive, 3)
        assert (problem.cost_violation(X) == 0).all()

    def test_rows_that_keep_the_constraints_come_first(self, space: SearchSpace, optimizer: Optimizer) -> None:
        problem, archive = _begun(space, share=0.2)
        X = self.rows(optimizer, problem, archive, 40)
        _require_new(space, X, 40, archive)
        broken = problem.cost_violation(X) > 0
        assert (broken == np.sort(broken)).all()

    def test_the_archive_stays_as_it_is(self, space: SearchSpace, optimizer: Optimizer) -> None:
        problem, archive = _begun(space)
        before = archive.evaluations
        self.rows(optimizer, problem, archive, 4)
        assert archive.evaluations is before
        assert archive == problem.measured(archive.X)

    @pytest.mark.parametrize("n_objectives", [1, 2, 3, 5, 12])
    def test_any_number_of_objectives(self, space: SearchSpace, optimizer: Optimizer, n_objectives: int) -> None:
        problem, archive = _begun(space, share=0.7, n_objectives=n_objectives)
        X = self.rows(optimizer, problem, archive, 4)
        _require_new(space, X, 4, archive)
        assert (problem.cost_violation(X) == 0).all()

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_few_archive_rows_are_enough(self, space: SearchSpace, optimizer: Optimizer, n: int) -> None:
        problem = SmallProblem(space)
        archive = problem.measured(new_rows(space.sample(50, np.random.default_rng(0)))[:n])
        _require_new(space, self.rows(optimizer, problem, archive, 4), 4, archive)

    def test_an_archive_of_failures(self, space: SearchSpace, optimizer: Optimizer) -> None:
        problem, archive = _begun(space)
        archive = problem.failed(archive.X)
        _require_new(space, self.rows(optimizer, problem, archive, 4), 4, archive)

    def test_constraints_that_nothing_keeps(self, space: SearchSpace, optimizer: Optimizer) -> None:
        problem, archive = _begun(space, share=-1.0)
        assert (archive.violation > 0).all()
        _require_new(space, self.rows(optimizer, problem, archive, 4), 4, archive)

    @pytest.mark.parametrize("n_objectives", [2, 5])
    def test_objectives_that_are_constant(self, space: SearchSpace, optimizer: Optimizer, n_objectives: int) -> None:
        problem = _Flat(space, names=_names(n_objectives))
        archive = problem.measured(new_rows(space.sample(30, np.random.default_rng(99))))
        _require_new(space, self.rows(optimizer, problem, archive, 4), 4, archive)

    @pytest.mark.parametrize("left", [0, 1, 5, 6])
    def test_a_space_that_is_nearly_known(self, space: SearchSpace, optimizer: Optimizer, left: int) -> None:
        listed = everything(space.variables)
        if listed is None:
            pytest.skip("this space is too large to be listed")
        problem = SmallProblem(space)
        X = np.random.default_rng(1).permutation(new_rows(space.canonicalize(listed)))
        archive = problem.measured(X[left : left + 20]).extend(problem.failed(X[left + 20 :]))
        _require_new(space, self.rows(optimizer, problem, archive, 5), min(left, 5), archive)


class DirectOptimizerContract(OptimizerContract):
    """All of the same for `ask`: needs the fixture `optimizer`; skipped where that can only `propose`."""

    def rows(self, optimizer: Optimizer, problem: SmallProblem, archive: Archive, n: int, seed: int = 7) -> Encodings:
        """What the tests look at: `n` rows that the optimizer asks for. Nothing is predicted meanwhile."""
        if not isinstance(optimizer, DirectOptimizer):
            pytest.skip("this optimizer has no `ask`: it searches with a surrogate alone")
        before = len(problem.asked)
        X = optimizer.ask(problem, archive, n, np.random.default_rng(seed))
        assert len(problem.asked) == before, "it asked for objectives that nobody has measured"
        return X


class BaselineContract(_OnSmallSpace):
    """Needs the fixture `baseline`, made for `space`."""

    @pytest.mark.parametrize("n_objectives", [2, 3])
    def test_it_asks_until_its_budget_is_spent(self, space: SearchSpace, baseline: Baseline, n_objectives: int) -> None:
        assert len(_spend(space, baseline, 60, n_objectives)) == 60, "it ended by itself"

    def test_the_seed_alone_decides(self, space: SearchSpace, baseline: Baseline) -> None:
        with _nothing_global_changes():
            first = _spend(space, baseline, 40)
        np.random.seed(5)  # noqa: NPY002 - what else a process draws is not the baseline's business
        assert _spend(space, baseline, 40) == first, "it kept something, or drew from elsewhere"
        assert _spend(space, baseline, 40, seed=1) != first

    @pytest.mark.parametrize("every", [1, 4])
    def test_failed_measurements_do_not_stop_it(self, space: SearchSpace, baseline: Baseline, every: int) -> None:
        assert len(_spend(space, baseline, 40, failing=every)) == 40, "it ended by itself"


class PretrainerContract:
    """Needs the fixture `make`: whenever it is called, it gives the same new pretrainer, of two epochs at least."""

    def test_every_epoch_has_a_phase(self, make: Callable[[], Pretrainer]) -> None:
        pretrainer = make()
        assert pretrainer.epochs >= 2
        assert all(isinstance(pretrainer.phase(epoch), str) for epoch in range(pretrainer.epochs))

    def test_what_is_saved_is_the_whole_state(self, make: Callable[[], Pretrainer], tmp_path: Path) -> None:
        first, second = make(), make()
        files = [tmp_path / name for name in ("begun", "on", "on_again")]
        with _nothing_global_changes():
            assert math.isfinite(first.train(0, _silent))
            first.save(files[0])
            first.train(1, _silent)
            first.save(files[1])
            second.load(files[0])
            second.train(1, _silent)
            second.save(files[2])
        begun, on, again = (file.read_bytes() for file in files)
        assert begun != on
        assert on == again
        assert first.measure() == second.measure()

    def test_cut_short_it_comes_to_the_same(self, make: Callable[[], Pretrainer], tmp_path: Path) -> None:
        """Plain, with a checkpoint that holds nothing, and from every state that it then offers."""
        _cut_short(make, tmp_path)

    def test_errors_have_names(self, make: Callable[[], Pretrainer]) -> None:
        errors = make().measure()
        assert errors
        assert all(isinstance(name, str) and math.isfinite(value) for name, value in errors.items())


def _cut_short(make: Callable[[], Pretrainer] | Callable[[], FineTuner], tmp_path: Path) -> None:
    """That an epoch comes to the same loss and file however often it was cut short."""
    whole, kept = make(), _Kept()
    if not isinstance(whole, ResumablePretrainer | ResumableFineTuner):
        pytest.skip("it does not go on in the middle of an epoch")
    losses, files = [whole.train(0, _silent)], [tmp_path / "whole"]
    whole.save(files[0])
    checkpoints = [kept]
    for checkpoint in checkpoints:
        again = make()
        assert isinstance(again, ResumablePretrainer | ResumableFineTuner)
        losses.append(again.train_resumably(0, _silent, checkpoint))
        files.append(tmp_path / str(len(files)))
        again.save(files[-1])
        checkpoints += [_Kept(state) for state in kept.states] if checkpoint is kept else []
    assert len(set(losses)) == 1
    assert len({file.read_bytes() for file in files}) == 1


class FineTunerContract:
    """Needs the fixture `make`: each call gives the same new fine-tuner, of two epochs at least, that has begun."""

    def test_what_is_saved_is_the_whole_state(self, make: Callable[[], FineTuner], tmp_path: Path) -> None:
        first, second = make(), make()
        assert first.epochs >= 2
        files = [tmp_path / name for name in ("new", "begun", "on", "on_again")]
        with _nothing_global_changes():
            first.save(files[0])
            assert math.isfinite(first.train(0, _silent))
            first.save(files[1])
            first.train(1, _silent)
            first.save(files[2])
            second.load(files[1])
            second.train(1, _silent)
            second.save(files[3])
        new, begun, on, again = (file.read_bytes() for file in files)
        assert len({new, begun, on}) == 3
        assert on == again

    def test_cut_short_it_comes_to_the_same(self, make: Callable[[], FineTuner], tmp_path: Path) -> None:
        """Plain, with a checkpoint that holds nothing, and from every state that it then offers."""
        _cut_short(make, tmp_path)

    def test_the_network_is_the_one_that_learns(self, make: Callable[[], FineTuner], tmp_path: Path) -> None:
        tuner = make()
        before = {name: tensor.clone() for name, tensor in tuner.network.state_dict().items()}
        tuner.save(tmp_path / "before")
        tuner.train(0, _silent)
        assert not tuner.network.training
        assert any(bool((tensor != before[name]).any()) for name, tensor in tuner.network.state_dict().items())
        tuner.load(tmp_path / "before")
        assert all(bool((tensor == before[name]).all()) for name, tensor in tuner.network.state_dict().items())


class EvaluatorContract:
    """Needs the fixtures `evaluator`, `network` and `split`: a network that the evaluator can measure, and pictures."""

    def test_errors_have_names(self, evaluator: Evaluator, network: StaticNetwork, split: Split) -> None:
        errors = evaluator(network, split)
        assert errors
        assert all(isinstance(name, str) and math.isfinite(value) for name, value in errors.items())

    def test_the_network_stays_as_it_is(self, evaluator: Evaluator, network: StaticNetwork, split: Split) -> None:
        before = {name: tensor.clone() for name, tensor in network.network.state_dict().items()}
        with _nothing_global_changes():
            first = evaluator(network, split)
        after = network.network.state_dict()
        assert before.keys() == after.keys()
        assert all(bool((tensor == before[name]).all()) for name, tensor in after.items())
        assert evaluator(network, split) == first

    def test_nothing_to_measure_on(self, evaluator: Evaluator, network: StaticNetwork, split: Split) -> None:
        with pytest.raises(ConfigError):
            evaluator(network, Split(split.images[:0], split.labels[:0]))


class ExecutorContract:
    """Of an `executor`, on costs of the space `mbv3`."""

    @pytest.fixture
    def run(self) -> Run:
        """A run whose measurements take no time."""
        words = {"space": "mbv3", "objectives": ("macs", "params"), "surrogate": "none", "optimizer": "random"}
        return build(find_parts(resolve(None, None, words, [])), Path())

    @pytest.fixture
    def tasks(self, run: Run) -> list[Task]:
        """Some networks to measure."""
        X = run.space.sample(9, np.random.default_rng(0))
        return [Task(architecture, {}) for architecture in as_architectures(X)]

    def test_it_has_a_width(self, executor: Executor) -> None:
        assert executor.width >= 1

    def test_every_task_is_answered_once_as_it_is_here(self, run: Run, tasks: list[Task], executor: Executor) -> None:
        expected = {i: answer(run.problem, task) for i, task in enumerate(tasks)}
        with executor.crew(recipe(run, identity_of(run))) as crew:
            for n in (len(tasks), 1, 0, len(tasks)):
                found = list(crew.do(tasks[:n]))
                assert sorted(number for number, _ in found) == list(range(n))
                for number, got in found:
                    assert (got.values, got.violation) == (expected[number].values, expected[number].violation)
                    assert (dict(got.reasons), got.attempts) == ({}, 1)

    def test_what_nobody_waits_for_any_longer_is_not_answered(
        self, run: Run, tasks: list[Task], executor: Executor
    ) -> None:
        with executor.crew(recipe(run, identity_of(run))) as crew:
            next(iter(crew.do(tasks)))
            (found,) = crew.do(tasks[-1:])
        assert found[0] == 0
        assert found[1].values == answer(run.problem, tasks[-1]).values

    def test_another_space_is_refused(self, run: Run, tasks: list[Task], executor: Executor) -> None:
        other = recipe(run, identity_of(run))
        other["identity"] |= {"space": "0" * 64}
        with pytest.raises(NatError, match="the space of this run changed"), executor.crew(other) as crew:
            list(crew.do(tasks))


class _Kept:
    """A checkpoint that keeps every state."""

    def __init__(self, begin: bytes | None = None) -> None:
        self.begin, self.states = begin, list[bytes]()

    def load(self) -> bytes | None:
        return self.begin

    def offer(self, state: Callable[[], bytes], done: int, total: int) -> None:
        assert 0 < done < total
        self.states.append(state())


def _silent(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


def _spend(
    space: SearchSpace, baseline: Baseline, n: int, n_objectives: int = 2, seed: int = 0, failing: int = 0
) -> list[Architecture]:
    """What a baseline measures with a budget of `n`, in its order; each `failing`th measurement fails."""
    problem = SmallProblem(space)
    F = dict[Architecture, list[float]]()

    def evaluate(X: Encodings) -> Objectives:
        _require_rows(space, X, len(X))
        return np.array([row(a) for a in as_architectures(space.canonicalize(X))]).reshape(len(X), n_objectives)

    def row(architecture: Architecture) -> list[float]:
        if architecture not in F:
            if len(F) >= n:
                raise Spent
            values = [*problem.F(np.array([architecture]))[0].tolist(), float(sum(architecture) % 3)][:n_objectives]
            fails = failing and len(F) % failing == 0
            F[architecture] = [np.nan] * n_objectives if fails else values
        return F[architecture]

    names = (*problem.names, "third")[:n_objectives]
    with suppress(Spent):
        baseline.search(evaluate, names, n, seed)
    return list(F)


def _require_rows(space: SearchSpace, X: Encodings, n: int) -> None:
    assert X.shape == (n, len(space.variables))
    assert X.dtype == np.int64
    assert ((X >= 0) & (sizes(space.variables) > X)).all()


def _require_new(space: SearchSpace, X: Encodings, n: int, archive: Archive) -> None:
    """`n` rows as an optimizer promises them."""
    _require_rows(space, X, n)
    assert (space.canonicalize(X) == X).all()
    assert len(new_rows(X, archive.architectures)) == n


def _require_finite(y: Values, n: int) -> None:
    assert np.shape(y) == (n,)
    assert np.isfinite(y).all()


def _smooth(space: SearchSpace, n: int) -> tuple[Encodings, Values]:
    """Distinct rows, and an objective of them that is worth learning."""
    X = new_rows(space.sample(20 * n, np.random.default_rng(0)))[:n]
    return X, SmallProblem(space).F(X)[:, 1]


def _names(n_objectives: int) -> tuple[str, ...]:
    return tuple(f"objective {i}" for i in range(n_objectives))


def _begun(space: SearchSpace, share: float = 1.0, n_objectives: int = 2) -> tuple[SmallProblem, Archive]:
    """A problem whose bound such a share of the space's sample keeps (negative: nothing does), and an archive."""
    small = SmallProblem(space).F(space.sample(300, np.random.default_rng(1)))[:, 0]
    bound = np.inf if share == 1 else float(np.quantile(small, share)) if share >= 0 else -1.0
    problem = SmallProblem(space, bound, _names(n_objectives))
    return problem, problem.measured(space.sample(30, np.random.default_rng(99)))


@contextmanager
def _nothing_global_changes() -> Iterator[None]:
    """The global random numbers of Python and numpy are the same before and after."""
    before = random.getstate(), _key()
    yield
    after = random.getstate(), _key()
    assert before == after, "it drew from the global random numbers: use the generator that is passed"


def _key() -> str:
    """The state of numpy's global generator."""
    with np.printoptions(threshold=sys.maxsize):
        return repr(np.random.get_state(legacy=False))  # noqa: NPY002


def _within(index: object, choices: int) -> bool:
    return type(index) is int and 0 <= index < choices
