"""One search phase of the paper: fit 500 RBF models, then NSGA-III 100 × 100 on their mean and two exact costs.

Beside it the same phase as the method's public code has it: 500 cubic interpolants of pySOT on random subsets of the
raw codes, called model by model, and pymoo's NSGA-III with as many rows and generations from the same start. A third
row has the models of pySOT under the NSGA-III of nat, so that the cost of either can be told apart.
pySOT is not maintained and no dependency of nat: without `pip install pySOT pyDOE2 dill` its rows are left out.

What counts is the ratio, of one run in one process; each time is the least of `--repeats`. On a machine that does other
work, `--clock process` counts the processor's seconds instead: with OMP_NUM_THREADS=1, for threads that wait count too.

    python benchmarks/phase.py [--train 100 300 1000 3000] [--peer 300] [--candidates 1000 10000 100000]
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nat_core import plugins
from nat_core.archive import Archive, Evaluation
from nat_core.contracts import Function
from nat_core.encoding import Encodings, Values, as_architectures, new_rows, sizes
from nat_core.problem import Problem
from nat_core.proposals import start

WEIGHTS = Path(__file__).resolve().parents[2] / "shared" / "reference" / "ofa_acc_predictor.pth"
MEMBERS, POPULATION, GENERATIONS = 500, 100, 100

Fit = Callable[[Encodings, Values], Function]
Clock = Callable[[], float]


def main() -> None:
    """Print two tables."""
    warnings.simplefilter("ignore")
    logging.getLogger("nat_core").setLevel(logging.ERROR)
    asked = arguments()
    clock = {"wall": time.perf_counter, "process": time.process_time}[asked.clock]
    space = plugins.find("search_spaces", "mbv3")(resolutions=(160, 176, 192, 208, 224), widths=(1.2,))
    X = new_rows(space.sample(2 * max(asked.train), np.random.default_rng(0)))
    y = np.array([m.value for m in plugins.find("estimators", "ofa-predictor")(space, weights=WEIGHTS)(X)])
    rbf = plugins.find("surrogates", "rbf")(space, members=MEMBERS).fit
    peer = pysot(space) if asked.peer else None

    print("| measurements | models | NSGA-III | fit, s | fit and NSGA-III, s | ratio |\n|---|---|---|---|---|---|")
    for n in asked.train:
        rows = [("nat", "nat", rbf, propose)]
        if n in asked.peer and peer is not None:
            rows += [("pySOT", "pymoo", peer, propose_by_pymoo), ("pySOT", "nat", peer, propose)]
        phases = [[phase(space, X[:n], y[:n], *parts, clock) for _, _, *parts in rows] for _ in range(asked.repeats)]
        least = np.min(phases, axis=0)
        for (models, optimizer, *_), (fitted, total) in zip(rows, least.tolist(), strict=True):
            ratio = f"{total / least[0, 1]:.1f}" if models != "nat" else ""
            print(f"| {n:,} | {models} | {optimizer} | {fitted:.2f} | {total:.2f} | {ratio} |", flush=True)

    function = rbf(X[:300], y[:300])
    print("\n| candidates | to predict, s | per 10,000, s |\n|---|---|---|")
    for n in asked.candidates:
        candidates, seconds = space.sample(n, np.random.default_rng(1)), np.inf
        for _ in range(asked.repeats):
            begun = clock()
            function(candidates)
            seconds = min(seconds, clock() - begun)
        print(f"| {n:,} | {seconds:.3f} | {1e4 * seconds / n:.3f} |", flush=True)
    print(f"\n    {shlex.join(['python', *sys.argv])}")
    print(f"    {asked.clock} time, OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'unset')}")


def phase(
    space: Any,
    X: Encodings,
    y: Values,
    fit: Fit,
    optimize: Callable[[Problem, Function, Archive], object],
    clock: Clock,
) -> tuple[float, float]:
    """Seconds to fit, and to fit and search."""
    costs = {name: plugins.find("cost_models", name)(space) for name in ("macs", "params")}
    names = ("top1_error", *costs)
    F = np.column_stack([y, *(cost(X) for cost in costs.values())])
    archive = Archive(names).extend(
        Evaluation(a, tuple(f), 0, 0) for a, f in zip(as_architectures(X), F.tolist(), strict=True)
    )
    problem = Problem(space, names, {"top1_error": None}, costs)  # type: ignore[dict-item]
    begun = clock()
    function = fit(X, y)
    fitted = clock() - begun
    optimize(problem, function, archive)
    return fitted, clock() - begun


def propose(problem: Problem, function: Function, archive: Archive) -> None:
    """What nat does in an iteration: NSGA-III on the predictions, and the best of all rows that it visited."""
    optimizer = plugins.find("optimizers", "nsga3")(problem.space, population=POPULATION, generations=GENERATIONS)
    optimizer.propose(problem.predict({"top1_error": function}), archive, POPULATION, np.random.default_rng(0))


def propose_by_pymoo(problem: Problem, function: Function, archive: Archive) -> None:
    """NSGA-III by pymoo, as its documentation sets it up for integers, begun from the archive too."""
    from nat_baselines.pymoo_search import evolve, nsga3, operators  # noqa: PLC0415 - it takes a second

    predicted, rng = problem.predict({"top1_error": function}), np.random.default_rng(0)
    common = operators(mutation_eta=1.0) | {"sampling": start(predicted, archive, POPULATION, rng)}
    algorithm = nsga3(len(problem.names), POPULATION, common)
    evolve(
        algorithm,
        problem.space,
        lambda X: predicted.F(problem.space.canonicalize(X)),
        len(problem.names),
        rng,
        GENERATIONS,
    )


def pysot(space: Any) -> Fit | None:
    """A fit of 500 models of pySOT on random subsets of the raw codes."""
    try:
        from pySOT.surrogate import CubicKernel, LinearTail, RBFInterpolant  # noqa: PLC0415 - it may be missing
    except ImportError as error:
        print(f"pySOT is left out: {error}", file=sys.stderr)
        return None
    top = sizes(space.variables) - 1.0

    def fit(X: Encodings, y: Values) -> Function:
        draw, models = np.random.default_rng(0), []
        varying = np.flatnonzero(np.ptp(X, axis=0))
        while len(models) < MEMBERS:
            columns = draw.permutation(varying)[: draw.integers(1, len(varying) + 1)]
            if len(np.unique(X[:, columns], axis=0)) <= len(columns):
                continue  # as the public code: it would be singular
            low, high = np.zeros(len(columns)), top[columns]
            model = RBFInterpolant(len(columns), low, high, kernel=CubicKernel(), tail=LinearTail(len(columns)))
            model.add_points(X[:, columns].astype(float), y[:, None])
            model.predict(X[:1, columns].astype(float))  # which fits it
            models.append((columns, model))
        return lambda rows: np.mean([m.predict(rows[:, c].astype(float))[:, 0] for c, m in models], axis=0)

    return fit


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, nargs="+", default=[100, 300, 1000, 3000])
    parser.add_argument("--peer", type=int, nargs="*", default=[300])
    parser.add_argument("--candidates", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--clock", choices=["wall", "process"], default="wall")
    return parser.parse_args()


if __name__ == "__main__":
    main()
