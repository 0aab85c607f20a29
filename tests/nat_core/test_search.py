"""The loop: what it does with failures, damaged weights, policies, and plugins that break their promises."""

from __future__ import annotations

import itertools
import logging
import math
import random
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from toyrun import Estimator, Optimizer, Quiet, Space, Surrogate, Toy, sealed, tree, truth

from nat_core.archive import Archive, Evaluation
from nat_core.contracts import Measurement
from nat_core.encoding import as_architectures
from nat_core.errors import ConfigError, FailureBudgetError, PluginError, StateError
from nat_core.journal import Journal, read
from nat_core.ledger import Batch, Ledger, replay
from nat_core.pareto import hypervolume, reference_point
from nat_core.problem import Constraint, Problem
from nat_core.search import Plan, choose, first, leaving, require_success, search, stale
from nat_core.weights import WeightStore


class Spy(Surrogate):
    """Sees what surrogates are given."""

    def __init__(self):
        self.seen = []

    def fit(self, X, y):
        self.seen.append((X, y))
        return super().fit(X, y)


class Says:
    """An optimizer or a surrogate that answers with what a function makes of the right answer."""

    def __init__(self, twist):
        self.twist = twist

    def propose(self, problem, archive, n, rng):
        return self.twist(Optimizer().propose(problem, archive, n, rng), archive)

    def fit(self, X, y):
        function = Surrogate().fit(X, y)
        return lambda rows: self.twist(function(rows), rows)


def kinds(folder):
    return Counter(record["kind"] for record in read(folder / "journal.jsonl"))


@pytest.mark.parametrize("policy", ["all", "front", "none"])
def test_a_replay_gives_the_archives_of_the_search(place, policy):
    toy = Toy().but(remeasure=policy, iterations=4, capacity=12)
    archives = list(toy.archives(place))
    assert list(replay(read(place / "journal.jsonl"), ("distance", "size"))) == archives


@pytest.mark.parametrize("policy", ["all", "front", "none"])
def test_what_is_measured_again_is_what_the_policy_says(place, policy):
    archives = list(Toy().but(remeasure=policy, iterations=3).archives(place))
    for before, after in itertools.pairwise(archives):
        version = after.evaluations[-1].weights
        again = {e.architecture for e in after if e.weights == version} & before.architectures
        everything = policy == "all" or (policy == "front" and after is archives[-1])
        some = before.front.architectures if policy == "front" else frozenset()
        assert again == (before.architectures if everything else some)
        assert version == before.evaluations[-1].weights + 1


def test_a_surrogate_never_sees_mixed_versions(place):
    spy, fits, before = Spy(), 0, Archive(())
    toy = Toy(surrogate=spy, fault=lambda a: math.nan if a[3] == 2 else None).but(failure_rate=1.0, iterations=4)
    for archive in toy.archives(place):
        for X, y in spy.seen[fits:]:
            assert before.measured.X.tolist() == X.tolist()
            assert before.measured.F[:, 0].tolist() == y.tolist()
            assert len({e.weights for e in before.measured}) == 1
            assert np.isfinite(y).all()
        fits, before = len(spy.seen), archive
    assert fits == 4


def test_nothing_is_measured_again_while_nothing_is_learnt(place):
    """Without an estimator that adapts no weights get stale."""
    asked = []

    def flat(X):
        asked.append(tuple(X[0].tolist()))
        return [Measurement(float(X.sum()))]

    problem = Problem(Space(), ("flat", "size"), {"flat": flat}, {"size": lambda X: -X.sum(axis=1).astype(float)})
    plan = Plan(iterations=3, initial=4, batch=2, pool=4, remeasure="all")
    with Journal(place / "journal.jsonl", Quiet()) as journal:
        ledger = Ledger(problem, journal, WeightStore(place / "weights", {}, journal), lambda *_: None)
        *_, archive = search(problem, Surrogate(), Optimizer(), plan, 0, ledger)
    assert len(archive) == len(asked) == len(set(asked)) == 10
    assert not (place / "weights").exists()


def broken(architecture):
    """Every way in which an estimator can fail, by the last variable."""
    if architecture[3] == 0:
        return None
    if architecture[3] == 1:
        raise ValueError("a shape does not fit\nin line two")
    wrong = [Measurement(math.nan, "diverged"), Measurement(-math.inf), None, "text", 3.5]
    wrong += [Measurement(1j), Measurement(None), Measurement("12 percent")]
    i = architecture[0] + 4 * (architecture[3] - 2)
    return wrong[i : i + 1] if i else []


REASONS = (
    "ValueError: a shape does not fit in line two",
    "the value is -inf",
    "IndexError",
    "TypeError",
    "AttributeError",
)


def test_failures_are_recorded_with_their_reason_and_used_for_nothing(place):
    spy = Spy()
    toy = Toy(surrogate=spy, fault=broken, seed=3).but(failure_rate=1.0, iterations=8, initial=10)
    archive = toy.run(place)
    failed = [r for r in read(place / "journal.jsonl") if r["kind"] == "failed"]
    assert {tuple(r["architecture"]) for r in failed} == {e.architecture for e in archive if e.objectives is None}
    assert len(failed) >= 15  # each once: a failure is final
    for reason in REASONS:
        assert any(reason in r["reason"] for r in failed), reason
    assert all(r["reason"].startswith("distance: ") and len(r["reason"]) < 600 for r in failed)
    assert all(e.failure for e in archive if e.objectives is None)
    assert all(a[3] == 0 for a in archive.front.architectures)
    assert all((X[:, 3] == 0).all() and np.isfinite(y).all() for X, y in spy.seen)
    assert hypervolume(archive.front.F, reference_point(archive.measured.F)) > 0
    assert "NaN" not in (place / "journal.jsonl").read_text()
    assert "Infinity" not in (place / "journal.jsonl").read_text()


def test_a_long_reason_does_not_swell_the_journal(place):
    def fault(architecture):
        if architecture[3] == 1:
            raise RuntimeError("x" * 100_000)

    Toy(fault=fault).but(failure_rate=1.0).run(place)
    assert kinds(place)["failed"] > 0
    assert max(map(len, (place / "journal.jsonl").read_bytes().splitlines())) < 4096


def test_a_constraint_that_overflows_is_a_failure_not_a_stop(place):
    toy = Toy(
        fault=lambda a: [Measurement(1e308)] if a[0] == 1 else None, constraints=(Constraint("distance", "<=", 1e-9),)
    )
    archive = toy.but(failure_rate=1.0).run(place)
    failed = [e for e in archive if e.objectives is None]
    assert failed
    assert all("the constraints" in e.failure and e.architecture[0] == 1 for e in failed)


def test_always_failing_ends_the_run_with_its_own_code(place):
    toy = Toy(fault=lambda _: math.nan)
    for _ in range(2):  # and so does going on with it
        with pytest.raises(
            FailureBudgetError, match="5 of 5 architectures could not be measured; the last reason"
        ) as e:
            toy.run(place)
        assert e.value.exit_code == 5
    assert kinds(place) == {"proposed": 1, "adapted": 1, "failed": 5}


@pytest.mark.parametrize("capacity", [None, 12])
def test_the_failure_budget_counts_what_has_left_the_archive_too(place, capacity):
    calls = Counter()

    def fault(architecture):
        if calls["first"] < 10:
            calls["first"] += 1
            return None
        if architecture not in good:
            return math.nan
        return None

    good = set(as_architectures(first(Problem(Space(), (), {}, {}), 10, np.random.default_rng(0))))
    toy = Toy(fault=fault).but(initial=10, iterations=60, capacity=capacity, remeasure="none", failure_rate=0.6)
    with pytest.raises(FailureBudgetError) as caught:
        toy.run(place)
    assert " of 2" in str(caught.value)  # 16 of 26, or as near as the batches get


def test_half_the_architectures_failing_is_within_the_default_budget_and_more_is_not():
    archive = Archive(("a",), tuple(Evaluation((i,), (1.0,) if i % 2 else None, 0, 0, failure="no") for i in range(20)))
    plan = Toy().plan
    require_success(archive, plan)
    with pytest.raises(FailureBudgetError, match="11 of 21"):
        require_success(archive.extend([Evaluation((21,), None, 0, 0, failure="no")]), plan)
    few = Archive(("a",), tuple(Evaluation((i,), None if i else (1.0,), 0, 0, failure="no") for i in range(5)))
    require_success(few, plan)


@pytest.mark.parametrize(
    "twist",
    {
        "nan": lambda y, _: y * np.nan,
        "some inf": lambda y, _: np.where(np.arange(len(y)) % 2, np.inf, y),
        "column": lambda y, _: y[:, None],
        "too few": lambda y, _: y[:-1],
        "list": lambda y, _: y.tolist(),
        "raises": lambda y, _: y[len(y)],
    }.items(),
    ids=lambda item: item[0],
)
def test_predictions_that_are_not_finite_do_not_break_the_loop(place, twist, caplog):
    toy = Toy(surrogate=Says(twist[1]))
    archive = toy.run(place)
    assert len(archive) == 13
    assert toy.run(place) == archive
    quiet = twist[0] in {"column", "list"}
    assert ("no prediction of distance" in caplog.text) == (not quiet)
    assert caplog.text.count("no prediction") <= 2  # once an iteration, not once a call


def test_a_surrogate_that_cannot_fit_is_said_and_stood_in_for(place, caplog):
    class Singular:
        def fit(self, *_):
            raise np.linalg.LinAlgError("Singular matrix")

    toy = Toy(surrogate=Singular())
    archive = toy.run(place)
    assert len(archive) == 13
    assert "no surrogate of distance (LinAlgError: Singular matrix)" in caplog.text
    assert toy.run(place) == archive


def test_strictly_a_surrogate_that_cannot_fit_is_an_error(place):
    class Singular:
        def fit(self, *_):
            raise np.linalg.LinAlgError("Singular matrix")

    toy = Toy(surrogate=Singular())
    with pytest.raises(PluginError, match=r"no surrogate of distance \(LinAlgError: Singular matrix\)"):
        toy.run(place, strict=True)
    assert kinds(place)["measured"] == toy.plan.initial
    assert len(toy.run(place)) == 13  # and goes on with another word


def test_a_surrogate_may_say_what_a_user_can_do(place):
    class Refusing:
        def fit(self, *_):
            raise StateError("install something")

    with pytest.raises(StateError, match="install something"):
        Toy(surrogate=Refusing()).run(place)


TWISTS = {
    "too few": lambda X, _: X[:1],
    "none": lambda X, _: X[:0],
    "empty list": lambda *_: [],
    "doubles": lambda X, _: np.repeat(X, 3, axis=0),
    "known": lambda X, archive: np.vstack([archive.X, X]),
    "not canonical": lambda X, _: X + np.where(X[:, 1:2] == 0, [0, 0, 1, 0], 0),
    "outside": lambda X, _: np.vstack([X[:2] + 4, X[:2] - 4, X]),
    "floats": lambda X, _: X.astype(float),
    "lists": lambda X, _: X.tolist(),
}


@pytest.mark.parametrize("name", TWISTS)
def test_an_optimizer_that_breaks_its_promise_does_not_break_the_loop(place, name):
    toy = Toy(optimizer=Says(TWISTS[name])).but(iterations=4)
    archive = toy.run(place)
    asked = Counter(
        (r["iteration"], tuple(r["architecture"])) for r in read(place / "journal.jsonl") if r["kind"] == "measured"
    )
    assert set(asked.values()) == {1}
    assert (Space().canonicalize(archive.X) == archive.X).all()
    assert len(archive) == {"too few": 9, "none": 5, "empty list": 5}.get(name, 21)
    assert toy.run(place) == archive


def test_an_exhausted_space_ends_in_order(place, caplog):
    toy = Toy().but(initial=190, batch=20, iterations=3, remeasure="none")
    archive = toy.run(place)
    assert len(archive) == 208  # 4 · (3 · 4 + 1) · 4
    assert toy.run(place) == archive
    assert "the space holds hardly any more" in caplog.text


def test_interrupted_measurements_are_the_only_ones_done_again(place):
    class Stop(BaseException):
        pass

    stopped = []

    def fault(_):
        if len(toy.asked) in {3, 9, 20, 21} and len(toy.asked) not in stopped:
            stopped.append(len(toy.asked))
            raise Stop

    toy = Toy(fault=fault)
    for _ in range(4):
        with pytest.raises(Stop):
            toy.run(place)
    archive = toy.run(place)
    assert len(toy.asked) == 27 + 4
    assert kinds(place)["measured"] == 27
    (place / "again").mkdir()
    assert Toy().run(place / "again") == archive


def test_a_run_that_stopped_in_an_adaptation_adapts_again_from_the_version_before(place, monkeypatch):
    reference = place / "reference"
    reference.mkdir()
    expected = Toy().run(reference)
    adapt, calls = Estimator.adapt, []

    def failing(self, X, iteration, iterations, progress):
        losses = adapt(self, X, iteration, iterations, progress)
        calls.append(iteration)
        if calls == [0, 1]:
            raise RuntimeError("out of memory")
        return losses

    monkeypatch.setattr(Estimator, "adapt", failing)
    toy = Toy()
    with pytest.raises(RuntimeError, match="out of memory"):
        toy.run(place)
    assert toy.run(place) == expected
    assert calls == [0, 1, 1, 2]
    assert sealed(truth(place)) == sealed(truth(reference))


def test_another_use_of_random_numbers_changes_nothing(place):
    class Reseeding(Optimizer):
        def propose(self, problem, archive, n, rng):
            np.random.seed(len(archive))  # noqa: NPY002
            random.seed(0)
            return super().propose(problem, archive, n, rng)

    for name, optimizer in (("a", Optimizer()), ("b", Reseeding())):
        (place / name).mkdir()
        Toy(optimizer=optimizer).run(place / name)
    assert sealed(truth(place / "a")) == sealed(truth(place / "b"))


def test_progress_tells_what_goes_on(place):
    toy = Toy()
    toy.run(place)
    assert {"search", "adapt", "measure"} == set(toy.events)
    toy.events.clear()
    toy.run(place)
    assert toy.events == []


def test_the_initial_sample_has_the_corners_and_prefers_what_is_within_the_constraints():
    space, rng = Space(), np.random.default_rng(0)
    size = {"size": lambda X: X.sum(axis=1).astype(float)}
    X = first(Problem(space, (), {}, size), 12, rng)
    assert as_architectures(X[:2]) == [(0, 0, 0, 0), (3, 3, 3, 3)]
    assert len(set(as_architectures(X))) == 12
    tight = first(Problem(space, (), {}, size, (Constraint.parse("size>=8"),)), 12, rng)
    assert (tight.sum(axis=1) >= 8).all()
    assert as_architectures(tight)[0] == (3, 3, 3, 3)


def test_the_archive_keeps_to_its_capacity_and_its_feasible_front(place):
    constraints = (Constraint.parse("size>=6"),)
    seen = 0
    toy = Toy(constraints=constraints).but(capacity=12, iterations=8, remeasure="none")
    before = None
    for archive in toy.archives(place):
        assert len(archive) <= 12
        if before is not None and len(before.front) <= 8 and (before.front.violation == 0).all():
            assert before.front.architectures <= archive.architectures
            seen += 1
        before = archive
    assert seen >= 4


def test_what_leaves_is_infeasible_or_dominated_first():
    def rows(*values):
        return [Evaluation((i,), f, 0, 0, violation=v, failure="" if f else "no") for i, (f, v) in enumerate(values)]

    archive = Archive(("a", "b")).extend(
        rows(((0, 0), 2.0), (None, math.inf), ((1, 3), 0.0), ((3, 1), 0.0), ((4, 4), 0.0), ((0, 1), 1.0))
    )
    assert leaving(archive, 1, None) == ()
    assert leaving(archive, 1, 7) == ()
    assert set(leaving(archive, 1, 6)) == {(1,)}
    assert set(leaving(archive, 2, 6)) == {(1,), (0,)}
    assert set(leaving(archive, 3, 6)) == {(1,), (0,), (5,)}
    assert set(leaving(archive, 4, 6)) == {(1,), (0,), (5,), (4,)}
    assert len(leaving(archive, 9, 6)) == 6


def test_a_failure_is_not_proposed_again_though_it_left_the_archive(place):
    toy = Toy(fault=lambda a: math.nan if a[3] == 3 else None)
    toy = toy.but(capacity=10, iterations=30, failure_rate=1.0, remeasure="none")
    toy.run(place)
    failed = Counter(tuple(r["architecture"]) for r in read(place / "journal.jsonl") if r["kind"] == "failed")
    assert len(failed) > 5
    assert set(failed.values()) == {1}


def test_stale():
    evaluations = [Evaluation((i,), (float(i), 1.0 - i) if i < 3 else None, 0, i % 2) for i in range(4)]
    archive = Archive(("a", "b"), tuple(evaluations))
    assert stale(archive, "all").tolist() == [[0], [1], [2]]
    assert stale(archive, "all", 1).tolist() == [[0], [2]]
    assert stale(archive, "none", 1).tolist() == []
    assert stale(archive, "front", 0).tolist() == [[1]]


def chosen_of(pool, archive, n, constraints=()):
    """On a line of compromises: a + b is 4, and more where the last variable is set."""
    costs = {"a": lambda X: X[:, 0] * 1.0, "b": lambda X: 4.0 - X[:, 0] + X[:, 3]}
    problem = Problem(Space(), ("a", "b"), {}, costs, constraints)
    return choose(problem.predict({}), np.array(pool), archive, n).X.tolist()


def test_what_adds_most_to_the_front_is_chosen():
    ends = Archive(("a", "b"), (Evaluation((0, 0, 0, 0), (0.0, 4.0), 0, 0), Evaluation((4, 0, 0, 0), (4.0, 0.0), 0, 0)))
    pool = [(1, 0, 0, 0), (2, 0, 0, 2), (2, 0, 0, 0), (3, 0, 0, 1)]
    assert chosen_of(pool, ends, 1) == [[2, 0, 0, 0]]
    assert chosen_of(pool, ends, 2) == [[2, 0, 0, 0], [1, 0, 0, 0]]


def test_what_adds_nothing_follows_in_order():
    ends = Archive(("a", "b"), (Evaluation((0, 0, 0, 0), (0.0, 4.0), 0, 0), Evaluation((2, 0, 0, 0), (2.0, 2.0), 0, 0)))
    pool = [(0, 0, 0, 1), (2, 0, 0, 2), (1, 0, 0, 0)]
    assert chosen_of(pool, ends, 3)[0] == [1, 0, 0, 0]
    assert len(chosen_of(pool, ends, 3)) == 3


def test_what_is_not_feasible_is_chosen_last():
    ends = Archive(("a", "b"), (Evaluation((0, 0, 0, 0), (0.0, 4.0), 0, 0), Evaluation((4, 0, 0, 0), (4.0, 0.0), 0, 0)))
    bound = (Constraint.parse("a<=1"),)
    assert chosen_of([(2, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1)], ends, 3, bound)[-1] == [2, 0, 0, 0]


def test_with_too_many_objectives_for_the_volume_an_even_spread_is_chosen():
    names = tuple("abcdefgh")
    costs = {name: (lambda X, i=i: np.abs(X[:, 0] - i) * 1.0) for i, name in enumerate(names)}
    predicted = Problem(Space(), names, {}, costs).predict({})
    archive = Archive(names, (Evaluation((0, 0, 0, 0), tuple(np.abs(np.arange(8.0))), 0, 0),))
    assert choose(predicted, np.array([(1, 0, 0, 0), (3, 0, 0, 0)]), archive, 1).X.tolist() == [[3, 0, 0, 0]]


class Asking:
    """Asks for random rows, some of them known; predictions it cannot use."""

    def propose(self, *_):
        raise AssertionError("nothing is predicted here")

    def ask(self, problem, archive, n, rng):
        return np.vstack([archive.X[:1], problem.space.sample(5 * n, rng)])


def test_without_a_surrogate_the_optimizer_asks(place):
    toy = Toy(surrogate=None, optimizer=Asking())
    archive = toy.run(place)
    first_batch, *batches = [r for r in read(place / "journal.jsonl") if r["kind"] == "proposed"]
    assert len(batches) == toy.plan.iterations
    assert all(r["predicted"] is None for r in batches)
    assert all(len(r["architectures"]) == toy.plan.batch for r in batches)
    assert len(archive) == len(first_batch["architectures"]) + toy.plan.batch * len(batches)
    assert all(e.predicted is None for e in archive)


def test_without_a_surrogate_another_optimizer_is_refused(place):
    with pytest.raises(ConfigError, match=r"Optimizer cannot search without a surrogate: it has no method ask\(\)"):
        Toy(surrogate=None).run(place)


# what is wrong with the weights


def spoil(file, how):
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    elif how == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes({"empty": b"", "cut": content[:-1], "flipped": bytes([content[0] ^ 1]) + content[1:]}[how])


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("how", ["missing", "empty", "cut", "flipped", "folder"])
def test_damaged_weights_are_put_aside_and_made_again(place, how, version, caplog):
    (place / "a").mkdir()
    (place / "b").mkdir()
    expected = Toy().run(place / "a")
    archives = Toy().archives(place / "b")
    for _ in range(version + 1):
        next(archives)
    archives.close()
    if version == 2:  # the last iteration: as if killed before its last measurement
        drop_last_line(place / "b" / "journal.jsonl")
    file = place / "b" / "weights" / f"{version:04d}" / "distance"
    healthy = file.read_bytes()
    spoil(file, how)
    assert Toy().run(place / "b") == expected
    assert f"weights of iteration {version}: distance" in caplog.text
    assert (place / "b" / "weights" / f"{version:04d}.damaged").is_dir()
    assert sealed(truth(place / "a")) == sealed(truth(place / "b"))
    newest = place / "b" / "weights" / "0002" / "distance"
    assert newest.read_bytes() == (place / "a" / "weights" / "0002" / "distance").read_bytes()
    assert version < 2 or newest.read_bytes() == healthy


def drop_last_line(file):
    *lines, _ = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines))


def test_weights_gone_with_those_before_are_a_state_error_and_nothing_changes(place):
    archives = Toy().archives(place)
    next(archives)
    next(archives)
    archives.close()
    for version in (0, 1):
        spoil(place / "weights" / f"{version:04d}" / "distance", "flipped")
    before = tree(place)
    with pytest.raises(StateError, match=r"iteration 1 .* cannot be used") as caught:
        Toy().run(place)
    assert caught.value.exit_code == 3
    # the proposal of the next iteration was recorded before its weights were asked for; nothing else may happen
    after = tree(place)
    assert after.pop("journal.jsonl").startswith(before.pop("journal.jsonl"))
    assert after == before


def test_weights_that_do_not_come_out_the_same_are_a_state_error(place, monkeypatch):
    archives = Toy().archives(place)
    next(archives)
    archives.close()
    spoil(place / "weights" / "0000" / "distance", "missing")
    adapt = Estimator.adapt
    monkeypatch.setattr(Estimator, "adapt", lambda self, X, *rest: adapt(self, X + 1, *rest))
    with pytest.raises(StateError, match="could not be made again"):
        Toy().run(place)


def test_two_versions_are_kept(place):
    toy = Toy().but(iterations=5)
    for i, _ in enumerate(toy.archives(place)):
        kept = sorted(folder.name for folder in (place / "weights").iterdir())
        assert kept == [f"{v:04d}" for v in range(max(0, i - 1), i + 1)]


def test_weights_are_read_only_when_something_is_left_to_do(place, monkeypatch):
    toy = Toy()
    archive = toy.run(place)
    for version in ("0001", "0002"):
        (place / "weights" / version / "distance").unlink()
    monkeypatch.setattr(Estimator, "load", lambda *_: pytest.fail("nothing is left to do"))
    assert toy.run(place) == archive


# the test split


class Testing(Estimator):
    __test__ = False

    def test(self, X):
        self.asked.append(tuple(X[0].tolist()))
        if X[0, 0] == 1:
            raise RuntimeError("broken picture")
        return [Measurement(float(X.sum()) if X[0, 0] else math.nan, "no pictures")]


def test_the_test_split_is_asked_once_for_each_and_a_failure_is_said(place, caplog):
    front = Archive(("distance",), tuple(Evaluation((i, 1, 1, 1), (1.0,), 0, -1) for i in range(4)))
    estimator = Testing(Quiet())
    problem = Problem(Space(), ("distance",), {"distance": estimator}, {})
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        with Journal(place / "journal.jsonl", Quiet()) as journal:
            ledger = Ledger(problem, journal, WeightStore(place / "w", {}, journal), lambda *_: None)
            results = ledger.test(front)
        assert results == {
            (0, 1, 1, 1): {},
            (1, 1, 1, 1): {},
            (2, 1, 1, 1): {"distance": 5.0},
            (3, 1, 1, 1): {"distance": 6.0},
        }
    assert len(estimator.asked) == 4
    assert "broken picture" in caplog.text
    assert "no pictures" in caplog.text


def test_a_batch_comes_back_as_it_was_recorded(place):
    problem = Problem(Space(), ("distance", "size"), {}, {})
    batches = [
        Batch(np.array([(1, 2, 3, 0)]), np.array([(0.1, 2.0)]), ((0, 0, 0, 0),), {"distance": "τ of gp 0.93"}),
        Batch(np.empty((0, 4), dtype=np.int64), np.empty((0, 2))),
        Batch(np.array([(1, 1, 1, 1)])),
    ]
    with Journal(place / "journal.jsonl", Quiet()) as journal:
        ledger = Ledger(problem, journal, WeightStore(place / "w", {}, journal), lambda *_: None)
        for i, batch in enumerate(batches):
            ledger.record(i, batch)
            found = ledger.batch(i)
            assert (found.X == batch.X).all()
            assert found.X.shape == batch.X.shape
            assert found.dropped == batch.dropped
            assert found.surrogates == ledger.notes(i) == batch.surrogates
            assert (found.predicted is None) == (batch.predicted is None)
            assert batch.predicted is None or (found.predicted == batch.predicted).all()
        assert ledger.batch(3) is None
        assert ledger.notes(3) == {}


class Telling(Surrogate):
    """Fitted functions that say so many measurements they learnt from; and how far they may be wrong, if asked to."""

    def __init__(self, note=lambda n: f"of\n {n}", *, uncertain=False):
        self.note, self.uncertain = note, uncertain

    def fit(self, X, y):
        predict, note = super().fit(X, y), self.note

        class Fitted:
            def __call__(self, rows):
                return predict(rows)

            @property
            def note(self):
                return note(len(X))

        class Unsure(Fitted):
            def at_best(self, rows, deviations):
                return predict(rows) - deviations

            def believe(self, _rows):
                raise RuntimeError("does not know")

        return Unsure() if self.uncertain else Fitted()


@pytest.mark.parametrize("uncertain", [False, True])
def test_what_surrogates_say_of_themselves_is_recorded(place, uncertain):
    toy = Toy(surrogate=Telling(uncertain=uncertain))
    toy.run(place)
    said = [r["surrogates"] for r in read(place / "journal.jsonl") if r["kind"] == "proposed"]
    assert said == [{}, {"distance": "of 5"}, {"distance": "of 9"}]  # one line; the cost has no surrogate
    before = tree(place)
    replace(toy, surrogate=Surrogate()).run(place)  # nothing is fitted again
    assert tree(place) == before


def impossible(n):
    raise RuntimeError(f"no note of {n}")


@pytest.mark.parametrize(
    ("note", "recorded"),
    [(impossible, {}), (lambda n: n, {}), (lambda _: " \n", {}), (lambda _: "x" * 9999, {"distance": "x" * 500})],
)
def test_a_note_is_a_short_line_or_nothing(place, note, recorded, caplog):
    toy = Toy(surrogate=Telling(note))
    assert len(toy.run(place)) == 13
    assert [r["surrogates"] for r in read(place / "journal.jsonl") if r["kind"] == "proposed"][1:] == 2 * [recorded]
    assert caplog.text.count("no note of 5") == (note is impossible)


def test_a_journal_without_notes_is_gone_on_with(tmp_path, place):
    """As they were written before there were notes."""
    toy = Toy(surrogate=Telling())
    whole = toy.run(place)
    with Journal(tmp_path / "journal.jsonl", Quiet()) as old:
        for record in itertools.takewhile(lambda r: r.get("iteration", 0) < 2, read(place / "journal.jsonl")):
            fields = {k: v for k, v in record.items() if k not in {"kind", "crc", "surrogates"}}
            old.append(record["kind"], **fields)
    shutil.copytree(place / "weights", tmp_path / "weights")
    assert toy.run(tmp_path) == whole
    assert ["surrogates" in r for r in read(tmp_path / "journal.jsonl") if r["kind"] == "proposed"] == [
        False,
        False,
        True,
    ]
