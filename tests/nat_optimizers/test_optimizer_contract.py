"""What holds for every optimizer."""

from __future__ import annotations

import inspect
import random
import subprocess
import sys
import typing
import warnings

import numpy as np
import pytest
from pydantic import TypeAdapter

import nat_optimizers
from nat_core.encoding import as_architectures
from nat_core.errors import ConfigError
from nat_core.testing import DirectOptimizerContract, OptimizerContract

EVOLUTION = ("nsga3", "nsga2", "unsga3", "moead", "agemoea", "sms-emoa")
OPTIMIZERS = {
    **{name: {"population": 12, "generations": 4} for name in EVOLUTION},
    "local-search": {"width": 20, "rows": 100, "step": 20},
    "random": {},
    "optuna": {"trials": 30, "population": 12},
    "optuna:nsga2": {"sampler": "nsga2", "trials": 30, "population": 12},
    "optuna:tpe": {"sampler": "tpe", "trials": 20, "population": 20},
    "optuna:random": {"sampler": "random", "trials": 30, "population": 12},
}  # optuna:gp takes seconds a row: its tests stand with those of Optuna
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)
either_way = pytest.mark.parametrize("way", ["propose", "ask"])


def make(name, space, **options):
    factory = nat_optimizers.register_optimizers()[name.split(":")[0]]
    return factory(space, **OPTIMIZERS[name], **options)


def rows(name, problem, archive, n, seed=0, way="propose"):
    return getattr(make(name, problem.space), way)(problem, archive, n, np.random.default_rng(seed))


@every_optimizer
class TestPropose(OptimizerContract):
    @pytest.fixture
    def optimizer(self, name, space):
        return make(name, space)


@every_optimizer
class TestAsk(DirectOptimizerContract):
    @pytest.fixture
    def optimizer(self, name, space):
        return make(name, space)


@every_optimizer
@either_way
def test_rows_of_a_large_space(name, way, toy, begun):
    problem = toy(2, "large")
    archive = begun(problem)
    X = rows(name, problem, archive, 12, way=way)
    assert X.shape == (12, len(problem.space.variables))
    assert X.dtype == np.int64
    assert (problem.space.canonicalize(X) == X).all()
    assert len(set(as_architectures(X)) - archive.architectures) == 12


@every_optimizer
def test_more_rows_than_its_budget_visits(name, toy, begun):
    problem = toy(2)
    assert len(rows(name, problem, begun(problem), 300)) == 300


@every_optimizer
@either_way
def test_the_seed_alone_decides(name, way, toy, begun):
    problem = toy(3, "large", most=30)
    archive = begun(problem)
    first = rows(name, problem, archive, 8, way=way)
    random.seed(2)
    np.random.seed(2)  # noqa: NPY002
    assert (rows(name, problem, archive, 8, way=way) == first).all()
    assert (rows(name, problem, archive, 8, seed=1, way=way) != first).any()


@every_optimizer
@either_way
def test_global_state_stays_as_it_is(name, way, toy, begun, capfd):
    import optuna

    problem = toy(3)
    archive = begun(problem)

    def state():
        bits, key, *more = np.random.get_state()  # noqa: NPY002
        return bits, tuple(key), more, random.getstate(), list(warnings.filters), optuna.logging.get_verbosity()

    before = state()
    rows(name, problem, archive, 8, way=way)
    assert state() == before
    assert capfd.readouterr() == ("", "")


@every_optimizer
@either_way
def test_an_exhausted_space_gives_what_is_left_and_says_so(name, way, toy, measured, caplog):
    problem = toy(2)
    everything = problem.space.everything
    left = set(as_architectures(everything[::100]))
    archive = measured(problem, np.delete(everything, np.s_[::100], axis=0))
    assert set(as_architectures(rows(name, problem, archive, 20, way=way))) == left
    assert f"only {len(left)} of 20 new architectures" in caplog.text
    assert f"{len(left)} distinct ones were left" in caplog.text


@every_optimizer
@either_way
def test_constraints_that_few_rows_keep(name, way, toy, begun):
    problem = toy(2, "large", most=20)  # one sampled row in five
    X = rows(name, problem, begun(problem, 60), 6, way=way)
    assert (problem.cost_violation(X) == 0).all()


@every_optimizer
def test_feasible_rows_come_before_infeasible_ones(name, toy, begun):
    problem = toy(2, most=3)
    X = rows(name, problem, begun(problem), 200)
    violated = problem.cost_violation(X) > 0
    assert 0 < violated.sum() < len(X)
    assert (violated == np.sort(violated)).all()


def test_the_offers_are_factories_whatever_was_imported(toy):
    for name in OPTIMIZERS:
        make(name, toy(2).space)
    assert all(inspect.isfunction(factory) for factory in nat_optimizers.register_optimizers().values())


@pytest.mark.parametrize("name", nat_optimizers.register_optimizers())
def test_a_signature_is_the_schema_of_the_options(name):
    factory = nat_optimizers.register_optimizers()[name]
    hints = typing.get_type_hints(factory, include_extras=True)
    space, *options = inspect.signature(factory).parameters.values()
    assert space.name == "space"
    for option in options:
        type_, description = typing.get_args(hints[option.name])
        assert TypeAdapter(type_).validate_python(option.default, strict=True) == option.default
        assert isinstance(description, str)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("nsga3", {"population": 1}),
        ("nsga3", {"generations": 0}),
        ("nsga2", {"crossover": 1.5}),
        ("nsga2", {"mutation_eta": -1.0}),
        ("moead", {"population": 1}),
        ("sms-emoa", {"generations": 0}),
        ("local-search", {"width": 0}),
        ("local-search", {"rows": 0}),
        ("local-search", {"step": 0}),
        ("optuna", {"sampler": "nsga4"}),
        ("optuna", {"trials": 0}),
        ("optuna", {"population": 1}),
        ("random", {"draws": 0}),
    ],
)
def test_a_wrong_option_is_named(name, option, toy):
    with pytest.raises(ConfigError, match=next(iter(option))):
        nat_optimizers.register_optimizers()[name](toy(2).space, **option)


def test_importing_the_plugin_loads_no_optimizer():
    code = "import sys, nat_optimizers; print(*[m for m in ('pymoo', 'optuna', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
