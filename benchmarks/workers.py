"""Networks measured by worker processes, beside a run that measures in its own process.

The same architectures of the same supernet, by a run without an executor, which computes with all cores, and by
`--executor processes` with one worker and more, which divide them. All take turns, once a round; a ratio is the median
over rounds of the ratios within a round. Workers have begun before anything is timed; what that takes stands apart.

    python benchmarks/workers.py [--space mbv3] [--data digits] [--networks 24] [--workers 1 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from nat_core.answering import Alone
from nat_core.config import resolve
from nat_core.contracts import AdaptiveEstimator, Answer, Crew, Task
from nat_core.durable import publish
from nat_core.encoding import as_architectures
from nat_core.machine import cores
from nat_core.run import build, find_parts, identity_of, recipe
from nat_executors.pool import Pool


def main() -> None:
    """Print a table."""
    asked = arguments()
    run = build(find_parts(resolve(None, None, {"space": asked.space, "data": asked.data}, asked.settings)), Path())
    rows = as_architectures(np.unique(run.space.sample(4 * asked.networks, np.random.default_rng(0)), axis=0))
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        weights = saved(run.problem.estimators, Path(place))
        tasks = [Task(architecture, weights) for architecture in rows[:: max(len(rows) // asked.networks, 1)]]
        tasks = tasks[: asked.networks]
        crews: dict[str, Crew] = {"the run's own process": Alone(run.problem)}
        pools = {f"{n} worker{'s' * (n > 1)}": Pool(n, 3600.0, 0) for n in asked.workers}
        crews |= {name: stack.enter_context(pool.crew(recipe(run, identity_of(run)))) for name, pool in pools.items()}
        first = {name: timed(crew, tasks[: max(asked.workers)]) for name, crew in crews.items()}
        found = [{name: timed(crew, tasks) for name, crew in crews.items()} for _ in range(asked.rounds)]
    values = {name: [answers[i].values for i in range(len(tasks))] for name, (_, answers) in found[0].items()}
    own = next(iter(crews))
    print(f"{len(tasks)} networks of {run.subject}, {cores()} cores\n")
    print(
        "| measured by | seconds | faster | the first few, with beginning, s | the same values |\n|---|---|---|---|---|"
    )
    for name in crews:
        seconds = [lap[name][0] for lap in found]
        ratio = median(lap[own][0] / lap[name][0] for lap in found)
        same = "yes" if values[name] == values[own] else "no"
        print(f"| {name} | {median(seconds):.1f} | {ratio:.2f} | {first[name][0]:.1f} | {same} |")


def saved(estimators: Any, place: Path) -> dict[str, tuple[Path, str]]:
    """What adaptive estimators have learnt so far, as a run saves it."""
    adaptive = {name: e for name, e in estimators.items() if isinstance(e, AdaptiveEstimator)}
    return {name: (place / name, publish(place / name, e.save)) for name, e in adaptive.items()}


def timed(crew: Crew, tasks: list[Task]) -> tuple[float, dict[int, Answer]]:
    """Seconds of all tasks, and the answers."""
    start = time.perf_counter()
    answers = dict(crew.do(tasks))
    return time.perf_counter() - start, answers


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="mbv3")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-s", "--set", dest="settings", action="append", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
