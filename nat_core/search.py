"""The search of Neural Architecture Transfer (Lu et al., TPAMI 2021), as a generator of archives.

    start     corners and networks of all sizes; adapt the supernet to them; measure them
    repeat    fit the surrogates; propose on their predictions; choose what is worth measuring
              adapt the supernet to the archive; measure what was chosen, and what the new weights made stale
              yield the archive

Everything costly goes through the ledger, which does it once: what the journal holds already is read from there. So a
resumed search is the same search, run again from the beginning, with a memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nat_core.archive import Archive
from nat_core.contracts import DirectOptimizer, Function, Optimizer, Surrogate
from nat_core.encoding import Architecture, Encodings, Values, corners, new_rows, sized_encodings, sizes
from nat_core.errors import ConfigError, FailureBudgetError, NatError, blame
from nat_core.hopes import Hopes, at_best, guarded, notes
from nat_core.ledger import Batch, Ledger
from nat_core.pareto import EXACT, spread
from nat_core.problem import Predicted, Problem
from nat_core.proposals import Visited, fill, order, visit
from nat_core.seeding import rng

log = logging.getLogger("nat_core")

_TOGETHER = 1000  # rows at most that a batch is chosen from: beliefs of n rows together take n² numbers
_DRAWS = 20  # of as many networks as begin a search: constraints may leave few of them


@dataclass(frozen=True)
class Plan:
    """How long to search, and how widely."""

    iterations: int  # after the initial one
    initial: int  # architectures measured to begin with
    batch: int  # new architectures in an iteration
    pool: int  # proposals that the batch is chosen from
    remeasure: Literal["all", "front", "none"]  # what new weights make stale
    capacity: int | None = None  # the archive never grows beyond
    fit_size: int | None = None  # the surrogates learn from so many at most
    optimism: float = 1.0  # standard deviations that a row is given credit for where a surrogate is not sure
    failure_rate: float = 0.5  # a larger share of failed measurements ends the run
    failure_floor: int = 5  # once there are so many failures

    def policy(self, iteration: int) -> Literal["all", "front", "none"]:
        """What new weights make stale in an iteration.

        Nothing is left stale by the last: what was off the front with early weights may well be on it.
        """
        return "all" if self.remeasure == "front" and iteration == self.iterations else self.remeasure


def search(
    problem: Problem, surrogate: Surrogate | None, optimizer: Optimizer, plan: Plan, seed: int, ledger: Ledger
) -> Iterator[Archive]:
    """Yield the archive after the initial sample and after each iteration.

    Without a surrogate nothing is predicted: the optimizer, a `DirectOptimizer`, asks for what is measured.
    """
    archive = everything = Archive(problem.names)
    for iteration in range(plan.iterations + 1):
        batch = ledger.batch(iteration)
        if batch is None:
            if iteration == 0:
                batch = Batch(first(problem, plan.initial, rng(seed, "initial")))
            else:
                final = failed(everything)
                batch = propose(problem, archive, surrogate, optimizer, plan, seed, iteration, ledger, final)
            ledger.record(iteration, batch)
        archive = archive.without(batch.dropped)
        ledger.adapt(iteration, plan.iterations, np.vstack([archive.X.reshape(-1, batch.X.shape[1]), batch.X]))
        again = stale(archive, plan.policy(iteration), ledger.weights.version)
        evaluations = ledger.measure(iteration, again, batch)
        archive, everything = archive.extend(evaluations), everything.extend(evaluations)
        require_success(everything, plan)
        yield archive


def first(problem: Problem, n: int, rng: np.random.Generator) -> Encodings:
    """The two corners of the space and networks of all sizes between, (n, n_variables): feasible ones first."""
    variables = problem.space.variables
    shares = (np.arange(n) + 0.5) / n
    drawn = [sized_encodings(variables, rng.permutation(shares), rng) for _ in range(_DRAWS)]
    candidates = new_rows(problem.space.canonicalize(np.vstack([corners(variables), *drawn])))
    order = np.argsort(problem.cost_violation(candidates), kind="stable")
    return fill(problem.space, candidates[order], Archive(problem.names), n, rng)


def propose(
    problem: Problem,
    archive: Archive,
    surrogate: Surrogate | None,
    optimizer: Optimizer,
    plan: Plan,
    seed: int,
    iteration: int,
    ledger: Ledger,
    final: frozenset[Architecture] = frozenset(),
) -> Batch:
    """Predict, optimize, choose. What is `final` is not proposed again, whether the archive holds it still or not."""
    known, draw = archive.architectures | final, rng(seed, "propose", iteration)
    if surrogate is None:
        with ledger.timed("optimizer"):
            asked = ask(problem, archive, optimizer, plan.batch, draw, known)
        return Batch(asked, None, leaving(archive, len(asked), plan.capacity))
    with ledger.timed("surrogate"):
        learnt = fit(problem, fit_set(archive.measured, plan.fit_size), surrogate, strict=ledger.strict)
        predicted = problem.predict(learnt)
    with ledger.timed("optimizer"):
        hoped = problem.predict(at_best(learnt, plan.optimism))
        pool = worthy(problem, optimizer.propose(hoped, archive, max(plan.pool, plan.batch), draw), known)
        chosen = choose(predicted, pool, archive, plan.batch, plan.optimism)
    said = notes({name: function for name, function in learnt.items() if name in problem.estimators})
    return Batch(chosen.X, chosen.F, leaving(archive, len(chosen), plan.capacity), said)


def ask(
    problem: Problem,
    archive: Archive,
    optimizer: Optimizer,
    n: int,
    rng: np.random.Generator,
    known: frozenset[Architecture],
) -> Encodings:
    """What an optimizer wants measured where nothing is predicted, (at most n, n_variables)."""
    if not isinstance(optimizer, DirectOptimizer):
        raise ConfigError(f"{type(optimizer).__name__} cannot search without a surrogate: it has no method ask()")
    asked = worthy(problem, optimizer.ask(problem, archive, n, rng), known)
    return asked[np.argsort(problem.cost_violation(asked), kind="stable")][:n]


def fit(problem: Problem, archive: Archive, surrogate: Surrogate, *, strict: bool = False) -> dict[str, Function]:
    """A surrogate for each costly objective, and each cost as it is; none ever gives anything that is not finite."""
    functions = dict[str, Function]()
    for name, y in zip(problem.names, archive.F.T, strict=True):
        costly = name in problem.estimators
        function = _fitted(name, surrogate, archive.X, y, strict=strict) if costly else problem.costs[name]
        functions[name] = guarded(name, function, y)
    return functions


def fit_set(archive: Archive, size: int | None) -> Archive:
    """The evaluations that surrogates learn from: all, or the `size` best and most spread."""
    return archive if size is None else _keep(archive, spread(archive.F, size))


def worthy(problem: Problem, pool: Encodings, known: frozenset[Architecture]) -> Encodings:
    """The rows of a pool that are what an optimizer promises: canonical, each once, new. The others are left out."""
    choices = sizes(problem.space.variables)
    X = np.asarray(pool, dtype=np.int64).reshape(-1, len(choices))
    X = X[((X >= 0) & (choices > X)).all(axis=1)]
    kept = new_rows(problem.space.canonicalize(X), known)
    if len(kept) < len(pool):
        log.info("%d of %d proposed rows were double, known or outside the space", len(pool) - len(kept), len(pool))
    return kept


def choose(predicted: Predicted, pool: Encodings, archive: Archive, n: int, optimism: float = 0.0) -> Visited:
    """The rows of the pool worth measuring: within the constraints, and adding most to the archive's front.

    What a row would add is the hypervolume between its predictions, at best, and the front as it was measured. Rows
    that would add nothing, and all rows where there are too many objectives for the volume, follow by an even spread.
    """
    visited = visit(predicted, pool)
    front = archive.front.where(archive.front.violation <= 0)
    chosen = np.empty(0, dtype=np.int64)
    if len(front) and len(predicted.names) <= EXACT:
        feasible = np.flatnonzero(visited.violation <= 0)[:_TOGETHER]
        chosen = feasible[Hopes.of(predicted, visited[feasible], optimism).most_added(n, front.F)]
    rest = np.setdiff1d(np.arange(len(visited)), chosen)
    there = np.vstack([front.F.reshape(-1, len(predicted.names)), visited.F[chosen]])
    return visited[np.concatenate([chosen, rest[order(visited[rest], n - len(chosen), there)]])]


def leaving(archive: Archive, n_new: int, capacity: int | None) -> tuple[Architecture, ...]:
    """What has to leave the archive so that `n_new` more fit: the failures, then the least useful of the rest."""
    if capacity is None or len(archive) + n_new <= capacity:
        return ()
    known = archive.measured
    nothing = np.empty((0, len(known.names)))
    best = order(Visited(known.X, known.F, known.violation), max(capacity - n_new, 0), among=nothing)
    staying = _keep(known, best).architectures
    return tuple(e.architecture for e in archive if e.architecture not in staying)


def stale(archive: Archive, policy: str, version: int | None = None) -> Encodings:
    """What has to be measured again with the weights of a version: new ones. A failure is final."""
    again = {"all": archive.measured, "front": archive.front}.get(policy)
    return archive.X[:0] if again is None else again.where(np.array([e.weights != version for e in again], bool)).X


def failed(archive: Archive) -> frozenset[Architecture]:
    """The architectures that could not be measured."""
    return archive.architectures - archive.measured.architectures


def require_success(archive: Archive, plan: Plan) -> None:
    """Raise `FailureBudgetError` when too large a share of all that was tried could not be measured."""
    reasons = [e.failure for e in archive if e.objectives is None]
    too_many = len(reasons) >= plan.failure_floor and len(reasons) > plan.failure_rate * len(archive)
    if too_many or not len(archive.measured):
        raise FailureBudgetError(
            f"{len(reasons)} of {len(archive)} architectures could not be measured; the last reason: "
            f"{reasons[-1] if reasons else 'none was tried'}. What was measured is kept in the journal."
        )


def _keep(archive: Archive, rows: Encodings) -> Archive:
    return archive.where(np.isin(np.arange(len(archive)), rows))


def _fitted(name: str, surrogate: Surrogate, X: Encodings, y: Values, *, strict: bool) -> Function:
    """What a surrogate learnt; where it can learn nothing, the value of the nearest measured row."""
    try:
        return surrogate.fit(X.copy(), y.copy())
    except NatError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the search goes on without it
        fault = f"no surrogate of {name} ({type(error).__name__}: {error})"
        blame(fault, ": the nearest measured architecture stands in", strict=strict)
        return lambda rows: np.array([y[(row != X).sum(axis=1).argmin()] for row in rows], dtype=np.float64)
