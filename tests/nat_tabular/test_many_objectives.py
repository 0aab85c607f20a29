"""Five and twelve objectives under constraints, on problems that need no training: a real search, journal and all."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from nat_core import plugins
from nat_core.encoding import as_encodings
from nat_core.feasibility import require_feasible
from nat_core.journal import Journal
from nat_core.ledger import Ledger
from nat_core.pareto import non_dominated
from nat_core.problem import Constraint, Problem
from nat_core.report.summary import document, summarise
from nat_core.search import Plan, search
from nat_core.weights import WeightStore

PLAN = Plan(iterations=3, initial=20, batch=10, pool=40, remeasure="none")


def layer_sizes(space):
    """A cost for each layer: 0, 1 or 2."""
    return {f"{v.name}_size": lambda X, i=i: X[:, i].astype(float) for i, v in enumerate(space.variables)}


def problem(space, estimator, names, constraints, **costs):
    exact = {name: plugins.find("cost_models", name)(space) for name in ("macs", "params")}
    return Problem(space, names, {"top1_error": estimator}, exact | costs, tuple(map(Constraint.parse, constraints)))


def on_table(space, n_objectives, constraints):
    """The table with the share of live layers and of large blocks, and the size of each layer."""
    costs = {
        "depth": lambda X: (X > 0).mean(axis=1),
        "large": lambda X: (X == 2).mean(axis=1),
        **layer_sizes(space),
    }
    names = ("top1_error", "macs", "params", *costs)[:n_objectives]
    return problem(space, plugins.find("estimators", "nas-bench-macro")(space), names, constraints, **costs)


def on_predictor(shared, constraints):
    """OFA's space with its predictor: error, costs, input side, and mean kernel."""
    space = plugins.find("search_spaces", "mbv3")(widths=(1.2,), resolutions=(160, 176, 192, 208, 224))
    estimator = plugins.find("estimators", "ofa-predictor")(
        space, weights=str(shared / "reference" / "ofa_acc_predictor.pth")
    )
    costs = {
        "side": lambda X: 160.0 + 16 * X[:, 0],
        "kernel": lambda X: np.array([np.mean(space.describe(tuple(x))["ks"]) for x in X.tolist()]),
    }
    return problem(space, estimator, ("top1_error", "macs", "params", *costs), constraints, **costs)


@pytest.fixture
def run(tmp_path):
    """Searches a problem; the last archive, its summaries, and the journal."""

    def go(problem, plan=PLAN):
        require_feasible(problem)
        surrogate = plugins.find("surrogates", "rbf")(problem.space, members=20)
        optimizer = plugins.find("optimizers", "nsga3")(problem.space, population=40, generations=5)
        file = tmp_path / "journal.jsonl"
        with Journal(file) as journal:
            ledger = Ledger(problem, journal, WeightStore(tmp_path / "weights", {}, journal), lambda *_: None)
            archives = list(search(problem, surrogate, optimizer, plan, 0, ledger))
        return archives, file

    return go


def require_sound(problem, archives, file):
    """What holds for any finished run, whatever the number of objectives."""
    last = archives[-1]
    n = len(problem.names)
    assert len(last) == PLAN.initial + PLAN.iterations * PLAN.batch
    assert len(last.architectures) == len(last)
    assert last.F.shape == (len(last), n)
    assert np.isfinite(last.F).all()
    for i, name in enumerate(problem.names):
        if name in problem.costs:
            assert (last.F[:, i] == problem.costs[name](last.X)).all(), name
    proposed = last.where(np.array([e.iteration > 0 for e in last]))
    assert (problem.cost_violation(proposed.X) == 0).all()
    front = last.front
    assert (front.violation == 0).all()
    feasible = last.F[last.violation <= 0]
    assert len(front) == non_dominated(feasible).sum()
    rows = {tuple(f) for f in front.F.tolist()}
    assert not [f for f in feasible if tuple(f) not in rows and not (f >= front.F).all(axis=1).any()]
    volumes = [s.hypervolume for s in summarise(archives, problem.estimators)]
    assert all(0 <= v <= 1 for v in volumes)
    assert volumes[-1] > volumes[0] > 0
    *_, summary = summarise(archives, problem.estimators)
    told = json.loads(json.dumps(document("run", summary, problem.space, {}), allow_nan=False))
    assert len(told["front"]) == len(front)
    assert all(len(point["objectives"]) == n for point in told["front"])
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert sum(r["kind"] == "measured" for r in records) == len(last)
    assert not [r for r in records if r["kind"] == "failed"]
    assert all(math.isfinite(v) for r in records if r["kind"] == "measured" for v in r["objectives"].values())


@pytest.mark.parametrize(
    ("n_objectives", "constraints"),
    [(5, ("macs<=60e6", "params<=1.5e6", "top1_error<=0.15")), (12, ("macs<=60e6", "depth>=0.5", "large<=0.5"))],
)
def test_on_the_published_table(published, run, n_objectives, constraints):
    space = plugins.find("search_spaces", "nas-bench-macro")(table=str(published))
    problem = on_table(space, n_objectives, constraints)
    assert len(problem.names) == n_objectives
    require_sound(problem, *run(problem))


def test_on_the_predictor(shared, run):
    problem = on_predictor(shared, ("macs<=400e6", "params<=8e6", "kernel<=5"))
    require_sound(problem, *run(problem))


def test_twelve_objectives_on_a_table_made_up(space, run):
    """The same search without any file; and what is known of its front: no cheaper network than the empty one."""
    problem = on_table(space, 12, ("params<=20000",))
    archives, file = run(problem)
    require_sound(problem, archives, file)
    assert (0,) * 8 in archives[-1].front.architectures
    cheapest = as_encodings([(0,) * 8], 8)
    assert problem.costs["macs"](cheapest)[0] == archives[-1].F[:, 1].min()
