from __future__ import annotations

import itertools
import json
import math
import statistics
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from toyrun import Space

from nat_core.encoding import Variable, as_architectures, random_encodings, sizes
from nat_core.errors import ConfigError, PluginError
from nat_core.feasibility import descend, preflight, require_feasible
from nat_core.problem import Constraint, Problem
from nat_core.report.preflight import preflight_document, preflight_lines
from nat_core.seeding import rng


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("macs<=20e6", ("macs", "<=", 2e7)),
        (" macs >= 1.5 ", ("macs", ">=", 1.5)),
        ("nat-core:macs<=.5", ("nat-core:macs", "<=", 0.5)),
        ("latency@v1.2<=-3.", ("latency@v1.2", "<=", -3.0)),
        ("macs<=+1E-3", ("macs", "<=", 1e-3)),
    ],
)
def test_constraints_are_read(text, parsed):
    constraint = Constraint.parse(text)
    assert (constraint.name, constraint.relation, constraint.bound) == parsed
    assert Constraint.parse(str(constraint)) == constraint


@pytest.mark.parametrize(
    "text",
    [
        *("", "macs", "macs<20", "macs==20", "<=20", "macs<=", "macs<=x", "macs<=nan", "macs<=inf", "20<=macs"),
        *("macs<=1<=2", "macs<=1;x", "ma cs<=1", "macs<=1e999", "macs>=-1e999", "macs<=0x10", "macs<=1_000"),
        "a<=1\nb<=2",
    ],
)
def test_anything_else_is_a_config_error(text):
    with pytest.raises(ConfigError, match="constraint"):
        Constraint.parse(text)


@given(st.text(max_size=12))
def test_any_text_is_read_or_a_config_error(text):
    try:
        constraint = Constraint.parse(text)
    except ConfigError:
        return
    assert math.isfinite(constraint.bound)


@pytest.mark.parametrize(
    ("text", "violations"),
    [("a<=2", [0, 0, 0.5]), ("a>=2", [0.5, 0, 0]), ("a<=0", [1, 2, 3]), ("a>=-2", [0, 0, 0]), ("a<=-2", [1.5, 2, 2.5])],
)
def test_a_violation_is_relative_to_the_bound(text, violations):
    assert Constraint.parse(text).violation(np.array([1.0, 2.0, 3.0])).tolist() == violations


COSTS = {"size": lambda X: X.sum(axis=1).astype(float), "first": lambda X: X[:, 0] * 10.0}


def problem_with(*constraints, space=None, costs=COSTS, names=("error", "size")):
    return Problem(space or Space(), names, {"error": None}, costs, tuple(map(Constraint.parse, constraints)))


def test_a_problem_takes_objectives_from_F_and_other_costs_from_X():
    problem = problem_with("error<=1", "first<=10", "size>=2")
    X = np.array([(3, 0, 0, 0), (0, 0, 0, 0)])
    F = np.array([(1.5, 3.0), (0.5, 0.0)])
    assert problem.violation(X, F).tolist() == [0.5 + 2, 1]
    assert problem.cost_violation(X).tolist() == [2, 1]
    predicted = problem.predict({"error": lambda X: X[:, 1] / 2})
    assert predicted.F(X).tolist() == [[0, 3], [0, 0]]
    assert predicted.violation(X, F).tolist() == [2.5, 1]
    assert problem_with().violation(X, F).tolist() == [0, 0]


@dataclass(frozen=True)
class Layers:
    """A space of stages: the first variable of each says how many of the others count."""

    variables: tuple[Variable, ...]
    weights: tuple[tuple[float, ...], ...]

    def canonicalize(self, X):
        X = X.copy()
        X[:, 2][X[:, 0] == 0] = 0
        return X

    def sample(self, n, rng):
        return self.canonicalize(random_encodings(self.variables, n, rng))

    def describe(self, architecture):
        return {"architecture": "-".join(map(str, architecture))}

    @property
    def everything(self):
        return self.canonicalize(np.array(list(itertools.product(*(range(n) for n in sizes(self.variables))))))

    def cost(self, i):
        """A sum over variables; each choice has a price of its own, not in order of size."""
        prices = np.random.default_rng([i, *map(int, self.weights[0])]).integers(1, 50, (len(self.variables), 9))

        def cost(X):
            return np.where(self._counts(X), prices[np.arange(X.shape[1]), X], 0).sum(axis=1).astype(float)

        return cost

    def _counts(self, X):
        counts = np.ones(X.shape, dtype=bool)
        counts[:, 2] = X[:, 0] > 0
        return counts


spaces = st.builds(
    lambda choices, seed: Layers(tuple(Variable(f"v{i}", tuple(range(n))) for i, n in enumerate(choices)), ((seed,),)),
    st.lists(st.integers(1, 5), min_size=3, max_size=5),
    st.integers(0, 10_000),
)


@given(spaces, st.sampled_from(["<=", ">="]), st.integers(1, 20))
def test_the_nearest_value_of_a_single_bound_is_exact(space, relation, beyond):
    cost = space.cost(0)
    y = cost(space.everything)
    best = y.min() if relation == "<=" else y.max()
    bound = best - beyond if relation == "<=" else best + beyond
    reachable = problem_with(f"cost{relation}{best}", space=space, costs={"cost": cost})
    require_feasible(reachable)
    out_of_reach = problem_with(f"cost{relation}{bound}", space=space, costs={"cost": cost})
    with pytest.raises(ConfigError, match="no architecture of this space meets") as caught:
        require_feasible(out_of_reach)
    word = "smallest" if relation == "<=" else "largest"
    assert f"the {word} cost it has is {best:,.0f}, of " in str(caught.value)
    named = str(caught.value).rpartition("of ")[2]
    assert cost(np.array([list(map(int, named.split("-")))]))[0] == best


@pytest.mark.parametrize("listed", [True, False])
def test_a_single_bound_that_single_changes_do_not_reach(listed, monkeypatch):
    """The least cost may need two changes at once, of a variable and of the one that it uncovers."""
    if not listed:
        monkeypatch.setattr("nat_core.encoding.ENUMERABLE", 0)
    space = Layers(tuple(Variable(f"v{i}", tuple(range(n))) for i, n in enumerate([5, 2, 5, 2, 2])), ((4,),))
    cost = space.cost(0)
    problem = problem_with(f"cost<={cost(space.everything).min()}", space=space, costs={"cost": cost})
    assert problem.cost_violation(descend(problem, problem.cost_violation))[0] > 0
    require_feasible(problem)


@given(spaces, st.integers(0, 100), st.integers(0, 100))
def test_a_feasible_pair_of_bounds_is_never_refused(space, i, j):
    """And one that is not is named with both, and a nearest architecture."""
    a, b = space.cost(0), space.cost(1)
    X = space.everything
    low, high = np.percentile(a(X), i), np.percentile(b(X), j)
    feasible = ((a(X) <= low) & (b(X) >= high)).any()
    problem = problem_with(f"a<={low}", f"b>={high}", space=space, costs={"a": a, "b": b})
    if feasible:
        require_feasible(problem)
        return
    with pytest.raises(ConfigError, match=r"together: the nearest architecture found has a=.*, b=") as caught:
        require_feasible(problem)
    assert problem.constraints[0].name in str(caught.value)


@pytest.mark.parametrize("listed", [True, False])
def test_tight_pairs_of_bounds_that_single_changes_do_not_reach(listed, monkeypatch):
    """Just feasible bounds in many spaces: descent by single changes alone refuses some of them."""
    if not listed:
        monkeypatch.setattr("nat_core.encoding.ENUMERABLE", 0)
    draw, hard = np.random.default_rng(0), 0
    for seed in range(120):
        choices = draw.integers(2, 6, size=4)
        space = Layers(tuple(Variable(f"v{i}", tuple(range(n))) for i, n in enumerate(choices)), ((seed,),))
        a, b, X = space.cost(0), space.cost(1), space.everything
        low = np.percentile(a(X), draw.integers(1, 60))
        problem = problem_with(f"a<={low}", f"b>={b(X)[a(X) <= low].max()}", space=space, costs={"a": a, "b": b})
        require_feasible(problem)
        monkeypatch.setattr("nat_core.feasibility._STARTS", 0)
        hard += problem.cost_violation(descend(problem, problem.cost_violation))[0] > 0
        monkeypatch.undo() if listed else monkeypatch.setattr("nat_core.feasibility._STARTS", 8)
    assert hard >= 5


def test_a_row_that_cannot_be_bettered_is_found_from_anywhere():
    problem = problem_with("size<=3", "size>=3")
    x = descend(problem, problem.cost_violation)
    assert x.shape == (1, 4)
    assert x.sum() == 3
    assert as_architectures(Space().canonicalize(x)) == as_architectures(x)


def test_constraints_on_what_is_measured_are_not_asked_for():
    require_feasible(problem_with("error<=-1000"))
    require_feasible(problem_with())


def strict(value):
    return json.dumps(value, allow_nan=False)


@given(
    spaces, st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["<=", ">="]), st.integers(0, 100)), max_size=4)
)
@example(
    Layers(tuple(Variable(f"v{i}", tuple(range(n))) for i, n in enumerate([1, 4, 1, 5])), ((200,),)),
    [("a", "<=", 0), ("a", ">=", 6), ("a", ">=", 6), ("b", ">=", 69)],
)
def test_the_preflight_counts_and_lists(space, bounds):
    """Against twins over the sample, and over the whole space."""
    costs = {"a": space.cost(0), "b": space.cost(1)}
    X = space.everything
    constraints = [Constraint(n, r, float(np.percentile(costs[n](X), at, method="lower"))) for n, r, at in bounds]
    problem = problem_with(*map(str, constraints), space=space, costs=costs)
    report = preflight(problem, rows=300)
    assert report == preflight(problem, rows=300)
    assert (report.rows, report.listed) == (300, True)
    sample = space.sample(300, rng(0, "preflight"))
    for found, (name, cost) in zip(report.ranges, costs.items(), strict=True):
        assert (found.name, found.smallest, found.largest) == (name, cost(X).min(), cost(X).max())
        assert found.median == statistics.median(cost(sample).tolist())

    def meets(row, constraint):
        y = costs[constraint.name](row[None])[0]
        return y <= constraint.bound if constraint.relation == "<=" else y >= constraint.bound

    met = [[meets(row, c) for c in problem.constraints] for row in sample]
    assert report.together == pytest.approx(sum(map(all, met)) / 300)
    for i, share in enumerate(report.shares):
        assert share.alone == pytest.approx(sum(row[i] for row in met) / 300)
        assert share.without == pytest.approx(sum(all(row[:i] + row[i + 1 :]) for row in met) / 300)
    anything = any(all(meets(row, c) for c in problem.constraints) for row in X)
    assert report.satisfiable == anything == (not report.nearest)
    tight = [s for s in report.shares if s.alone < 1]
    assert (report.binding is None) == (not tight)
    if tight:
        chosen = next(s for s in report.shares if s.constraint == report.binding)
        assert chosen.without == max(s.without for s in tight)
    for near in report.nearest:
        row = np.array(list(map(int, str(near.name).split("-"))))
        assert near.costs == {c.name: costs[c.name](row[None])[0] for c in problem.constraints}
        assert near.misses == tuple(str(c) for c in problem.constraints if not meets(row, c))
        assert near.misses
    if report.nearest:
        least = min(problem.cost_violation(X))
        first = np.array([list(map(int, str(report.nearest[0].name).split("-")))])
        assert problem.cost_violation(first)[0] == pytest.approx(least)
    assert json.loads(strict(preflight_document(report)))["satisfiable"] == anything
    assert len(preflight_lines(report, 80)) >= 1 + len(costs)


@given(spaces)
def test_smallest_and_largest_of_a_space_too_large_to_be_listed(space):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nat_core.encoding.ENUMERABLE", 0)
        report = preflight(problem_with(space=space, costs={"a": space.cost(0)}), rows=20)
    (found,) = report.ranges
    assert not report.listed
    y = space.cost(0)(space.everything)
    assert (found.smallest, found.largest) == (y.min(), y.max())  # no more than two variables hang together here


def test_what_stands_in_the_way_is_named():
    """Ten architectures in a thousand meet one bound, most meet the other: the first one binds."""
    space = Layers(tuple(Variable(f"v{i}", tuple(range(5))) for i in range(5)), ((3,),))
    costs = {"a": space.cost(0), "b": space.cost(1)}
    X = space.everything
    tight, loose = np.percentile(costs["a"](X), 1), np.percentile(costs["b"](X), 90)
    report = preflight(problem_with(f"a<={tight}", f"b<={loose}", space=space, costs=costs), rows=5000)
    assert report.binding == report.shares[0].constraint
    assert report.shares[0].alone < 0.05
    assert report.shares[0].without > 0.8


def test_each_way_out_is_among_the_nearest():
    costs = {"size": lambda X: X.sum(axis=1).astype(float), "rest": lambda X: 12.0 - X.sum(axis=1)}
    problem = problem_with("size<=4", "rest<=6", costs=costs)
    report = preflight(problem)
    assert not report.satisfiable
    ways = {near.misses: near.costs for near in report.nearest}
    assert ways == {("size<=4",): {"size": 6, "rest": 6}, ("rest<=6",): {"size": 4, "rest": 8}}
    with pytest.raises(ConfigError) as caught:
        require_feasible(problem)
    said = str(caught.value)
    assert "size=6, rest=6" in said
    assert "size=4, rest=8" in said
    assert "binds: without it" in said
    assert "of 20,000 sampled" in said.lower()


def test_what_is_measured_is_not_known_yet():
    report = preflight(problem_with("error<=0.1", "size<=3"))
    assert report.unknown == (Constraint("error", "<=", 0.1),)
    assert [s.constraint.name for s in report.shares] == ["size"]
    assert any("error<=0.1: known once it is measured" in line for line in preflight_lines(report))


def test_a_cost_model_that_fails_is_reported():
    def raising(_):
        raise ValueError("no table")

    costs = {
        "broken": raising,
        "half": lambda X: np.where(X[:, 0] > 1, np.nan, X[:, 0] + 1.0),
        "endless": lambda X: np.full(len(X), np.inf),
    }
    report = preflight(problem_with("broken<=1", "half<=2", costs=costs))
    broken, half, endless = report.ranges
    assert (broken.smallest, broken.failure) == (None, "ValueError: no table")
    assert (half.smallest, half.largest) == (1, 2)
    assert endless.failure == "it gives no finite number"
    assert report.shares[0].alone == 0
    assert not report.satisfiable
    assert "no table" in "\n".join(preflight_lines(report))
    assert json.loads(strict(preflight_document(report)))["nearest"][0]["costs"]["broken"] is None

    def refusing(_):
        raise PluginError("the table has no 3x3")

    with pytest.raises(PluginError, match="3x3"):
        preflight(problem_with(costs={"size": refusing}))
