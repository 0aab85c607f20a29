"""Where architectures are measured, if not in the process of the run: in processes beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from nat_core import hookimpl
from nat_core.contracts import Executor


def processes(
    *,
    workers: Annotated[int, "processes, each with the memory of a run; 0: one for every core"] = 0,
    limit: Annotated[
        float, "seconds after which one architecture is given up, and whoever measures it killed"
    ] = 3600.0,
    retries: Annotated[int, "of an architecture whose worker was lost; then it has failed"] = 2,
) -> Executor:
    """Worker processes on this machine. One that dies or hangs is replaced, and its architecture measured again.

    The cores are divided among them, unless OMP_NUM_THREADS says otherwise; a GPU is shared. An architecture that runs
    out of memory beside others is measured again alone.
    """
    from nat_core.options import at_least
    from nat_executors.pool import Pool

    at_least(0, **{"processes.workers": workers, "processes.retries": retries})
    return Pool(workers, limit, retries)


@hookimpl
def register_executors() -> Mapping[str, Callable[..., Executor]]:
    """`processes`."""
    return {"processes": processes}
