"""What holds for every optimizer."""

from __future__ import annotations

import inspect
import random
import subprocess
import sys
import typing
import warnings
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

import nat_optimizers
from nat_core.archive import Archive
from nat_core.encoding import as_architectures
from nat_core.errors import ConfigError

OPTIMIZERS = {
    "nsga3": {"population": 20, "generations": 6},
    "nsga2": {"population": 20, "generations": 6},
    "random": {},
    "optuna": {"trials": 60, "population": 20},
    "optuna-nsga2": {"sampler": "nsga2", "trials": 60, "population": 20},
    "optuna-tpe": {"sampler": "tpe", "trials": 15, "population": 20},
    "optuna-random": {"sampler": "random", "trials": 60, "population": 20},
}
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def make(name, problem, **options):
    factory = nat_optimizers.register_optimizers()[name.split("-")[0]]
    return factory(problem.space, **OPTIMIZERS[name], **options)


def propose(name, problem, archive, n, seed=0):
    return make(name, problem).propose(problem, archive, n, np.random.default_rng(seed))


@every_optimizer
@pytest.mark.parametrize("size", ["small", "large"])
def test_rows_are_canonical_distinct_and_new(name, size, toy, begun):
    problem = toy(2, size)
    archive = begun(problem)
    X = propose(name, problem, archive, 12)
    assert X.shape == (12, len(problem.space.variables))
    assert X.dtype == np.int64
    assert (problem.space.canonicalize(X) == X).all()
    assert len(set(as_architectures(X))) == 12
    assert not set(as_architectures(X)) & archive.architectures


@every_optimizer
def test_begins_without_an_archive(name, toy):
    problem = toy(2)
    assert len(propose(name, problem, Archive(problem.names), 9)) == 9


@every_optimizer
def test_more_rows_than_its_budget_visits(name, toy, begun):
    problem = toy(2)
    assert len(propose(name, problem, begun(problem), 300)) == 300


@every_optimizer
def test_the_same_seed_gives_the_same_rows_whatever_the_global_state(name, toy, begun):
    problem = toy(3, "large", most=30)
    archive = begun(problem)
    np.random.seed(1)  # noqa: NPY002
    first = propose(name, problem, archive, 8)
    np.random.seed(2)  # noqa: NPY002
    random.seed(2)
    assert (propose(name, problem, archive, 8) == first).all()
    assert (propose(name, problem, archive, 8, seed=1) != first).any()


@every_optimizer
def test_global_state_stays_as_it_is(name, toy, begun, capfd):
    import optuna

    problem = toy(3)
    archive = begun(problem)

    def state():
        bits, key, *more = np.random.get_state()  # noqa: NPY002
        return bits, tuple(key), more, random.getstate(), list(warnings.filters), optuna.logging.get_verbosity()

    before = state()
    propose(name, problem, archive, 8)
    assert state() == before
    assert capfd.readouterr() == ("", "")


@every_optimizer
def test_an_optimizer_keeps_no_state(name, toy, begun):
    problem = toy(2)
    archive = begun(problem)
    optimizer = make(name, problem)
    rows = [optimizer.propose(problem, archive, 8, np.random.default_rng(0)) for _ in range(2)]
    assert (rows[0] == rows[1]).all()


@every_optimizer
def test_an_exhausted_space_gives_what_is_left(name, toy, measured, caplog):
    problem = toy(2)
    everything = problem.space.everything
    left = set(as_architectures(everything[::100]))
    archive = measured(problem, np.delete(everything, np.s_[::100], axis=0))
    assert set(as_architectures(propose(name, problem, archive, 20))) == left
    assert f"only {len(left)} of 20 new architectures" in caplog.text


@every_optimizer
def test_a_space_with_nothing_left_gives_no_rows(name, toy, measured):
    problem = toy(2)
    archive = measured(problem, problem.space.everything)
    assert propose(name, problem, archive, 4).shape == (0, len(problem.space.variables))


@every_optimizer
def test_no_rows_on_demand(name, toy, begun):
    problem = toy(2)
    assert len(propose(name, problem, begun(problem), 0)) == 0


@every_optimizer
def test_an_architecture_that_failed_is_not_proposed_again(name, toy, measured):
    problem = toy(2)
    everything = problem.space.everything
    archive = measured(problem, everything[10:])
    failed = [replace(e, objectives=None, failure="out of memory") for e in measured(problem, everything[:5])]
    X = propose(name, problem, archive.extend(failed), 5)
    assert set(as_architectures(X)) == set(as_architectures(everything[5:10]))


@every_optimizer
def test_constraints_are_respected_where_rows_allow_it(name, toy, begun):
    problem = toy(2, "large", most=20)  # one sampled row in five is feasible
    X = propose(name, problem, begun(problem, 60), 6)
    assert (problem.violation(X, problem.F(X)) == 0).all()


@every_optimizer
def test_feasible_rows_come_before_infeasible_ones(name, toy, begun):
    problem = toy(2, most=3)
    X = propose(name, problem, begun(problem), 200)
    violated = problem.violation(X, problem.F(X)) > 0
    assert 0 < violated.sum() < len(X)
    assert (violated == np.sort(violated)).all()


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
