"""The bench: its arithmetic against brute force, its searches, its file, and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pluggy
import pytest

from nat_core import hookspecs, plugins
from nat_core.bench import contest as contests
from nat_core.bench.contest import cells, check, contest
from nat_core.bench.file import BenchFile
from nat_core.bench.play import Failing, MemoryJournal, Meter, Trace, complete, play
from nat_core.bench.problems import contestants, load, load_all
from nat_core.bench.show import draw, require_format, tables
from nat_core.bench.standings import curve, document, tabulate, volume
from nat_core.contracts import Measurement, Spent
from nat_core.encoding import as_architectures, everything
from nat_core.errors import ConfigError, StateError
from nat_core.journal import Journal
from nat_core.plugins import Offer, Registry
from nat_core.testing import SmallProblem, SmallSpace

PROBLEM = """
space = "small"
objectives = ["toy_error", "toy_size"]
surrogate = "nothing"
optimizer = "random"

[search]
initial = 8
batch = 6
pool = 12

[bench]
name = "toy"
evaluations = [20, 12]
reference = 1.1

[bench.low]
toy_size = 0
toy_error = 0.5

[bench.high]
toy_error = 8
toy_size = 9
"""


class Nothing:
    """A surrogate that has learnt nothing."""

    def fit(self, X, y):
        del X
        return lambda rows: np.full(len(rows), y.mean())


class Rows:
    """A baseline that walks through the space, in steps, with repetitions and rows that are not canonical."""

    def __init__(self, space, step: int = 7, *, ends: bool = False, fault: str = ""):
        self.everything, self.step, self.ends, self.fault = everything(space.variables), step, ends, fault

    def search(self, evaluate, names, n, seed):
        if self.fault:
            raise ValueError(self.fault)
        assert names == ("toy_error", "toy_size")
        rows = self.everything[seed :: self.step]
        for start in range(0, len(rows), 5):
            F = evaluate(np.vstack([rows[start : start + 5], rows[:1]]))
            assert F.shape == (len(rows[start : start + 5]) + 1, 2)
            if self.ends and start >= n // 2:
                return


def toy_error(space):
    problem = SmallProblem(space)
    return lambda X: [Measurement(float(y)) for y in problem.F(X)[:, 1]]


def toy_size(space):
    problem = SmallProblem(space)
    return lambda X: problem.F(X)[:, 0]


def random(space):
    return next(o for o in plugins.load().offers if (o.kind, o.name) == ("optimizers", "random")).factory(space)


class Learner:
    def __call__(self, X):
        return [Measurement(0.0) for _ in X]

    def adapt(self, X, iteration, iterations, progress): ...
    def save(self, file): ...
    def load(self, file): ...
    def rehearse(self, iterations): ...


TOYS = {
    "search_spaces": {"small": SmallSpace, "endless": lambda: SmallSpace(SmallSpace().variables * 5)},
    "surrogates": {"nothing": lambda space: Nothing()},  # noqa: ARG005
    "optimizers": {"random": random},
    "estimators": {"toy_error": toy_error, "learner": lambda space: Learner()},  # noqa: ARG005
    "cost_models": {"toy_size": toy_size, "toy_cost": lambda space: toy_size(space)},  # noqa: PLW0108
    "baselines": {"rows": Rows},
}


@pytest.fixture(autouse=True)
def _toys(monkeypatch):
    """An environment whose plugins are the toys alone."""
    offers = [Offer(kind, name, "toys", "1", f) for kind, named in TOYS.items() for name, f in named.items()]
    manager = pluggy.PluginManager("nat_core")
    manager.add_hookspecs(hookspecs)
    registry = Registry(manager, tuple(offers))
    monkeypatch.setattr(plugins, "registry", lambda: registry)


@pytest.fixture
def problem(tmp_path):
    """Writes a problem file: `problem()`, `problem(old, new)`."""

    def write(old="", new="", name="toy.toml"):
        assert old in PROBLEM
        (tmp_path / name).write_text(PROBLEM.replace(old, new))
        return tmp_path / name

    return write


def bench(file, *, baselines=("rows",), optimizers=("random",), seeds=2, fail=0.0, settings=(), path=None, workers=1):
    task = load(file, settings)
    wanted = cells([task], contestants(task, optimizers, (), baselines), seeds, fail)
    check(wanted)
    traces = dict(contest(wanted, BenchFile(path), workers))
    return tabulate(task, traces, complete(wanted[0])), traces


def brute_force(F, reference):
    """The hypervolume of two objectives: the area under a staircase."""
    area, right = 0.0, reference
    for y in sorted({float(y) for y in F[:, 1] if y < reference}):
        left = min([right, *(float(x) for x, z in F if z <= y)])
        above = min([float(z) for z in F[:, 1] if z > y and z < reference], default=reference)
        area += (reference - min(left, reference)) * (above - y)
    return area


def scaled(F):
    return (np.array(F) - [0.5, 0]) / [7.5, 9]


def test_a_curve_is_the_hypervolume_after_each_evaluation(problem):
    table, traces = bench(problem())
    whole = brute_force(scaled(SmallProblem(SmallSpace()).F(canonical())[:, ::-1]), 1.1)
    assert table.best.hypervolume == pytest.approx(whole)
    assert table.best.source == "the whole space"
    for standing in table.standings:
        for seed in standing.seeds:
            trace = next(t for c, t in traces.items() if c.contestant is standing.contestant and c.seed == seed)
            expected = [brute_force(scaled(trace.objectives[: i + 1]), 1.1) / whole for i in range(20)]
            assert standing.curves[seed] == pytest.approx(expected)


def canonical():
    return np.unique(SmallSpace().canonicalize(everything(SmallSpace().variables)), axis=0)


def test_the_objectives_are_those_of_the_run_file_whatever_the_order_of_their_bounds(problem):
    table, _ = bench(problem(), seeds=1)
    assert list(table.task.bench.low.items()) == [("toy_error", 0.5), ("toy_size", 0.0)]
    assert volume(table.task.bench, np.array([[0.5, 0.0]])) == pytest.approx(1.21)
    assert volume(table.task.bench, np.array([[8.0, 9.0]])) == pytest.approx(0.01)
    assert volume(table.task.bench, np.array([[8.75, 0.0]])) == 0


def test_evaluations_that_a_share_took(problem):
    (standing, *_), best = bench(problem())[0].standings, 0.6
    for row, first in zip(standing.curves, standing.reached(best), strict=True):
        before = [i + 1 for i, share in enumerate(row) if share >= best]
        assert first == (before[0] if before else math.inf)
    assert (standing.reached(1.01) == math.inf).all()


def test_failed_and_infeasible_rows_add_nothing(problem):
    task = load(problem(), ())
    rows = ((3.0, 4.0), None, (0.6, 0.1), (2.0, 5.0))
    trace = Trace(rows, (0.0, 0.0, 2.0, 0.0), 1.0)
    steps = [brute_force(scaled(F), 1.1) for F in ([rows[0]], [rows[0], rows[3]])]
    assert curve(task.bench, trace, 6) == pytest.approx([steps[0]] * 3 + [steps[1]] * 3)
    assert curve(task.bench, trace, 4, good=True) == pytest.approx([steps[0]] * 2 + [steps[1]] * 2)
    assert (curve(task.bench, Trace((), (), 0.0), 3) == 0).all()


@pytest.mark.parametrize(
    ("given", "source"), [(0.01, "everything that this bench measured"), (1.2, "the problem file")]
)
def test_a_better_front_raises_the_mark(problem, given, source):
    table, traces = bench(problem("reference = 1.1", f"reference = 1.1\nbest = {given}"))
    found = np.array([row for trace in traces.values() for row in trace.objectives])
    assert table.best.source == source
    assert table.best.hypervolume == pytest.approx(max(given, brute_force(scaled(found), 1.1)))


def test_a_space_that_cannot_be_listed_is_measured_by_what_was_found(problem):
    file = problem('space = "small"', 'space = "endless"')
    table, _ = bench(file, baselines=())
    assert table.best.source == "everything that this bench measured"
    assert max(s.curves.max() for s in table.standings) <= 1


def test_a_search_measures_what_nat_run_would(problem, tmp_path):
    from nat_core.run import build, find_parts, iterate, opened

    file = problem()
    _, traces = bench(file, baselines=(), seeds=1)
    ((cell, trace),) = traces.items()
    config = cell.config.model_copy(update={"search": cell.config.search.model_copy(update={"iterations": 2})})
    run = build(find_parts(config), tmp_path / "run")
    with opened(run, lambda *_: None) as ledger:
        *_, archive = iterate(run, ledger)
    assert len(archive) == 20
    assert archive.F.tolist() == [list(row) for row in trace.objectives]


def test_every_contestant_has_its_evaluations_distinct_and_canonical(problem):
    _, traces = bench(problem())
    assert {len(trace) for trace in traces.values()} == {20}
    asked = []
    meter = Meter(load_problem(asked), 20, 20)
    with pytest.raises(Spent):
        Rows(SmallSpace()).search(meter, ("toy_error", "toy_size"), 20, 0)
    assert len(asked) == len(set(asked)) == 20
    assert (SmallSpace().canonicalize(np.array(asked)) == np.array(asked)).all()


def load_problem(asked):
    from nat_core.problem import Problem

    space = SmallSpace()
    error = toy_error(space)

    def noting(X):
        asked.extend(as_architectures(X))
        return error(X)

    return Problem(space, ("toy_error", "toy_size"), {"toy_error": noting}, {"toy_size": toy_size(space)})


def test_a_meter_answers_from_memory_and_ends_a_baseline_that_has_nothing_new():
    asked = []
    meter = Meter(load_problem(asked), 20, 20)
    X = canonical()[:3]
    first = meter(X)
    assert (meter(X[::-1]) == first[::-1]).all()
    assert meter(X[:0]).shape == (0, 2)
    assert len(asked) == 3
    with pytest.raises(Spent):
        meter(np.repeat(X, 10_000, axis=0))


def test_spent_is_no_error_that_a_handler_may_swallow():
    assert not issubclass(Spent, Exception)


def test_a_baseline_that_ends_by_itself_keeps_what_it_had(problem, caplog):
    table, traces = bench(problem(), baselines=("rows,ends=true",), optimizers=(), seeds=1)
    (trace,) = traces.values()
    assert 12 <= len(trace) < 20
    assert table.standings[0].curves.shape == (1, 20)
    assert "ended by itself" in caplog.text


def test_two_benches_are_equal_but_for_their_times(problem):
    first, second = (document([bench(problem(), fail=0.2)[0]], []) for _ in range(2))
    for doc in (first, second):
        for contestant in doc["problems"][0]["contestants"]:
            assert contestant.pop("seconds")["median"] >= 0
    assert first == second


def test_a_share_of_the_measurements_fails(problem):
    table, traces = bench(problem(), fail=0.3, seeds=3)
    failing = {c: t for c, t in traces.items() if c.fail}
    assert all(sum(row is not None for row in t.objectives) == 20 for t in failing.values())
    assert all(t.objectives[-1] is not None for t in failing.values())
    lost = np.mean([row is None for t in failing.values() for row in t.objectives])
    assert 0.15 < lost < 0.45
    kept = [table.kept(s) for s in table.standings if s.fail]
    assert [k.shape for k in kept] == [(3, 20), (3, 20)]
    clean = [s for s in table.standings if not s.fail]
    for k, s, c in zip(kept, (s for s in table.standings if s.fail), clean, strict=True):
        assert k[1, 11] == pytest.approx(s.curves[1, 11] / c.curves[1, 11])
    shown = document([table], [])["problems"][0]["contestants"]
    assert [set(c["kept"]) for c in shown if c["fail"]] == [{"12", "20"}] * 2


def test_the_same_architectures_fail_for_everybody():
    X = canonical()
    share = [np.isnan([m.value for m in Failing(toy_error(SmallSpace()), 0.1, seed)(X)]) for seed in (0, 0, 1)]
    assert (share[0] == share[1]).all()
    assert (share[0] != share[2]).any()
    assert share[0].mean() == pytest.approx(0.1, abs=3 * math.sqrt(0.09 / len(X)))


def test_failures_are_no_warnings_of_their_own(problem, caplog):
    bench(problem(), fail=0.3, seeds=1)
    assert not caplog.records


def test_a_bench_goes_on_with_what_is_missing(problem, tmp_path, monkeypatch):
    file, out, played = problem(), tmp_path / "out.json", []

    def counting(cell):
        played.append(str(cell))
        if len(played) == 3:
            raise KeyboardInterrupt
        return play(cell)

    monkeypatch.setattr(contests, "play", counting)
    with pytest.raises(KeyboardInterrupt):
        bench(file, path=out)
    assert len(json.loads(out.read_text())["cells"]) == 2
    table, _ = bench(file, path=out)
    assert len(played) == 3 + 2
    assert not set(played[:2]) & set(played[3:])
    monkeypatch.setattr(contests, "play", play)
    fresh, _ = bench(file)
    assert [s.curves.tolist() for s in table.standings] == [s.curves.tolist() for s in fresh.standings]


def test_only_the_same_search_is_taken_from_a_file(problem, tmp_path, monkeypatch):
    out, played = tmp_path / "out.json", []
    monkeypatch.setattr(contests, "play", lambda cell: played.append(cell) or play(cell))
    for more, new in (
        ({}, 2),
        ({}, 0),
        ({"seeds": 3}, 1),
        ({"baselines": ("rows,step=3",)}, 2),
        ({"settings": ("rows.step=3",)}, 0),
        ({"fail": 0.1}, 2),
    ):
        played.clear()
        bench(problem(), path=out, **({"optimizers": (), "baselines": ("rows",)} | more))
        assert len(played) == new, more
    played.clear()
    bench(problem("[20, 12]", "[20, 30]"), path=out, optimizers=())
    assert len(played) == 2
    played.clear()
    bench(problem("high", "high"), path=out, baselines=(), settings=("search.batch=3",))
    bench(problem("high", "high"), path=out, baselines=(), settings=("search.batch=4",))
    assert len(played) == 4


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"nat_bench": 9, "cells": {}}', '{"nat_bench": 1, "cells": []}'])
def test_a_foreign_file_is_refused_and_left_alone(tmp_path, content):
    file = tmp_path / "out.json"
    file.write_text(content)
    with pytest.raises(StateError, match=r"out\.json"):
        BenchFile(file)
    assert file.read_text() == content


def test_a_damaged_cell_is_refused(problem, tmp_path):
    out = tmp_path / "out.json"
    bench(problem(), path=out, seeds=1, optimizers=())
    document = json.loads(out.read_text())
    next(iter(document["cells"].values()))["violation"].pop()
    out.write_text(json.dumps(document))
    with pytest.raises(StateError, match="Nothing was changed"):
        BenchFile(out)


def test_a_file_needs_a_folder(tmp_path):
    for place in (tmp_path, tmp_path / "none" / "out.json"):
        with pytest.raises(ConfigError, match="cannot be a file"):
            BenchFile(place)


def test_a_document_is_strict_json(problem):
    table, _ = bench(problem(), fail=0.2)
    text = json.dumps(document([table], []), allow_nan=False)
    contestant = json.loads(text)["problems"][0]["contestants"][0]
    assert contestant["name"] == "random + nothing"
    assert set(contestant["share"]) == {"12", "20"}
    assert contestant["reached"]["0.99"]["max"] is None
    assert np.shape(contestant["curves"]) == (2, 20)


def test_one_failing_search_does_not_end_the_others(problem):
    task = load(problem(), ())
    wanted = cells([task], contestants(task, ("random",), (), ("rows,fault=broken", "rows")), 2, 0.0)
    outcomes = {str(cell): outcome for cell, outcome in contest(wanted, BenchFile(None), 1)}
    faults = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, str)}
    assert set(faults) == {f"toy: rows,fault=broken, seed {s}" for s in range(2)}
    assert set(faults.values()) == {"ValueError: broken"}
    traces = {c: o for c in wanted if isinstance(o := outcomes[str(c)], Trace)}
    assert [s.name for s in tabulate(task, traces, None).standings] == ["random + nothing", "rows"]
    cell = next(c for c in wanted if c not in traces)
    (failure,) = document([], [(cell, "broken")])["failures"]
    assert failure == {"problem": "toy", "contestant": "rows,fault=broken", "seed": 0, "fail": 0.0, "reason": "broken"}


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_a_picture_is_drawn(problem, tmp_path, kind):
    table, _ = bench(problem(), fail=0.2)
    file = tmp_path / f"curves.{kind}"
    draw([table, table], file)
    content = file.read_bytes()
    assert content.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[kind])
    if kind == "svg":
        draw([table, table], file)
        assert file.read_bytes() == content


@pytest.mark.parametrize("name", ["curves.txt", "curves", "none/curves.svg"])
def test_a_picture_that_could_not_be_written_is_refused_at_once(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot draw"):
        require_format(tmp_path / name)


def test_the_table_says_what_was_compared(problem):
    from rich.console import Console

    table, _ = bench(problem(), fail=0.2, seeds=3)
    console = Console(width=200, record=True)
    for title, shown in tables(table):
        console.print(title, shown)
    text = console.export_text()
    first = next(line for line in text.splitlines() if line.startswith("random + nothing "))
    share = table.standings[0].share(12)
    assert f"{np.median(share):.3f} ({share.min():.3f}…{share.max():.3f})" in first
    assert "–" in first
    for word in ("the whole space", "after 12", "after 20", "90 % at", "rows, 20 % failing", "as many successful"):
        assert word in text


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (PROBLEM[PROBLEM.index("[bench]") :], "", r"no table \[bench\]"),
        ("toy_error = 8", "toy_error = 0.5", r"low.toy_error is 0.5 and high.toy_error is 0.5"),
        ("toy_error = 8", "toy_error = inf", "low has to be less"),
        ("toy_size = 9", "toy_sizes = 9", "low is set for toy_size, toy_error, and high for toy_error, toy_sizes"),
        ("reference = 1.1", "reference = 0", "bench.reference"),
        ("reference = 1.1", "best = -1", "bench.best"),
        ("reference = 1.1", "worst = 1", "bench.worst"),
        ("[20, 12]", "[]", "bench.evaluations"),
        ("[20, 12]", "[0]", "1 at least"),
        ('"toy_error", "toy_size"', '"toy_error", "toy_cost"', "the objectives are toy_error, toy_cost"),
        ('"toy_error", "toy_size"', '"toy_cost", "toy_size"', "low and high"),
        ('space = "small"', 'space = "smal"', "Did you mean 'small'"),
        ('optimizer = "random"', 'optimiser = "random"', "unknown setting 'optimiser'"),
        ("[bench]", "[bench]]", "not TOML"),
    ],
)
def test_a_faulty_problem_is_refused(problem, old, new, match):
    file = problem(old, new)
    with pytest.raises(ConfigError, match=match):
        check(cells([task := load(file, ())], contestants(task, (), (), ()), 1, 0.0))


@pytest.mark.parametrize(
    ("optimizers", "surrogates", "baselines", "settings", "match"),
    [
        (("randon",), (), (), (), "unknown optimizer 'randon'"),
        ((), ("somthing",), (), (), "unknown surrogate 'somthing'"),
        ((), (), ("row",), (), "unknown baseline 'row'. Did you mean 'rows'"),
        ((), (), ("rows,step",), (), "name,option=value"),
        ((), (), ("rows,steps=3",), (), "unknown option of rows 'steps'"),
        ((), (), ("rows,step=x",), (), "rows.step is 'x'"),
        ((), (), ("rows",), ("rows.stepp=3",), "unknown option of rows 'stepp'"),
        ((), (), (), ("rows.step=3",), "unknown part of this bench 'rows'"),
        (("random",), ("none",), (), (), "without a surrogate"),
    ],
)
def test_a_faulty_contestant_is_refused_before_anything_runs(
    problem, monkeypatch, optimizers, surrogates, baselines, settings, match
):
    if "none" in surrogates:
        monkeypatch.setitem(TOYS["optimizers"], "random", random)
        monkeypatch.setattr("nat_core.run.DirectOptimizer", int)
    task = load(problem(), settings)
    with pytest.raises(ConfigError, match=match):
        check(cells([task], contestants(task, optimizers, surrogates, baselines), 1, 0.0))


def test_what_learns_during_a_search_is_refused(problem):
    file = problem("toy_error", "learner")
    with pytest.raises(ConfigError, match="learns during the search"):
        check(cells([task := load(file, ())], contestants(task, (), (), ()), 1, 0.0))


def test_what_is_no_measurement_cannot_fail(problem):
    file = problem("toy_error", "toy_cost")
    task = load(file, ())
    check(cells([task], contestants(task, (), (), ()), 1, 0.0))
    with pytest.raises(ConfigError, match="none can fail"):
        check(cells([task], contestants(task, (), (), ()), 1, 0.1))


def test_two_problems_of_one_name_are_refused(problem):
    with pytest.raises(ConfigError, match="two problems are called 'toy'"):
        load_all([problem(), problem(name="other.toml")], ())


def test_every_optimizer_meets_every_surrogate_and_each_once(problem):
    task = load(problem(), ())
    names = [c.name for c in contestants(task, ("random", "nsga2,population=9"), ("a", "none"), ("rows", "rows"))]
    assert names == [
        *("random + a", "random + none", "nsga2,population=9 + a", "nsga2,population=9 + none"),
        "rows",
    ]
    assert [c.name for c in contestants(task, (), (), ())] == ["random + nothing"]
    assert [c.name for c in contestants(task, (), ("a",), ())] == ["random + a"]
    assert [c.name for c in contestants(task, (), (), ("rows",))] == ["rows"]


def test_a_journal_in_memory_gives_what_a_file_gives(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as file:
        for journal in (file, MemoryJournal()):
            assert journal.first("measured") is None
            journal.append("measured", architecture=(1, 2), objectives={"a": 0.1 + 0.2}, iteration=0)
            journal.append("measured", architecture=(2, 2), objectives={"a": 1}, iteration=1)
            with pytest.raises(ValueError, match="JSON compliant"):
                journal.append("measured", objectives={"a": math.nan})
            assert [r["architecture"] for r in journal.find("measured", iteration=1)] == [[2, 2]]
        memory = journal
        assert memory.records == file.records
    assert not Path("memory").exists()
