"""The baselines: what holds for all of them, and that they are what they say."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import nat_baselines
from nat_core.contracts import Spent
from nat_core.encoding import Variable, as_architectures, random_encodings, sizes
from nat_core.errors import ConfigError
from nat_core.testing import BaselineContract, SmallSpace

FASTER = {"linas": {"initial": 20, "population": 20, "generations": 8}}
NAMES = tuple(nat_baselines.register_baselines())


def make(name, space, **options):
    return nat_baselines.register_baselines()[name](space, **{**FASTER.get(name, {}), **options})


@pytest.mark.parametrize("name", NAMES)
class TestBaselines(BaselineContract):
    @pytest.fixture
    def baseline(self, name, space):
        return make(name, space)


class Ladder:
    """Ten variables of five choices: the first trades the objectives, and each of the others spoils both."""

    def __init__(self):
        self.variables = tuple(Variable(f"v{i}", tuple(range(5))) for i in range(10))
        self.asked = []

    def canonicalize(self, X):
        return X.copy()

    def sample(self, n, rng):
        return random_encodings(self.variables, n, rng)

    def evaluate(self, n):
        known = {}

        def evaluate(X):
            for a in as_architectures(X):
                if a not in known and len(known) == n:
                    raise Spent
                trade, defect = a[0] / 4, sum(a[1:]) / 4
                known[a] = (defect + trade, defect + 1 - trade)
            self.asked.append(X.copy())
            return np.array([known[a] for a in as_architectures(X)])

        return evaluate, known


def searched(name, n, seed=0, **options):
    space = Ladder()
    evaluate, known = space.evaluate(n)
    with pytest.raises(Spent):
        make(name, space, **options).search(evaluate, ("a", "b"), n, seed)
    return space, np.array(list(known.values()))


LEARNING = [name for name in NAMES if name != "random-search"]


@pytest.mark.parametrize("name", LEARNING)
def test_a_search_learns_from_its_measurements(name):
    space = Ladder()
    drawn = space.evaluate(1000)[0](space.sample(1000, np.random.default_rng(0))).sum(axis=1)
    for seed in range(2):
        defect = searched(name, 200, seed)[1].sum(axis=1)  # what both objectives have in common
        assert np.median(defect[-50:]) < np.quantile(drawn, 0.25)


def test_random_search_does_not_learn():
    defect = searched("random-search", 1000)[1].sum(axis=1)
    assert np.median(defect[-500:]) == pytest.approx(np.median(defect[:500]), rel=0.05)


@pytest.mark.parametrize("name", ["pymoo-nsga2", "pymoo-nsga3"])
def test_a_generation_is_a_population_without_duplicates(name):
    space, _ = searched(name, 100, population=10)
    assert {len(set(as_architectures(X))) for X in space.asked} == {len(X) for X in space.asked} == {10}


def test_linas_measures_the_population_that_the_predictions_end_with():
    space, _ = searched("linas", 200, initial=30, population=12, generations=5)
    assert len(space.asked[0]) == 30
    assert all(0 < len(X) <= 12 for X in space.asked[1:])


def test_random_search_draws_every_choice():
    space, _ = searched("random-search", 300)
    X = np.vstack(space.asked)
    assert all(set(column) == set(range(size)) for column, size in zip(X.T, sizes(space.variables), strict=True))


@pytest.mark.parametrize("name", ["pymoo-nsga2", "linas"])
def test_a_space_with_nothing_left_ends_the_search(name):
    space = SmallSpace(tuple(Variable(n, (0, 1)) for n in "abc"))
    asked = set()

    def evaluate(X):
        asked.update(as_architectures(space.canonicalize(X)))
        return np.column_stack([X.sum(axis=1), 3.0 - X.sum(axis=1)])

    make(name, space).search(evaluate, ("a", "b"), 100, 0)
    assert len(asked) <= 6


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("pymoo-nsga2", {"population": 1}),
        ("pymoo-nsga3", {"mutation_eta": -1.0}),
        ("optuna-nsga3", {"population": 1}),
        ("optuna-tpe", {"startup": 0}),
        ("linas", {"initial": 1}),
        ("linas", {"generations": 0}),
        ("linas", {"penalty": 0.0}),
    ],
)
def test_a_wrong_option_is_named(name, option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        make(name, SmallSpace(), **option)


class Careless:
    def __init__(self, fault):
        self.fault = fault

    def search(self, evaluate, names, n, seed):
        rng = np.random.default_rng(None if self.fault == "seed" else seed)
        if self.fault == "global":
            np.random.random()  # noqa: NPY002
        for _ in range(n // 2 if self.fault == "short" else 100 * n):
            X = SmallSpace().sample(1, rng)
            F = evaluate(X + 9 if self.fault == "outside" else X)
            if self.fault == "failures" and np.isnan(F).any():
                raise ValueError(f"{names}: NaN")


@pytest.mark.parametrize(
    ("fault", "test", "more"),
    [
        ("short", "test_it_asks_until_its_budget_is_spent", (2,)),
        ("outside", "test_it_asks_until_its_budget_is_spent", (2,)),
        ("seed", "test_the_seed_alone_decides", ()),
        ("global", "test_the_seed_alone_decides", ()),
        ("failures", "test_failed_measurements_do_not_stop_it", (4,)),
    ],
)
def test_a_careless_baseline_fails_its_contract(fault, test, more):
    with pytest.raises((AssertionError, ValueError)):
        getattr(BaselineContract(), test)(SmallSpace(), Careless(fault), *more)


def test_a_careful_baseline_keeps_its_contract():
    for test, more in (("test_it_asks_until_its_budget_is_spent", (2,)), ("test_the_seed_alone_decides", ())):
        getattr(BaselineContract(), test)(SmallSpace(), Careless(""), *more)


def test_importing_the_plugin_loads_no_library():
    code = "import sys, nat_baselines; print(*[m for m in ('pymoo', 'optuna', 'sklearn', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
