"""How well every registered surrogate ranks networks that it has not seen, and how long that takes.

Kendall's tau between predicted and measured top-1 error of once-for-all subnets on ImageNet, width 1.0 and 224 pixels,
as measured by their authors' code. The table holds 1,279 rows of 1,188 distinct networks, whose rows are averaged. A
surrogate learns from random ones and predicts all the others; every surrogate gets the same.

    python benchmarks/surrogates.py [--surrogate NAME ...] [--seeds 10] [--train 100 300]
"""

from __future__ import annotations

import argparse
import gzip
import json
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from nat_core import plugins
from nat_core.contracts import SearchSpace, Surrogate
from nat_core.encoding import Encodings, Values, as_encodings

TABLE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "ofa_mbv3_w1.0_imagenet.jsonl.gz"


def main() -> None:
    """Print a table."""
    registered = [o.name for o in plugins.load().offers if o.kind == "surrogates"]
    asked = arguments(registered)
    space = plugins.find("search_spaces", "mbv3")(resolutions=(224,), widths=(1.0,))
    X, y = networks(space)
    print(f"{len(y):,} networks, {asked.seeds} seeds; tau: median (least … greatest); seconds: to fit and predict\n")
    print("| surrogate |" + "".join(f" {n} networks: tau | seconds |" for n in asked.train))
    print("|---|" + "---|---|" * len(asked.train))
    for name in asked.surrogate or registered:
        surrogate = plugins.find("surrogates", name)(space)
        surrogate.fit(X[:20], y[:20])(X[:20])  # imports are not what is timed
        cells = (cell(surrogate, X, y, n, asked.seeds) for n in asked.train)
        print(f"| {name} |" + "".join(cells), flush=True)
    print(f"\n    python {shlex.join(sys.argv)}")


def arguments(registered: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description="How well surrogates rank measured networks.")
    parser.add_argument("--surrogate", action="append", choices=registered, help="one to measure; all by default")
    parser.add_argument("--seeds", type=int, default=10, help="random choices of the networks to learn from")
    parser.add_argument("--train", type=int, nargs="+", default=[100, 300], help="networks to learn from")
    return parser.parse_args()


def networks(space: SearchSpace) -> tuple[Encodings, Values]:
    """The distinct networks of the table, canonical X (n, n_variables), and their mean top-1 error in percent."""
    if not TABLE.exists():
        sys.exit(f"needs {TABLE}")
    errors = defaultdict(list)
    with gzip.open(TABLE, "rt") as lines:
        for row in map(json.loads, lines):
            errors[space.parse(row)].append(100 - row["top1"])
    return as_encodings(errors, len(space.variables)), np.array([np.mean(e) for e in errors.values()])


def cell(surrogate: Surrogate, X: Encodings, y: Values, n: int, seeds: int) -> str:
    """Two columns of the table: tau, and seconds."""
    taus, seconds = zip(*trials(surrogate, X, y, n, seeds), strict=True)
    return f" {np.median(taus):.3f} ({min(taus):.3f} … {max(taus):.3f}) | {np.median(seconds):.2f} |"


def trials(surrogate: Surrogate, X: Encodings, y: Values, n: int, seeds: int) -> Iterator[tuple[float, float]]:
    """Tau on the networks that were not learnt from, and the seconds it took to learn and predict, for each seed."""
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(y))
        known, others = order[:n], order[n:]
        start = time.perf_counter()
        predicted = surrogate.fit(X[known], y[known])(X[others])
        seconds = time.perf_counter() - start
        yield float(kendalltau(predicted, y[others]).statistic), seconds


if __name__ == "__main__":
    main()
