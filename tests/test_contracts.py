"""The contract tests of `nat_core.testing`: over every registered plugin, and over some that break them."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
import toyrun

from nat_core.contracts import OperatorSpace
from nat_core.encoding import new_rows, random_encodings
from nat_core.options import options
from nat_core.plugins import load
from nat_core.testing import (
    CostModelContract,
    DirectOptimizerContract,
    ExecutorContract,
    OptimizerContract,
    SearchSpaceContract,
    SmallSpace,
    SurrogateContract,
)

OFFERS = load().offers


def all_of(kind):
    """Every plugin of a kind, by the name and the distribution that a run would name it by."""
    offers = [o for o in OFFERS if o.kind == kind and o.factory is not None]
    return pytest.mark.parametrize("offer", offers, ids=[f"{o.distribution}:{o.name}" for o in offers])


def made(offer, *context, **smaller):
    """What a factory makes of its defaults, with smaller budgets where it has such options."""
    schema = options(offer.factory)
    if needed := [name for name, option in schema.items() if option.default is inspect.Parameter.empty]:
        pytest.skip(f"{offer.name} needs {', '.join(needed)}")
    return offer.factory(*context, **{name: value for name, value in smaller.items() if name in schema})


def operator_space():
    """The first registered space that is made of operators."""
    spaces = (made(o) for o in OFFERS if o.kind == "search_spaces" and o.factory is not None)
    return next(space for space in spaces if isinstance(space, OperatorSpace))


@all_of("search_spaces")
class TestSearchSpaces(SearchSpaceContract):
    @pytest.fixture
    def space(self, offer):
        return made(offer)


class TestSmallSpace(SearchSpaceContract):
    @pytest.fixture
    def space(self):
        return SmallSpace()


@all_of("cost_models")
class TestCostModels(CostModelContract):
    @pytest.fixture
    def space(self):
        return operator_space()

    @pytest.fixture
    def cost_model(self, offer, space):
        return made(offer, space)


@all_of("executors")
class TestExecutors(ExecutorContract):
    @pytest.fixture
    def executor(self, offer):
        return made(offer)


SMALLER = {
    "rbf": {"members": 50},
    "mlp": {"networks": 2},
    "cart": {"trees": 30},
    "forest": {"trees": 30},
    "boosting": {"rounds": 60},
    "adaptive": {"members": ("rbf-single", "ridge")},
}


@all_of("surrogates")
class TestSurrogates(SurrogateContract):
    @pytest.fixture
    def surrogate(self, offer, space):
        return made(offer, space, **SMALLER.get(offer.name, {}))


@all_of("surrogates")
class TestSurrogatesOnALargeSpace(SurrogateContract):
    @pytest.fixture
    def space(self):
        return operator_space()

    @pytest.fixture
    def surrogate(self, offer, space):
        return made(offer, space, **SMALLER.get(offer.name, {}))


@all_of("optimizers")
class TestOptimizers(OptimizerContract):
    @pytest.fixture
    def optimizer(self, offer, space):
        return made(offer, space, population=20, generations=5, trials=60, rows=200)


@all_of("optimizers")
class TestDirectOptimizers(DirectOptimizerContract):
    @pytest.fixture
    def optimizer(self, offer, space):
        return made(offer, space)


def test_the_contracts_need_nothing_heavy():
    code = (
        "import sys, nat_core.testing; print(*[m for m in ('torch', 'pymoo', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# A contract that nothing can break is none.


class Careless:
    """Breaks the promise that is asked for."""

    def __init__(self, fault):
        self.fault = fault

    def fit(self, X, y):
        if self.fault == "changes X":
            X[:] = 0
        if self.fault == "global":
            np.random.random()  # noqa: NPY002
        answers = {
            "nan": lambda rows: np.full(len(rows), np.nan),
            "column": lambda rows: np.full((len(rows), 1), y.mean()),
            "batch": lambda rows: rows.sum(axis=1) - rows.mean() if len(rows) else y[:0],
            "unvaried": lambda rows: np.full(len(rows), np.nan if (np.ptp(X, axis=0) == 0).any() else 0.0),
            "noise": lambda rows: np.random.default_rng().random(len(rows)),
        }
        if self.fault in {"fears", "forgets", "is sure of too much"}:
            return Unsure(self.fault, float(y.mean()))
        return answers.get(self.fault, lambda rows: np.full(len(rows), y.mean()) + 1e-9 * rows.sum(axis=1))

    def propose(self, problem, archive, n, rng):
        X = problem.space.sample(n, rng)
        new = new_rows(problem.space.sample(9 * n, rng), archive.architectures)[:n]
        answers = {"known": archive.X[:n], "few": X[:1], "double": X[[0] * n], "floats": X.astype(float), "any": new}
        return answers[self.fault]

    def ask(self, problem, archive, n, rng):
        new = new_rows(problem.space.sample(9 * n, rng), archive.architectures)[:n]
        if self.fault == "peeks":
            problem.F(new)
        return new

    def __call__(self, X):
        if self.fault == "changes X":
            X[:] = 0
        return {"mean": np.full(len(X), X.mean() if len(X) else 0.0), "changes X": np.zeros(len(X))}[self.fault]


class Unsure:
    """A function, and a belief, that breaks a promise about what it does not know."""

    def __init__(self, fault, mean, rows=None, wide=1.0):
        self.fault, self.mean, self.rows, self.wide = fault, mean, rows, wide

    def __call__(self, rows):
        return np.full(len(rows), self.mean)

    def believe(self, rows):
        return Unsure(self.fault, self.mean, rows, 2.0 if self.fault == "is sure of too much" else 1.0)

    def at_best(self, *given):
        *rows, deviations = given
        rows = rows[0] if rows else self.rows
        return self(rows) - (-1 if self.fault == "fears" else 1) * self.wide * deviations

    def knowing(self, _row):
        return Unsure(self.fault, self.mean, self.rows, 3.0 * self.wide)


class Sloppy(SmallSpace):
    def canonicalize(self, X):
        return (X + 1) % 2

    def sample(self, n, _):
        return random_encodings(self.variables, n, np.random.default_rng())

    def parse(self, _):
        return (0,) * 6


BREAKS = [
    (SurrogateContract, "nan", "test_a_prediction_for_every_row"),
    (SurrogateContract, "column", "test_a_prediction_for_every_row"),
    (SurrogateContract, "noise", "test_the_same_measurements_give_the_same_predictions"),
    (SurrogateContract, "noise", "test_a_fitted_function_stays_as_it_is"),
    (SurrogateContract, "batch", "test_a_prediction_belongs_to_its_row_alone"),
    (SurrogateContract, "unvaried", "test_variables_that_never_varied"),
    (SurrogateContract, "noise", "test_a_constant_is_predicted_as_it_is"),
    (SurrogateContract, "global", "test_the_same_measurements_give_the_same_predictions"),
    (SurrogateContract, "changes X", "test_its_arguments_stay_as_they_are"),
    (SurrogateContract, "fears", "test_hopes_are_predictions_less_what_is_unsure"),
    (SurrogateContract, "is sure of too much", "test_hopes_are_predictions_less_what_is_unsure"),
    (SurrogateContract, "forgets", "test_what_is_known_leaves_less_to_hope_for"),
    (OptimizerContract, "known", "test_rows_are_canonical_distinct_and_new"),
    (OptimizerContract, "few", "test_rows_are_canonical_distinct_and_new"),
    (OptimizerContract, "double", "test_rows_are_canonical_distinct_and_new"),
    (OptimizerContract, "floats", "test_it_begins_without_an_archive"),
    (OptimizerContract, "any", "test_rows_that_keep_the_constraints_come_first"),
    (DirectOptimizerContract, "any", "test_rows_that_keep_the_constraints_come_first"),
    (DirectOptimizerContract, "peeks", "test_rows_are_canonical_distinct_and_new"),
    (CostModelContract, "mean", "test_a_cost_belongs_to_its_row_alone"),
    (CostModelContract, "changes X", "test_asking_changes_nothing"),
]


@pytest.mark.parametrize(("contract", "fault", "test"), BREAKS)
def test_a_broken_promise_fails_its_test(contract, fault, test):
    with pytest.raises(AssertionError):
        getattr(contract(), test)(SmallSpace(), Careless(fault))


def test_an_optimizer_that_only_proposes_is_not_asked():
    with pytest.raises(pytest.skip.Exception, match="no `ask`"):
        DirectOptimizerContract().test_no_rows_on_demand(SmallSpace(), toyrun.Optimizer())


@pytest.mark.parametrize(
    "test", ["test_hopes_are_predictions_less_what_is_unsure", "test_what_is_known_leaves_less_to_hope_for"]
)
def test_a_surrogate_that_only_predicts_is_not_asked_what_it_hopes(test):
    with pytest.raises(pytest.skip.Exception, match="does not say how far it may be wrong"):
        getattr(SurrogateContract(), test)(SmallSpace(), toyrun.Surrogate())


@pytest.mark.parametrize(
    "test",
    [
        "test_canonical_rows_are_rows_of_the_space_and_stay_as_they_are",
        "test_samples_are_canonical_and_follow_the_generator_alone",
        "test_parse_is_the_inverse_of_describe",
    ],
)
def test_a_sloppy_space_fails(test):
    with pytest.raises(AssertionError):
        getattr(SearchSpaceContract(), test)(Sloppy())


def test_a_space_that_takes_anything_for_an_architecture_fails():
    with pytest.raises(pytest.fail.Exception):
        SearchSpaceContract().test_nonsense_is_a_config_error(Sloppy())
