"""One search phase of the paper: fit 500 RBF models, then NSGA-III 100 × 100 on their mean and two exact costs.

Beside it the same with pySOT's RBF called model by model, as the method's public code does: the same optimizer and
measurements, 500 cubic interpolants on random subsets of the raw codes. pySOT is not maintained and no dependency of
nat: without `pip install pySOT pyDOE2 dill` its rows are left out. What counts is the ratio, of one run in one process.

    python benchmarks/phase.py [--train 100 300 1000 3000] [--peer 300] [--candidates 1000 10000 100000]
"""

from __future__ import annotations

import argparse
import logging
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

WEIGHTS = Path(__file__).resolve().parents[2] / "shared" / "reference" / "ofa_acc_predictor.pth"
MEMBERS = 500


def main() -> None:
    """Print two tables."""
    warnings.simplefilter("ignore")
    logging.getLogger("nat_core").setLevel(logging.ERROR)
    asked = arguments()
    space = plugins.find("search_spaces", "mbv3")(resolutions=(160, 176, 192, 208, 224), widths=(1.2,))
    X = new_rows(space.sample(2 * max(asked.train), np.random.default_rng(0)))
    y = np.array([m.value for m in plugins.find("estimators", "ofa-predictor")(space, weights=WEIGHTS)(X)])

    print("| measurements | who | fit, s | fit and NSGA-III, s | ratio |\n|---|---|---|---|---|")
    for n in asked.train:
        ours = phase(space, X[:n], y[:n], plugins.find("surrogates", "rbf")(space, members=MEMBERS).fit)
        print(f"| {n:,} | nat | {ours[0]:.2f} | {ours[1]:.2f} | |", flush=True)
        if n in asked.peer and (peer := pysot(space)) is not None:
            theirs = phase(space, X[:n], y[:n], peer)
            print(f"| {n:,} | pySOT, model by model | {theirs[0]:.2f} | {theirs[1]:.2f} | {theirs[1] / ours[1]:.1f} |")

    function = plugins.find("surrogates", "rbf")(space, members=MEMBERS).fit(X[:300], y[:300])
    print("\n| candidates | to predict, s | per 10,000, s |\n|---|---|---|")
    for n in asked.candidates:
        rows = space.sample(n, np.random.default_rng(1))
        start = time.perf_counter()
        function(rows)
        seconds = time.perf_counter() - start
        print(f"| {n:,} | {seconds:.3f} | {1e4 * seconds / n:.3f} |", flush=True)
    print(f"\n    {shlex.join(['python', *sys.argv])}")


def phase(space: Any, X: Encodings, y: Values, fit: Callable[[Encodings, Values], Function]) -> tuple[float, float]:
    """Seconds to fit, and to fit and propose."""
    costs = {name: plugins.find("cost_models", name)(space) for name in ("macs", "params")}
    names = ("top1_error", *costs)
    F = np.column_stack([y, *(cost(X) for cost in costs.values())])
    archive = Archive(names).extend(
        Evaluation(a, tuple(f), 0, 0) for a, f in zip(as_architectures(X), F.tolist(), strict=True)
    )
    optimizer = plugins.find("optimizers", "nsga3")(space, population=100, generations=100)
    start = time.perf_counter()
    function = fit(X, y)
    fitted = time.perf_counter() - start
    problem = Problem(space, names, {"top1_error": None}, costs)  # type: ignore[dict-item]
    optimizer.propose(problem.predict({"top1_error": function}), archive, 100, np.random.default_rng(0))
    return fitted, time.perf_counter() - start


def pysot(space: Any) -> Callable[[Encodings, Values], Function] | None:
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
    return parser.parse_args()


if __name__ == "__main__":
    main()
