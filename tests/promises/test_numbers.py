"""What is not a number is a failure with a reason, and costs a search hardly more than the time it took."""

from __future__ import annotations

import json
import math
import zlib

import numpy as np
import pytest
from toyrun import Toy, truth

from nat_core.contracts import Measurement
from nat_core.pareto import hypervolume

GOOD = 60  # measurements that succeed: as many with faults as without
REFERENCE = np.array([60.0, 13.0])
KINDS = {
    "NaN": math.nan,
    "+inf": math.inf,
    "-inf": -math.inf,
    "complex": 1j,
    "missing": None,
    "text": "0.5 or so",
    "an array": np.zeros(3),
}


def unlucky(architecture, seed):
    """One in ten."""
    return zlib.crc32(repr((seed, architecture)).encode()) % 10 == 0


def volume(folder, seed, answer=None, *, failing=False):
    """The hypervolume after GOOD measurements that succeed."""

    def fault(architecture):
        return [Measurement(answer)] if failing and unlucky(architecture, seed) else None

    toy = Toy(seed=seed, fault=fault).but(iterations=40, initial=12, batch=6, pool=30, remeasure="none", failure_rate=1)
    for archive in toy.archives(folder):
        if len(archive.measured) >= GOOD:
            break
    measured = archive.measured.where(np.arange(len(archive.measured)) < GOOD)
    assert np.isfinite(measured.F).all()
    if failing:
        failures = [e for e in archive if e.objectives is None]
        assert failures
        assert all(e.failure.startswith("distance: ") for e in failures)
        assert not {e.architecture for e in failures} & measured.front.architectures
    return hypervolume(measured.front.F, REFERENCE)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return [volume(tmp_path_factory.mktemp("clean"), seed) for seed in range(5)]


@pytest.mark.promise(23)
@pytest.mark.parametrize("kind", KINDS)
def test_a_tenth_that_is_no_number_costs_no_hypervolume(kind, clean, fresh, caplog, cases):
    found = [volume(fresh(), seed, KINDS[kind], failing=True) for seed in range(5)]
    assert np.mean(found) >= 0.97 * np.mean(clean), (found, clean)
    caplog.clear()
    cases["searches with a tenth of failures"] += 5


@pytest.mark.promise(23, 26)
@pytest.mark.parametrize("kind", KINDS)
def test_the_reason_is_recorded_in_strict_json(kind, fresh, caplog, cases):
    folder = fresh()
    Toy(fault=lambda a: [Measurement(KINDS[kind])] if unlucky(a, 1) else None).but(failure_rate=1).run(folder)
    for line in (folder / "journal.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    failed = [r for r in truth(folder) if r["kind"] == "failed"]
    assert failed
    assert all(r["reason"] and "objectives" not in r for r in failed)
    caplog.clear()
    cases["failures recorded"] += len(failed)


@pytest.mark.promise(26)
@pytest.mark.parametrize("value", [0.0, -0.0, 1e308, -1e308, 5e-324])
def test_a_constant_objective_gives_finite_figures(value, fresh):
    archive = Toy(fault=lambda _: [Measurement(value)]).run(fresh())
    assert np.isfinite(archive.F).all()
    assert len(archive.front) >= 1
    with np.errstate(over="ignore"):
        reference = np.array([max(value, 1.0) * 1.01, 13.0])
    assert hypervolume(archive.front.F, reference) >= 0


class Meddling:
    """A plugin that reseeds everything and writes into whatever it is given."""

    def __init__(self, surrogate):
        self.surrogate = surrogate

    def fit(self, X, y):
        function = self.surrogate.fit(X.copy(), y.copy())
        meddle()
        X[:] = 0
        y[:] = -1

        def predict(rows):
            meddle()
            return function(rows)

        return predict


def meddle():
    import random

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - what a careless plugin does
    np.random.shuffle(np.arange(10))  # noqa: NPY002


@pytest.mark.promise(22)
@pytest.mark.parametrize("remeasure", ["all", "front", "none"])
def test_a_plugin_that_reseeds_everything_and_writes_into_its_arguments(remeasure, fresh):
    toy = Toy().but(remeasure=remeasure)
    assert Toy(surrogate=Meddling(Toy().surrogate)).but(remeasure=remeasure).run(fresh()) == toy.run(fresh())
